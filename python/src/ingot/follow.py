"""Follows a reference: each version that it gets, as tensors.

Laws:
  - Versions come in the order in which the tag had them. Who is slow gets the newest,
    and those between never.
  - Of a version that is yielded every tensor is there. It is the loop's until the next
    is asked for; its arrays stay what they are.
"""

from __future__ import annotations

import logging
import os
import pathlib
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any, Callable, Iterable, Iterator

from . import address, reference, spool, tags
from .agent import Agent
from .errors import AgentError, NoAgent, ProgramError
from .model import Form, Model, load
from .program import Program
from .reference import Reference
from .weights import Weights

_LOOK = 30.0  # seconds after which one looks for a version of which nobody has told
_ABSENT = 1.0  # the same, of a reference that names nothing yet
_LATER = {"not_found", "unreachable", "busy", "unavailable"}  # codes of what may go better later

_log = logging.getLogger("ingot")


class Version(Mapping):
    """A version of what is watched: a read-only mapping from names to tensors."""

    def __init__(
        self, ref: str, weights: Model | Weights, before: Model | Weights | None, receipt: dict[str, Any], newer: Callable[[], bool]
    ):
        self.ref = ref  # which always names it
        self.receipt = receipt  # what bringing it here has moved: the JSON of ingot pull, or of the agent's load
        self._weights: Model | Weights | None = weights
        self._before = before
        self._newer = newer
        self._changed: list[str] | None = None

    @property
    def version(self) -> str:
        """The digest of the version."""
        return self.ref.partition("@")[2]

    def __getitem__(self, name: str) -> Any:
        return self._held()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __len__(self) -> int:
        return len(self._held())

    def __repr__(self) -> str:
        return f"<ingot.Version {self.ref[:-52]}>"

    @property
    def changed(self) -> list[str]:
        """The names of the tensors that the version before has not, or not the same."""
        if self._changed is None:
            weights = self._held()
            self._changed = list(weights) if self._before is None else weights.differing(self._before)  # type: ignore[arg-type]
            self._before = None
        return self._changed

    def updated(self) -> Iterator[tuple[str, Any]]:
        """Yields (name, tensor) of each that has changed; of the first version, all."""
        for name in self.changed:
            yield name, self[name]

    def newer(self) -> bool:
        """Tells whether there is a version after this one, on this machine, for the loop to get next."""
        return self._newer()

    def read_file(self, path: str) -> bytes:
        """Returns the bytes of a file of the version, such as config.json."""
        return self._held().read_file(path)

    def _held(self) -> Model | Weights:
        if self._weights is None:
            raise ValueError(f"{self.ref} is gone: another version was asked for")
        return self._weights

    def _let_go(self) -> None:
        self._weights = self._before = None


