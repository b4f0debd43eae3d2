"""The connection of a lease, and the thread that reads it.

Laws:
  - The lease holds as long as the connection does. The connection ends when the
    last process that has a copy of it lets go: a forked child shares the lease of
    its parent, and only the parent reads.
  - The thread always reads, so that an agent never waits for a slow consumer.
  - When the agent is gone, its memory stays with those who have mapped it. The
    thread tells the next agent of the lease, as often as it takes.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import select
import socket
import threading
import time
from typing import Any, Callable

from .agent import Agent
from .errors import AgentError, ProtocolError
from .frames import MAX_FILES, Frame, Frames, close_all
from .layout import listed, number, text

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts to find an agent
_GRACE = 5.0  # seconds that the agent gets to say itself that time is up
_AGAIN = {"busy", "unavailable", "internal"}  # codes of what may go better later

_log = logging.getLogger("ingot")

_BROKEN = (EOFError, OSError, ProtocolError)


class Link:
    """One lease. moved is called by the thread with each new version of the reference, and
    whether the lease stands in its way."""

    def __init__(self, agent: Agent, request: dict[str, Any], moved: Callable[[str, bool], None]):
        self.ref = str(request["ref"])
        self.version = ""  # until the layout has come
        self.held = True  # an agent knows of the lease
        self._lost = False  # the memory may not be what it was
        self._agent = agent
        self._request = request
        self._moved = moved
        self._owner = os.getpid()
        # Failures are frames here too: an exception that waited would keep alive
        # whoever it was raised to.
        self._inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._segments: dict[int, tuple[int, int]] = {}
        self._frames = agent.upgrade()
        self._awake, self._wake = socket.socketpair()
        self._tell({"type": "lease", "lease": request})
        threading.Thread(target=self._run, name=f"ingot lease {self.ref}", daemon=True).start()

    # What the owner calls.

    def next(self, deadline: float | None) -> Frame:
        """Returns the next frame that is of interest to who waits; deadline is of time.monotonic."""
        if os.getpid() != self._owner:
            raise RuntimeError("a lease is read by the process that has taken it, not by its children")
        wait = None if deadline is None else max(0.0, deadline + _GRACE - time.monotonic())
        try:
            frame = self._inbox.get(timeout=wait)
        except queue.Empty:
            raise AgentError("unavailable", f"{self.ref}: the agent does not answer in time") from None
        if frame["type"] == "error":
            self._inbox.put(frame)  # for who asks again
            raise AgentError.of_wire(frame["error"])
        return frame

    def segment(self, ident: int) -> tuple[int, int]:
        """Returns the descriptor of a segment and its size in bytes."""
        if self._lost:
            raise AgentError("unavailable", f"{self.ref}: the agent has ended the lease: load the version again")
        if ident not in self._segments:
            raise ProtocolError(f"segment {ident} has not been sent")
        return self._segments[ident]

    def acknowledge(self) -> None:
        """Gives the oldest tensor of a window back."""
        self._tell({"type": "ack"})

    def end(self) -> None:
        """Lets go. It may be called by the collector in any thread, and never waits."""
        if os.getpid() != self._owner:
            self._close()  # the thread is in the parent
            return
        try:
            self._wake.send(b"\0")
        except OSError:  # the thread has ended
            pass
        self._wake.close()

    def _tell(self, frame: Frame) -> None:
        try:
            self._frames.write(frame)
        except OSError:  # the thread reads why, and says so to who waits
            pass

    # What the thread does.

    def _run(self) -> None:
        try:
            self._read()
        except Exception as e:  # whoever waits must hear of it, whatever it is
            self.held = False
            _log.debug("%s: the lease has failed: %s", self.ref, e)
            error = e if isinstance(e, AgentError) else AgentError("internal", f"{self.ref}: {e}")
            self._inbox.put({"type": "error", "error": {"code": error.code, "message": error.message}})
        self._woken(None)
        self._close()

    def _read(self) -> None:
        """Reads until the owner lets go, or the lease fails."""
        while True:
            try:
                while not self._woken(None, self._frames):
                    self._take(*self._frames.read())
                return
            except _BROKEN as e:
                self.held = False
                if not self.version:
                    raise AgentError("unavailable", f"{self.ref}: the lease has ended: {e}") from e
            if not self._declare():
                return

    def _take(self, frame: Frame, fds: list[int]) -> None:
        kind = frame["type"]
        if kind != "segments" and fds:
            close_all(fds)
            raise ProtocolError(f"descriptors with a frame of type {kind}")
        if kind == "segments":
            self._add(listed(frame.get("segments")), fds)
        elif kind == "moved":
            self._moved(text(frame.get("version")), frame.get("patch") is True)
        elif kind == "error":
            error = AgentError.of_wire(frame.get("error"))
            raise self._lose(error) if self.version else error
        elif kind == "layout":
            layout = frame.get("layout")
            if not isinstance(layout, dict):
                raise ProtocolError("a layout that is none")
            self.ref, self.version = text(layout.get("ref")), text(layout.get("version"))
            self._inbox.put(frame)
        elif kind in ("waiting", "tensor", "done"):
            self._inbox.put(frame)

    def _add(self, segments: list, fds: list[int]) -> None:
        if len(segments) != len(fds):
            close_all(fds)
            raise ProtocolError(f"{len(fds)} descriptors for {len(segments)} segments")
        for at, (segment, fd) in enumerate(zip(segments, fds)):
            try:
                ident, size = number(segment["id"]), number(segment["size"])
                if ident in self._segments or size > os.fstat(fd).st_size:
                    raise ProtocolError(f"segment {ident} comes twice, or is not as large as it says")
            except (KeyError, TypeError, ProtocolError) as e:
                close_all(fds[at:])
                raise ProtocolError(f"segments: {e}") from e
            self._segments[ident] = (fd, size)

    def _declare(self) -> bool:
        """Finds an agent that holds the lease again; False if there is no need any more."""
        former = self._frames.process()
        self._frames.close()
        pause = _FIRST_PAUSE
        while not self._woken(pause * random.uniform(0.5, 1)):  # many clients lose one agent at a time
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                self._frames = self._agent.upgrade()
                if former and self._frames.process() == former:
                    raise self._lose(AgentError("unavailable", "it has closed the connection"))
                self._present()
                self.held = True
                return True
            except _BROKEN as e:
                _log.debug("%s: no agent holds the lease again yet: %s", self.ref, e)
                self._frames.close()
            except AgentError as e:
                self._frames.close()
                if self._lost or e.code not in _AGAIN:
                    raise
        return False

    def _present(self) -> None:
        """Shows an agent what the lease holds, and waits until it holds it too."""
        idents = sorted(self._segments)
        fds = [self._segments[i][0] for i in idents]
        segments = [{"id": i, "size": self._segments[i][1]} for i in idents]
        declare = {"ref": self.ref, "version": self.version, "segments": segments, "client": self._request["client"]}
        self._frames.write({"type": "declare", "declare": declare}, fds[:MAX_FILES])
        for n in range(MAX_FILES, len(fds), MAX_FILES):
            more = slice(n, n + MAX_FILES)
            self._frames.write({"type": "segments", "segments": segments[more]}, fds[more])
        frame, got = self._frames.read()
        close_all(got)
        if frame["type"] == "error":
            raise AgentError.of_wire(frame.get("error"))
        if frame["type"] != "held":
            raise ProtocolError(f"{frame['type']:.40} in answer to a declared lease")

    def _lose(self, why: AgentError) -> AgentError:
        """Notes that the agent lives and has ended the lease: it may give the memory to others."""
        self._lost = True
        _log.warning("%s: the agent has ended the lease, and arrays of it may change: %s", self.ref, why)
        return AgentError(why.code, f"{self.ref}: the agent has ended the lease: {why.message}")

    def _woken(self, timeout: float | None, *others: Frames) -> bool:
        """Waits for the owner to let go, or for anything of the others; reports the first."""
        poll = select.poll()
        for one in (self._awake, *others):
            poll.register(one, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return any(fd == self._awake.fileno() for fd, _ in ready)

    def _close(self) -> None:
        self._frames.close()
        self._awake.close()
        close_all([fd for fd, _ in self._segments.values()])
