"""A lease on a GPU: the thread that talks to the agent, and maps what it gives.

Laws:
  - Who detaches, or asks for an image, has nothing. What the agent has said before it
    heard of that is void.
  - What an agent has given stays when the agent goes away. The thread leases anew, as
    often as it takes, and takes what comes at the next quiet point.
"""

from __future__ import annotations

import logging
import os
import random
import select
import threading
import time
import weakref
from typing import Any, Callable

from .agent import Agent
from .driver import Device, DriverError
from .errors import AgentError, ProtocolError, Stale
from .frames import Frame, Frames, close_all
from .image import Handles, Layout
from .layout import listed, number, text
from .uses import COMING, ENDED, MAPPED, PARKED, Pause, Uses

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds between attempts to find an agent
_PATIENCE = 30.0  # seconds that newcomers wait for the others when an image has come anew
_AGAIN = {"busy", "unavailable", "internal"}  # codes of what may go better later

_OF_IMAGES = {"slabs", "image", "pause", "lost", "denied"}  # frames

_log = logging.getLogger("ingot")
_BROKEN = (EOFError, OSError, ProtocolError)


class Listener:
    """Whom a session tells of what happens. Its methods are called by the thread."""

    def waiting(self, done: int, total: int) -> None: ...

    def paused(self, pause: Pause) -> None: ...

    def changed(self, layout: Layout) -> None: ...

    def moved(self, version: str) -> None: ...


