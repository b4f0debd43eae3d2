"""A version on a GPU as a mapping from the names of its tensors to tensors."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Callable, Iterable, Iterator

from . import driver, tensors
from .agent import Agent
from .image import Layout, Place
from .lease import Progress, client
from .model import as_agent
from .session import Listener, Session
from .tensors import DeviceArray, Token
from .uses import MAPPED, PARKED, Pause

_log = logging.getLogger("ingot")


class Attached(Mapping, Listener):
    """The tensors of a version on a GPU, in the agent's memory, to be read only.

    What follows after an image is changed in its place, or another has come, is what
    the mapping has now. See ingot.attach.
    """

    def __init__(self, session: Session, token: Token, framework: str | None, file: str | Iterable[str] | None):
        self._session, self._token = session, token
        self._file = file
        self._torch = tensors.has_torch() if framework is None else framework in ("torch", "pt")
        self._heard: dict[str, list[Callable[[Any], None]]] = {"pause": [], "change": [], "moved": []}
        self._bound: list[Callable[[], None]] = []
        self._newest = ""
        self.progress: Progress | None = None  # is told how far an image is that is waited for
        self._names: tuple[Layout | None, dict[str, Place]] = None, {}
        self._flat: tuple[tuple[int, int], Any] = (0, 0), None
        self._made: dict[Place, tuple[int, Any]] = {}

    ref = property(lambda self: self._session.ref, doc="What is leased.")
    version = property(lambda self: self._session.version, doc="The version whose image came last.")
    device = property(lambda self: str(self._session.device), doc="The UUID of the GPU.")
    mapped = property(lambda self: self._session.state == MAPPED, doc="The image is there.")
    parked = property(lambda self: self._session.state == PARKED, doc="It is not, and has to be asked for.")
    held = property(lambda self: self._session.held, doc="An agent knows of the lease.")

    def __getitem__(self, name: str) -> Any:
        place, address = self._find(name)
        made = self._made.get(place)
        if made is None or made[0] != address:
            made = self._made[place] = address, self._make(place, address)
        return made[1]

    def __iter__(self) -> Iterator[str]:
        layout, _ = self._session.current()
        for name in self._places(layout):
            if self._session.current()[0] is not layout:
                raise RuntimeError(f"{self.ref} has changed while it was gone through: do that within use()")
            yield name

    def __len__(self) -> int:
        return len(self._places(self._session.current()[0]))

    def __contains__(self, name: object) -> bool:
        return name in self._places(self._session.current()[0])

    def __repr__(self) -> str:
        return f"<ingot.Attached {self.ref} on {self.device}, {self._session.state}>"

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def info(self, name: str) -> Place:
        """Returns what is known of a tensor: its type as the file spells it, its shape, its place."""
        return self._find(name)[0]

    def address(self, name: str) -> int:
        """Returns where a tensor is on the GPU."""
        place, start = self._find(name)
        return start + place.offset

    def clone(self, name: str) -> Any:
        """Returns a copy of a tensor that is this process's own, and may be written."""
        with self.use():
            return self[name].clone()

    def use(self, *, priority: int | None = None, timeout: float | None = None) -> Use:
        """Returns a context in which the image stays as it is.

        It waits for the image first, if others have it. Within the context no pause
        is honoured; outside of all of them, every pause is at once.
        """
        return Use(self, priority, timeout)

    def pauses(self, *, priority: int | None = None, timeout: float | None = None) -> Pauses:
        """Returns a use for a loop that says itself where it can pause."""
        return Pauses(self, priority, timeout)

    def detach(self, timeout: float | None = None) -> None:
        """Unmaps everything, and lets others have the memory. Addresses stay reserved."""
        self._session.detach(timeout)

    def reattach(self, timeout: float | None = None, *, priority: int | None = None) -> None:
        """Returns when the image is mapped again, where it was."""
        self._session.reattach(priority, timeout)

    def close(self) -> None:
        """Unmaps everything and ends the lease. The tensors must not be used any more."""
        self._made, self._flat = {}, ((0, 0), None)
        self._session.close()

    def on_pause(self, callback: Callable[[Pause], None]) -> None:
        """Has callback called with each pause that the agent asks for, before it is
        honoured, so that who is within a use can leave. A thread of ingot calls it."""
        self._heard["pause"].append(callback)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Has callback called with the version whenever another has been mapped, or this
        one lies otherwise, before anybody uses it. A thread of ingot calls it."""
        self._heard["change"].append(callback)

    def on_moved(self, callback: Callable[[str], None]) -> None:
        """Has callback called with each new version that the reference gets."""
        self._heard["moved"].append(callback)
        if self._newest:
            callback(self._newest)

    def bind(self, follow: Callable[[], None]) -> None:
        """Has follow called after each change, before what on_change says. If it
        fails, so does every use until an image comes that it can follow."""
        self._bound.append(follow)

    def unbind(self, follow: Callable[[], None]) -> None:
        """Ends what bind has begun. A failure to follow is forgotten."""
        self._bound.remove(follow)
        self._session.forgive()

    # What the session tells.

    def waiting(self, done: int, total: int) -> None:
        if self.progress:
            self.progress(done, total)

    def paused(self, pause: Pause) -> None:
        self._call("pause", pause)

    def changed(self, layout: Layout) -> None:
        known = set(layout.places.values())
        self._made = {place: made for place, made in self._made.items() if place in known}
        for follow in list(self._bound):
            follow()
        if self._bound:
            self._session.device.synchronize()  # with copies that it made
        self._call("change", layout.version)

    def moved(self, version: str) -> None:
        self._newest = version
        self._call("moved", version)

    def _call(self, what: str, told: Any) -> None:
        for callback in list(self._heard[what]):
            try:
                callback(told)
            except Exception:
                _log.exception("%s: a callback of on_%s has failed", self.ref, what)

    # Tensors.

    def _find(self, name: str) -> tuple[Place, int]:
        layout, address = self._session.current()
        try:
            return self._places(layout)[name], address
        except KeyError:
            raise KeyError(f"{layout.ref} has no tensor {name!r} in version {layout.version:.12}") from None

    def _places(self, layout: Layout) -> dict[str, Place]:
        known, names = self._names
        if known is not layout:
            names = _index(layout, self._file)
            self._names = layout, names
        return names

    def _make(self, place: Place, address: int) -> Any:
        device = self._session.device
        if not self._torch:
            return DeviceArray(device, address + place.offset, place, self._session.check, self._token)
        layout, _ = self._session.current()
        key, flat = self._flat
        if key != (address, layout.size):
            flat = tensors.torch_bytes(device, address, layout.size, self._token)
            self._flat = (address, layout.size), flat
        return tensors.torch_tensor(flat, place)


class Use:
    """A part of a program that uses an image: within it, the image stays as it is."""

    def __init__(self, model: Attached, priority: int | None, timeout: float | None):
        self.model = model
        self._priority, self._timeout = priority, timeout
        self._within: list[int] = []

    def __enter__(self) -> Any:
        self._within.append(self.model._session.enter(self._priority, self._timeout))
        return self.model

    def __exit__(self, *_: object) -> None:
        self.model._session.leave(self._within.pop())


class Asked:
    """A pause that a loop has been told of."""

    def __init__(self, pauses: Pauses, pause: Pause):
        self.reason, self.until = pause.reason, pause.until
        self._pauses = pauses

    def release(self) -> None:
        """Lets go now. What is gone through next waits for the image."""
        self._pauses._let_go()


class Pauses:
    """A use that can be left for a pause: going through it yields the pause that is
    asked for, if one is, and has the image again when that returns."""

    def __init__(self, model: Attached, priority: int | None, timeout: float | None):
        self.model = model
        self._use = Use(model, priority, timeout)
        self._using = self._asked = False

    def __enter__(self) -> Pauses:
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def __iter__(self) -> Pauses:
        return self

    def __next__(self) -> Asked:
        if self._asked:
            self._let_go()
            self._take()
        pause = self.model._session.pending()
        self._asked = pause is not None
        if pause is None:
            raise StopIteration
        return Asked(self, pause)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until a pause is asked for; tells whether one is."""
        return self.model._session.wait_pending(timeout)

    def _take(self) -> None:
        if not self._using:
            self._use.__enter__()
            self._using = True

    def _let_go(self) -> None:
        if self._using:
            self._using = False
            self._use.__exit__()


