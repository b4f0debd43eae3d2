"""Who uses an image on a GPU now, and who waits for it.

Laws:
  - Only the thread of the session maps and unmaps, and only while nobody is within a
    use. It waits for all work of this process on the GPU before it does.
  - Who is within a use stays there: a pause that does not come to its quiet point in
    time is forgotten, and the agent gives up what it wanted.
  - While a quiet point is waited for nobody new gets in, so that it comes.
"""

from __future__ import annotations

import copy
import os
import socket
import threading
import time
from typing import Any, NamedTuple

from .driver import Device
from .errors import AgentError, NotMapped, ProtocolError, Stale
from .image import Image, Layout, Place
from .layout import listed, number

COMING, MAPPED, PARKED, ENDED = "coming", "mapped", "parked", "ended"

_GRACE = 5.0  # seconds that the agent gets to say itself that time is up


class Pause(NamedTuple):
    """What an agent asks for when it wants slabs to be left alone."""

    ident: int
    reason: str  # "swap": another image follows; "room": others need the memory
    unmap: tuple[int, ...]
    until: float  # of time.monotonic

    @classmethod
    def of_wire(cls, value: Any, slabs: int) -> Pause:
        if not isinstance(value, dict) or value.get("reason") not in ("swap", "room"):
            raise ProtocolError(f"{value!r:.80} where a pause belongs")
        places = tuple(number(n) for n in listed(value.get("unmap") or []))
        if len(set(places)) < len(places) or any(n >= slabs for n in places):
            raise ProtocolError(f"a pause for places {places!r:.80} of {slabs}")
        deadline = value.get("deadline", 0)
        if type(deadline) not in (int, float) or not 0 <= deadline < 1 << 32:
            raise ProtocolError(f"a pause with the deadline {deadline!r:.40}")
        return cls(number(value.get("id"), 1), value["reason"], places, time.monotonic() + deadline)


class Uses:
    """What the owners of a lease may do, in any thread, and what they have to wait for."""

    def __init__(self, ref: str, priority: int, device: Device):
        self.device = device
        self.ref, self.version = ref, ""
        self._priority = priority
        self._owner = os.getpid()
        self._thread: threading.Thread | None = None
        self._awake, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._image = Image(device)
        self._turn = threading.Condition()  # guards what follows
        self._state = COMING
        self._why: AgentError | None = None  # it has ended, or is not to be used
        self._users: dict[int, int] = {}  # depth of uses by thread
        self._shut = 0.0  # newcomers wait until then
        self._working = False  # the thread maps or unmaps
        self._asked: dict[str, Any] | None = None
        self._attempt, self._denied = 0, (0, AgentError("internal", ""))
        # What waits for a quiet point.
        self._pause: Pause | None = None
        self._next: Layout | None = None
        self._lost: AgentError | None = None
        self._detaching = self._closing = self._over = False

    @property
    def state(self) -> str:
        return self._state

    def current(self) -> tuple[Layout, int]:
        """Returns what is mapped, and where."""
        self._ours()
        with self._turn:
            layout = self._image.layout
            if layout is None or self._why and not self._here():
                raise copy.copy(self._why) or NotMapped(f"{self.ref} is not on the GPU now: use it within use()")
            return layout, self._image.address

    def check(self, place: Place, address: int) -> None:
        """Raises unless a tensor that was given for a place still is what lies there."""
        layout, start = self.current()
        if start + place.offset != address or layout.places.get((place.file, place.name)) != place:
            raise Stale(f"tensor {place.name!r} is of a version of {self.ref} that is not at its place any more")

    def enter(self, priority: int | None = None, timeout: float | None = None) -> int:
        """Begins a use, and returns what leave wants."""
        self._ours()
        me = threading.get_ident()
        with self._turn:
            if me not in self._users and not self._here():
                self._until_mapped(priority, timeout)
            self._users[me] = self._users.get(me, 0) + 1
        return me

    def leave(self, who: int) -> None:
        if os.getpid() != self._owner:
            return
        with self._turn:
            self._users[who] -= 1
            if not self._users[who]:
                del self._users[who]
                self._stir()

    def reattach(self, priority: int | None, timeout: float | None) -> None:
        """Returns when the image is there."""
        self._ours()
        with self._turn:
            self._until_mapped(priority, timeout)

    def detach(self, timeout: float | None) -> None:
        """Returns when nothing is mapped any more."""
        self._ours()
        with self._turn:
            self._outside("detach")
            self._detaching = True
            self._shut = float("inf")
            self._stir()
            # Others may have asked for the image again before this thread sees it gone.
            if not self._turn.wait_for(lambda: not self._detaching or self._state == ENDED, timeout):
                self._detaching, self._shut = False, self._pause.until if self._pause else 0.0
                self._turn.notify_all()
                raise AgentError("busy", f"{self.ref} is still in use")

    def close(self) -> None:
        """Ends the lease, once nobody is within a use. What lies in the image is no more."""
        self._ours()
        with self._turn:
            self._outside("close")
            self._closing = True
            self._shut = float("inf")
            self._stir()
            self._turn.wait_for(lambda: self._state == ENDED)

    def end(self) -> None:
        """Ends the lease and its thread. The collector may call it, in any thread, so it never waits."""
        self._over = True
        if os.getpid() == self._owner:
            self._stir()

    def forgive(self) -> None:
        """Forgets that the listener could not follow the image."""
        with self._turn:
            if self._state != ENDED:
                self._why = None
                self._turn.notify_all()

    def pending(self) -> Pause | None:
        return self._pause

    def wait_pending(self, timeout: float | None) -> bool:
        with self._turn:
            return self._turn.wait_for(lambda: self._pause or self._state == ENDED, timeout) and self._pause is not None

    def _until_mapped(self, priority: int | None, timeout: float | None) -> None:
        """Waits until the image may be used, and asks for it if need be."""
        deadline = None if timeout is None else time.monotonic() + timeout
        asked = 0
        while True:
            now = time.monotonic()
            if self._state == ENDED or self._why:
                raise copy.copy(self._why) or ValueError(f"{self.ref} is closed")
            if asked and self._denied[0] >= asked:
                raise copy.copy(self._denied[1])
            if self._state == MAPPED and not self._working and not self._lost and now >= self._shut:
                return
            if self._state == PARKED and not self._working and not self._detaching:
                self._ask(priority, timeout)
            if self._state == COMING:
                asked = self._attempt
            self._sleep(now, deadline)

    def _sleep(self, now: float, deadline: float | None) -> None:
        grace = _GRACE if self._state == COMING else 0.0
        ends = [t for t in (self._shut, float("inf") if deadline is None else deadline + grace) if t > now]
        if deadline is not None and now >= deadline + grace:
            raise AgentError("unavailable", f"{self.ref} has not come to the GPU in time")
        least = min(ends, default=float("inf"))
        self._turn.wait(None if least == float("inf") else least - now)

    def _ask(self, priority: int | None, timeout: float | None) -> None:
        priority = self._priority if priority is None else priority
        self._asked = {"priority": priority, "deadline": timeout or 0}
        self._attempt += 1
        self._state = COMING
        self._stir()

    def _here(self) -> bool:
        """Tells the thread itself, which callbacks run in."""
        return threading.current_thread() is self._thread

    def _outside(self, what: str) -> None:
        if threading.get_ident() in self._users or self._here():
            raise RuntimeError(f"{what} within a use of {self.ref}")

    def _ours(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeError(f"{self.ref} belongs to the process that has attached it: attach it anew in its child")

    def _stir(self) -> None:
        try:
            self._wake.send(b"\0")
        except OSError:  # it is being stirred already, or has ended
            pass