class Session(Uses):
    """A lease on a device."""

    def __init__(self, agent: Agent, request: dict[str, Any], device: Device):
        frames = agent.upgrade()
        super().__init__(str(request["ref"]), request.get("priority", 0), device)
        self.held = True  # an agent knows of the lease
        self._agent, self._request = agent, request
        self._listener: Callable[[], Listener | None] = lambda: None
        # What is the thread's own.
        self._leasing = True  # an image will come that no pause has asked for
        self._retry, self._wait = 0.0, _FIRST_WAIT  # when to look for an agent, and how long after
        self._void = 0  # frames of the agent are, until it has said so often that it heard
        self._former = 0  # process of the agent that is gone
        self._shown: Any = None  # what the listener knows to be mapped
        self._handles = Handles(device)
        self._frames: Frames | None = frames
        _sessions.add(self)
        self._thread = threading.Thread(target=self._run, name=f"ingot lease {self.ref} on {device}", daemon=True)

    def start(self, listener: Listener) -> None:
        self._listener = weakref.ref(listener)
        self._thread.start()

    # What the thread does.

    def _run(self) -> None:
        try:
            with self.device.bound():
                self._tell({"type": "lease", "lease": self._request})
                while not self._over or self._users:
                    self._step()
                self._leave_everything()
                self._image.close()
        except Exception as e:  # whoever waits must hear of it, whatever it is
            _log.warning("%s: the lease on %s has failed: %s", self.ref, self.device, e)
            self._finish(AgentError("internal", f"{self.ref}: {e}"))
        finally:
            self._hang_up()
            self._awake.close()
            self._wake.close()

    def _step(self) -> None:
        """Does what can be done, then waits for more."""
        self._speak()
        if self._settle():
            return
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        if self._frames:
            poll.register(self._frames, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(self._until())}
        if self._awake.fileno() in ready:
            self._awake.recv(4096)
        if self._frames and self._frames.fileno() in ready:
            try:
                self._take(*self._frames.read())
            except _BROKEN as e:
                self._break_off(e)

    def _until(self) -> float | None:
        """Returns how many milliseconds nothing has to be done."""
        times = [self._pause.until] if self._pause else []
        if self._leasing and not self._frames:
            times.append(self._retry)
        return max(0.0, min(times) - time.monotonic()) * 1000 + 1 if times else None

    def _speak(self) -> None:
        """Asks the agent for what the owners want, or looks for one."""
        with self._turn:
            asked, self._asked = self._asked, None
        if asked and self._frames:
            self._void += 1
            self._drop()
            self._tell({"type": "acquire", "acquire": asked})
        elif asked:
            self._leasing, self._retry, self._wait = True, 0.0, _FIRST_WAIT
        if self._leasing and not self._frames and time.monotonic() >= self._retry:
            self._connect()

    def _connect(self) -> None:
        self._retry = time.monotonic() + self._wait * random.uniform(0.5, 1)  # many clients lose one agent at a time
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        try:
            self._frames = self._agent.upgrade()
        except AgentError as e:
            _log.debug("%s: no agent leases it again yet: %s", self.ref, e)
            if e.code not in _AGAIN:
                self._refuse(e)
            return
        self._handles, self._void = Handles(self.device), 0
        if self._state == MAPPED and self._former and self._frames.process() == self._former:
            self._lose(AgentError("unavailable", f"{self.ref}: the agent has ended the lease"))
        self._tell({"type": "lease", "lease": {**self._request, "ref": self._wanted()}})

    def _wanted(self) -> str:
        """Returns what to lease of another agent."""
        if self._request.get("follow") or not self.version:
            return str(self._request["ref"])
        repo = self.ref.partition("@")[0]
        head, slash, last = repo.rpartition("/")
        return f"{head}{slash}{last.partition(':')[0]}@{self.version}"

    def _tell(self, frame: Frame) -> None:
        try:
            if self._frames:
                self._frames.write(frame)
        except OSError as e:
            self._break_off(e)

    def _take(self, frame: Frame, fds: list[int]) -> None:
        kind = frame["type"]
        if fds and (kind != "slabs" or self._void):
            close_all(fds)
            if kind != "slabs":
                raise ProtocolError(f"descriptors with a frame of type {kind:.40}")
        if kind == "detached":
            self._void = max(0, self._void - 1)
        elif self._void and kind in _OF_IMAGES:
            return
        elif kind == "slabs":
            self._handles.add(listed(frame.get("slabs")), fds)
        elif kind == "image":
            layout = Layout(frame.get("image"), self.device)
            self._handles.check(layout)
            self._arrive(layout, number(frame.get("id", 0)))
        elif kind == "pause":
            self._halt(frame.get("pause"))
        elif kind == "moved":
            version = text(frame.get("version"))
            self._inform(lambda heard: heard.moved(version))
        elif kind == "waiting":
            done, total = number(frame.get("bytes", 0)), number(frame.get("bytes_total", 0))
            self._inform(lambda heard: heard.waiting(done, total))
        elif kind == "lost":
            self._lose(AgentError.of_wire(frame.get("error")))
        elif kind == "denied":
            self._deny(AgentError.of_wire(frame.get("error")))
        elif kind == "error":
            self._fail(AgentError.of_wire(frame.get("error")))

    def _arrive(self, layout: Layout, pause: int) -> None:
        """Takes an image that has come."""
        self.held, self._leasing, self._wait = True, False, _FIRST_WAIT
        same = self._state == MAPPED and self._image.shows(layout, self._handles)
        with self._turn:
            if self._pause and self._pause.ident == pause:
                self._pause, self._shut = None, 0.0  # the agent has given up
                self._turn.notify_all()
            if self._state in (COMING, MAPPED) and not same:
                self._next = layout
                self._shut = max(self._shut, time.monotonic() + _PATIENCE)
                return
        self._drop()
        if self._state == PARKED:
            self._say_detached()

    def _halt(self, value: Any) -> None:
        """Takes a pause. One that comes when nothing is mapped has had its answer."""
        layout = self._image.layout
        pause = Pause.of_wire(value, len(layout.slabs) if layout else 1 << 30)
        if layout is None or self._leasing:
            return
        with self._turn:
            self._pause = pause
            self._shut = max(self._shut, pause.until)
            self._turn.notify_all()
        self._inform(lambda heard: heard.paused(pause))

    def _deny(self, error: AgentError) -> None:
        if self._state == COMING:
            with self._turn:
                self._denied = self._attempt, error
                self._set(PARKED)

    def _refuse(self, error: AgentError) -> None:
        """Notes that no agent will lease this again by itself."""
        self.held = self._leasing = False
        if self._state == MAPPED:
            _log.warning("%s: the lease is not renewed: %s", self.ref, error)
        self._deny(error)

    def _fail(self, error: AgentError) -> None:
        """Takes the error that ends a connection."""
        self._hang_up()
        if not self.version:
            self._finish(error)
        elif not self._leasing:
            self._lose(error)
        elif self._state == COMING or error.code not in _AGAIN:
            self._refuse(error)

    def _lose(self, error: AgentError) -> None:
        """Notes that what is mapped must not be used any more."""
        _log.warning("%s: what is on %s is lost: %s", self.ref, self.device, error)
        with self._turn:
            self._lost, self._pause, self._next = error, None, None
            self._shut = float("inf")

    def _break_off(self, why: Exception) -> None:
        """Ends a connection that is of no use, and sees that another follows if it has to."""
        _log.debug("%s: the connection to the agent has ended: %s", self.ref, why)
        self._hang_up()
        if not self.version:
            self._finish(AgentError("unavailable", f"{self.ref}: the lease has ended: {why}"))
            return
        with self._turn:
            self._pause = self._next = None
            self._shut = 0.0 if not (self._lost or self._detaching or self._closing) else self._shut
            self._turn.notify_all()
        self._drop()
        self._leasing = self._state in (COMING, MAPPED)
        if self._state == COMING:
            self._image.unmap()
        self._retry = time.monotonic() + self._wait * random.uniform(0, 0.5)

    def _hang_up(self) -> None:
        if self._frames:
            self._former = self._frames.process()
            self._frames.close()
            self._frames = None
        self.held = False

    def _drop(self) -> None:
        """Releases what has come and is not mapped."""
        self._handles.keep(self._image.idents(self._handles))

    # At a quiet point.

    def _settle(self) -> bool:
        """Does what a quiet point has been waited for; tells whether there was anything."""
        with self._turn:
            if self._pause and time.monotonic() > self._pause.until:
                _log.info("%s: a pause came to no quiet point in time", self.ref)
                self._pause, self._shut = None, 0.0
                self._turn.notify_all()
            act = None if self._users else self._choose()
            if act is None:
                return False
            self._working = True
        try:
            act()
        finally:
            with self._turn:
                self._working = False
                self._turn.notify_all()
        return True

    def _choose(self) -> Callable[[], None] | None:
        if self._closing and self._state != ENDED:
            return self._close
        if self._lost:
            return self._give_up
        if self._detaching and self._state in (MAPPED, COMING):
            return self._detach
        if self._detaching and self._state == PARKED:
            return self._open
        if self._pause and self._state == MAPPED:
            return self._yield
        if self._next:
            return self._map
        return None

    def _open(self) -> None:
        """Lets newcomers in again after a detach."""
        with self._turn:
            self._detaching, self._shut = False, 0.0

    def _yield(self) -> None:
        """Does as a pause says."""
        pause = self._pause
        self.device.synchronize()
        self._image.unmap(None if pause.reason == "room" else pause.unmap)
        with self._turn:
            self._pause, self._shut = None, 0.0
            self._set(PARKED if pause.reason == "room" else COMING)
        self._tell({"type": "paused", "id": pause.ident})

    def _detach(self) -> None:
        self._leave_everything()
        if self._leasing:
            self._hang_up()  # before its first image a client may not say anything
        self._leasing = False
        self._say_detached()
        with self._turn:
            self._set(PARKED)
            self._open()

    def _say_detached(self) -> None:
        self._void += 1
        self._tell({"type": "detach"})

    def _give_up(self) -> None:
        self.device.synchronize()
        self._image.unmap()
        with self._turn:
            self._lost, self._shut = None, 0.0
            self._set(COMING if self._leasing or self._next else PARKED)

    def _close(self) -> None:
        self._leave_everything()
        self._finish(None)

    def _leave_everything(self) -> None:
        self.device.synchronize()
        with self._turn:
            self._pause = self._next = None
        self._image.unmap()
        self._drop()

    def _map(self) -> None:
        layout, first = self._next, not self.version
        self._next = None
        self.device.synchronize()
        try:
            self._image.map(layout, self._handles)
        except DriverError as e:
            self._fail_to_map(e)
            return
        if layout.version != self.version:  # another agent knows it by its version alone
            self.ref, self.version = layout.ref, layout.version
        shown = layout.version, self._image.address, layout.places
        if shown != self._shown and not first:
            self._why = self._inform(lambda heard: heard.changed(layout))
        self._shown = shown
        with self._turn:
            self._shut = 0.0
            self._set(MAPPED)

    def _fail_to_map(self, error: DriverError) -> None:
        """Parks the lease: an image that is not whole is no image."""
        if error.sticky:
            raise error
        self._image.unmap()
        self._drop()
        self._say_detached()
        told = AgentError("internal", f"{self.ref}: the image cannot be mapped: {error}")
        _log.warning("%s", told)
        if not self.version:
            self._finish(told)
            return
        with self._turn:
            self._shut, self._denied = 0.0, (self._attempt, told)
            self._set(PARKED)

    def _inform(self, tell: Callable[[Listener], None]) -> AgentError | None:
        """Tells the listener, and returns why it cannot follow."""
        heard = self._listener()
        try:
            if heard is not None:
                tell(heard)
        except Exception as e:
            _log.exception("%s: what follows the image has failed", self.ref)
            return Stale(f"{self.ref}: {e}")
        return None

    def _set(self, state: str) -> None:
        with self._turn:
            self._state = state
            if state != MAPPED:
                self._pause = None
            self._turn.notify_all()

    def _finish(self, why: AgentError | None) -> None:
        """Ends the lease. The addresses stay until nothing lies in them."""
        self._hang_up()
        self._leasing = False
        with self._turn:
            self._why = why
            self._lost = self._next = None
            self._set(ENDED)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    """Lets go of the connections of the parent: its leases end with it."""
    for session in list(_sessions):
        if session._frames:
            session._frames.close()
        session._awake.close()
        session._wake.close()


os.register_at_fork(after_in_child=_after_fork)