def attach(
    ref: str,
    device: Any = "cuda:0",
    *,
    agent: str | os.PathLike[str] | Agent | None = None,
    share: bool = False,
    priority: int = 0,
    follow: bool = False,
    timeout: float | None = None,
    progress: Progress | None = None,
    framework: str | None = None,
    file: str | Iterable[str] | None = None,
) -> Attached:
    """Leases a version on a GPU, which the agent brings there first if it has to.

    Args:
        ref: What to use, such as "acme/llama:prod" or "acme/llama@<digest>".
        device: The GPU: "cuda:0", a number, a torch.device or a UUID.
        agent: Its socket; otherwise INGOT_AGENT, otherwise where it listens by default.
        share: Others may have the memory while nobody is within a use.
        priority: Of this process when it waits for memory; the higher one is first.
        follow: Use what the reference names, whenever that changes.
        timeout: Seconds to wait for the version; the agent has a default.
        progress: Called with bytes done and in all while that takes, by a thread.
        framework: "torch", or "array" for DeviceArray; otherwise PyTorch if it is
            loaded and has a GPU.
        file: The path, or paths, of the files whose tensors to have. Needed if
            several files have tensors of one name.

    Raises:
        NoAgent: None answers.
        AgentError: It refuses, for example because there is no room.
        DriverError: There is no CUDA driver, or it fails.
    """
    if framework not in (None, "torch", "pt", "array"):
        raise ValueError(f"framework {framework!r}: want torch or array")
    gpu = driver.load().device(device)
    if framework in ("torch", "pt"):
        import torch

        torch.cuda.init()
    request: dict[str, Any] = {"ref": ref, "tier": "gpu", "device": str(gpu), "client": client()}
    given = {"priority": priority, "yield": share, "follow": follow, "deadline": timeout or 0}
    request |= {key: value for key, value in given.items() if value}
    session, token = Session(as_agent(agent), request, gpu), Token()
    tensors.ending(token, session)
    model = Attached(session, token, framework, file)
    model.progress = progress
    session.start(model)
    try:
        session.reattach(None, timeout)
        len(model)  # the names are no two tensors
    except BaseException:
        session.end()
        raise
    return model


def _index(layout: Layout, file: str | Iterable[str] | None) -> dict[str, Place]:
    """Finds the tensor of each name."""
    wanted = None if file is None else {file} if isinstance(file, str) else set(file)
    missing = (wanted or set()) - {path for path, _ in layout.places}
    if missing:
        raise FileNotFoundError(f"{layout.ref} has no file {min(missing)!r} with tensors")
    found: dict[str, Place] = {}
    for (path, name), place in layout.places.items():
        if wanted is not None and path not in wanted:
            continue
        if name in found:
            raise ValueError(f"{layout.ref} has a tensor {name!r} in {found[name].file} and in {path}: choose with file=")
        found[name] = place
    return found