class Watch:
    """An iterator over the versions that a reference gets. It ends with close()."""

    def __init__(self, source: _Leases | _Folder, timeout: float | None):
        self._source = source
        self._timeout = timeout
        self._at: Version | None = None

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Version:
        before, self._at = self._at, None
        if before is not None:
            before._let_go()
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        self._at = self._source.next(deadline)
        if self._at is None:
            raise StopIteration
        return self._at

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the iterator, from any thread. Arrays stay."""
        self._source.close()


class _Source:
    """What versions come from. A thread brings them here as soon as it hears of them."""

    def __init__(self, ref: Reference, form: Form, file: str | Iterable[str] | None, compare: bool):
        self.ref, self.form, self.compare = ref, form, compare
        self.file = file if file is None or isinstance(file, str) else list(file)
        self.moved = threading.Event()
        self.moved.set()
        self.closed = False
        self.listener: tags.Listener | None = None
        self.version = ""  # that was yielded last
        self.weights: Any = None
        self.receipt: dict[str, Any] = {}
        self.newest = ""  # version that is here

    def next(self, deadline: float | None) -> Version | None:
        while not self.closed:
            if self.wait(deadline) and not self.closed and (found := self.look()):
                before, (self.version, self.weights) = self.weights, found
                ref = f"{self.ref.repo}@{self.version}"
                return Version(ref, self.weights, before if self.compare else None, self.receipt, self.newer)
        return None

    def wait(self, deadline: float | None) -> bool:
        """Waits for a reason to look for another version, or for the time to do so anyway."""
        pause = _LOOK if self.version else _ABSENT
        left = pause if deadline is None else deadline - time.monotonic()
        if left < 0:
            raise TimeoutError(f"{self.ref}: no other version came in time")
        told = self.moved.wait(min(pause, left))
        self.moved.clear()
        return told or min(pause, left) == pause

    def newer(self) -> bool:
        return self.newest not in ("", self.version)

    def look(self) -> tuple[str, Any] | None:
        """Brings the version that there is now, and returns it if it is another."""
        raise NotImplementedError

    def bring(self) -> None:
        """Has the version that there is now on this machine."""
        raise NotImplementedError

    def listen(self, registry: str) -> None:
        """Hears of changes where the registry is."""
        known = weakref.WeakMethod(self._changed)
        self.listener = tags.Listener(registry, self.ref.repo, self.ref.revision, lambda: (known() or bool)())

    def close(self) -> None:
        self.closed, self.weights = True, None
        self.moved.set()
        if self.listener is not None:
            self.listener.close()

    def _changed(self) -> None:
        """Is called by the thread that listens."""
        if not self.closed:
            try:
                self.bring()
            except Exception as e:  # who asks for the next version is told
                _log.info("%s: no other version yet: %s", self.ref, e)
            if self.newer():
                self.moved.set()


class _Leases(_Source):
    """Versions in the memory of an agent, whether it watches the reference itself or not."""

    def __init__(self, ref: Reference, form: Form, file: Any, compare: bool, agent: str):
        super().__init__(ref, form, file, compare)
        self._agent = Agent(agent)
        self._turn = threading.Lock()
        self._brought = ""  # version that the receipt is of
        self._looking = False

    def bring(self) -> None:
        with self._turn:
            receipt = self._agent.load(str(self.ref), "ram")  # it looks at the tag again
            self.newest = str(receipt.get("version", ""))
            if self.newest != self._brought:  # who loads a version again moves nothing
                self._brought, self.receipt = self.newest, receipt

    def look(self) -> tuple[str, Any] | None:
        if self.listener is None:
            # An agent tells only of tags that it watches.
            url = (self._agent.status().get("registry") or {}).get("url")
            if isinstance(url, str) and address.is_url(url):
                self.listen(url)
        self._make_room()
        self._looking = True
        try:
            if not self.newer():
                self.bring()
            model = load(str(self.ref), agent=self._agent, file=self.file)
            if self._brought != model.version:
                self.bring()  # the thread that listens may not have its receipt yet
            self.newest = model.version
        except AgentError as e:
            if e.code not in _LATER or isinstance(e, NoAgent):
                raise
            _log.info("%s: no other version yet: %s", self.ref, e)
            return None
        finally:
            self._looking = False
        model.form = self.form
        model.on_moved(self._heard)
        if model.version != self.version:
            return model.version, model
        if self.weights is None:
            self.weights = model  # the next has not come into its place yet, which this hears of
        return None

    def _heard(self, version: str) -> None:
        self.newest = version
        if self.newer():
            self.moved.set()
            if self._looking:
                self._make_room()

    def _make_room(self) -> None:
        """Lets go of the version before if the agent needs its place for the next."""
        weights = self.weights
        if weights is not None and weights.must_go:
            self.weights = None


class _Folder(_Source):
    """Versions in a folder, which the program pulls."""

    def __init__(self, ref: Reference, form: Form, file: Any, compare: bool, registry: str, folder: Any):
        super().__init__(ref, form, file, compare)
        self._program = Program(registry)
        self._turn = threading.Lock()
        self._let_go: Callable[[], object] = bool
        if folder is None:
            top, lock = spool.own(spool.default("watch"), str(ref))
            folder, self._let_go = top / "files", weakref.finalize(self, os.close, lock)
        self._folder = pathlib.Path(folder)
        self.listen(self._program.registry)

    def bring(self) -> None:
        with self._turn:
            self._pull()

    def look(self) -> tuple[str, Any] | None:
        try:
            with self._turn:
                self._pull()
                if not self.newer():
                    return None
                return self.newest, Weights(self._folder, self.form, self.file)
        except (ProgramError, ConnectionError) as e:
            later = isinstance(e, ConnectionError) or e.code in _LATER
            if not later or not self.version:
                raise
            _log.info("%s: no other version yet: %s", self.ref, e)
            return None

    def close(self) -> None:
        super().close()
        self._let_go()

    def _pull(self) -> None:
        digest = tags.now(self._program.registry, self.ref.repo, self.ref.revision)
        if digest not in ("", self.newest):
            self.receipt = self._program("pull", f"{self.ref.repo}@{digest}", str(self._folder), "--delete", "--no-cache")
            self.newest = digest


def watch(
    ref: str,
    *,
    agent: str | os.PathLike[str] | None = None,
    registry: str | None = None,
    framework: str = "numpy",
    device: Any = "cpu",
    file: str | Iterable[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    compare: bool = True,
    timeout: float | None = None,
) -> Watch:
    """Yields the version that a reference names, then each that it names next.

    Where there is an agent its memory is used, otherwise the program ingot pulls into a
    folder, and only what differs from what is there. A reference that names nothing yet
    is waited for.

    Args:
        ref: Such as "acme/policy", with a tag.
        agent: Where to read from; otherwise INGOT_AGENT, otherwise an agent at its usual path.
        registry: A registry to read from instead; without it and an agent INGOT_REGISTRY.
        framework, device, file: As ingot.load has them.
        folder: Where versions are pulled to; otherwise ingot/watch in the user's cache folder.
        compare: Keep the version before until the next is asked for, so that updated()
            knows what has changed. Otherwise everything has.
        timeout: Seconds to wait for each version, after which TimeoutError is raised.
    """
    what = reference.parse(ref)
    if what.path or what.fixed:
        raise ValueError(f"{ref!r} does not change: want namespace/model:tag")
    form, place = Form(framework, device), address.reading(agent, registry)
    if folder is None and place.agent and not address.is_url(place.address):
        return Watch(_Leases(what, form, file, compare, place.address), timeout)
    return Watch(_Folder(what, form, file, compare, address.registry(registry), folder), timeout)
