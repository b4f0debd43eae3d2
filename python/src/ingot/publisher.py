"""Publishes what a training loop has: a snapshot at once, the upload behind it.

Laws:
  - When publish returns, what is published is the caller's again, to change as it likes.
  - Of one reference one upload goes on at a time. The next snapshot waits for it, and
    the version before is the parent of the next.
  - A version is visible with all its files, or not at all.
  - A failure is told to the log, and by the handle or else by the next publish.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import pathlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Iterable, Union

from . import folder, reference, spool, state
from . import tags as tags_of
from .errors import ProgramError, TagMoved
from .program import Program

ANY = "any"  # expect of a tag that may be anywhere
WEIGHTS = "model.safetensors"

_AGAIN = {"unreachable", "busy", "unavailable"}  # codes of what may go better later
_PAUSE, _LONGEST_PAUSE = 0.5, 15.0  # seconds between two attempts

Files = Mapping[str, Union[bytes, str, "os.PathLike[str]", Mapping[str, Any]]]

_log = logging.getLogger("ingot")


class Publication:
    """A version that is on its way, and what it has become."""

    def __init__(self, ref: str, step: int | None):
        self.ref = ref
        self.step = step
        self.paused = 0.0  # seconds that publish took of its caller
        self._future: concurrent.futures.Future[dict[str, Any]]
        self._told = False

    def __repr__(self) -> str:
        return f"<ingot.Publication {self.ref}{'' if self.step is None else f', step {self.step}'}>"

    def done(self) -> bool:
        """Tells whether the upload has ended, well or not."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Waits for the version, and returns the receipt: the JSON of ingot push.

        Raises:
            TagMoved: Somebody else publishes to the tag.
            ProgramError: The upload has failed in another way.
            TimeoutError: It goes on, and timeout seconds are over.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return self._future.result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits for the version, and returns why there is none."""
        try:
            error = self._future.exception(timeout)
        except concurrent.futures.TimeoutError:
            raise TimeoutError(f"{self.ref} is not published after {timeout} seconds") from None
        self._told = True
        return error

    def surface(self) -> None:
        """Waits, and raises a failure that nobody has been told of."""
        concurrent.futures.wait([self._future])
        if not self._told:
            self.result()


class Publisher:
    """Publishes to one reference, which has a tag. It is safe for threads."""

    def __init__(
        self, ref: str, *, registry: str | None = None, spool_dir: str | os.PathLike[str] | None = None, patience: float = 600
    ):
        what = reference.parse(ref)
        if what.path or what.fixed:
            raise ValueError(f"{ref!r} cannot be published to: want namespace/model:tag")
        self.ref, self.repo, self._tag = str(what), what.repo, what.revision
        self._program = Program(registry)
        self._patience = patience
        self._spool = spool.Spool(pathlib.Path(spool_dir) if spool_dir else spool.default(), self.ref)
        self._worker = concurrent.futures.ThreadPoolExecutor(1, f"ingot publish {self.ref}")
        self._turn = threading.Lock()
        self._last: Publication | None = None
        self._digest = ""  # of the version that was published last

    def publish(
        self,
        what: Any,
        *,
        base: str | None = None,
        step: int | None = None,
        loss: float | None = None,
        run: str | None = None,
        annotations: Mapping[str, str] | None = None,
        files: Files | None = None,
        tags: Iterable[str] = (),
        asynchronously: bool = True,
        expect: str | None = None,
        links: bool = False,
        ignore_patterns: str | Iterable[str] = (),
    ) -> Publication:
        """Publishes a version; the arguments are those of ingot.publish."""
        began = time.monotonic()
        arguments = annotated(step, loss, run, annotations)
        ignored = [ignore_patterns] if isinstance(ignore_patterns, str) else list(ignore_patterns)
        publication = Publication(self.ref, step)
        with self._turn:
            self.wait()
            path = self._spool.new()
            try:
                _snapshot(what, path, files or {}, links, ignored)
            except BaseException:
                self._spool.drop(path)
                raise
            publication._future = self._worker.submit(self._upload, path, arguments, base, expect, list(tags))
            self._last = publication
        publication.paused = time.monotonic() - began
        if not asynchronously:
            publication.result()
        return publication

    def wait(self) -> None:
        """Waits until nothing is on its way, and raises a failure that nobody has been told of."""
        if self._last is not None:
            self._last.surface()

    def remove_tag(self, tag: str) -> None:
        """Removes a tag when everything before is done. The version stays, as long as it is kept."""
        self._worker.submit(self._remove, tag)

    def close(self) -> None:
        """Waits, and lets another process have the spool."""
        self._worker.shutdown()
        self._spool.close()

    # What the worker does.

    def _upload(
        self, path: pathlib.Path, arguments: list[str], base: str | None, expect: str | None, tags: list[str]
    ) -> dict[str, Any]:
        try:
            arguments = ["push", str(path), self.ref, *arguments]
            if (expected := self._digest if expect is None else expect) not in ("", ANY):
                arguments += ["--expect", expected]
            receipt = self._patiently(path, arguments, base)
            self._digest = receipt["digest"]
            self._spool.published(path, self._digest)
            for tag in tags:
                self._program("tag", f"{self.repo}@{self._digest}", tag)
            return receipt
        except BaseException as e:
            self._spool.drop(path)
            _log.warning("%s was not published: %s", self.ref, e)
            raise

    def _remove(self, tag: str) -> None:
        try:
            self._program("rm", f"{self.repo}:{tag}")
        except ProgramError as e:
            _log.log(logging.DEBUG if e.code == "not_found" else logging.WARNING, "%s:%s stays: %s", self.repo, tag, e)

    def _patiently(self, path: pathlib.Path, arguments: list[str], base: str | None) -> dict[str, Any]:
        """Pushes as often as it takes, as long as there is hope that it helps."""
        until, pause, tried = time.monotonic() + self._patience, _PAUSE, False
        while True:
            try:
                return self._push(arguments, base)
            except TagMoved:
                if tried and (mine := self._mine(path)):  # only the answer was lost
                    return mine
                raise
            except (ProgramError, ConnectionError) as e:
                again = isinstance(e, ConnectionError) or e.code in _AGAIN
                if not again or time.monotonic() + pause > until:
                    raise
                _log.info("%s: the upload goes on in %.1f seconds: %s", self.ref, pause, e)
            tried = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _push(self, arguments: list[str], base: str | None) -> dict[str, Any]:
        parent = base or self._parent()
        based = ["--base", parent] if parent else []
        try:
            return self._program(*arguments, *based, held=[self._spool.lock])
        except ProgramError as e:
            if base or not based or e.code != "not_found":
                raise
            return self._program(*arguments, held=[self._spool.lock])  # the version before was retired

    def _parent(self) -> str:
        """Returns the version before: ours, else the one that the tag is at."""
        digest = self._digest or tags_of.now(self._program.registry, self.repo, self._tag)
        return f"{self.repo}@{digest}" if digest else ""

    def _mine(self, path: pathlib.Path) -> dict[str, Any] | None:
        """Returns the version of the tag if it has the files of a snapshot."""
        digest = tags_of.now(self._program.registry, self.repo, self._tag)
        try:
            self._program("verify", f"{self.repo}@{digest}", str(path))
        except ProgramError:
            return None
        return {"ref": self.ref, "digest": digest}


_publishers: dict[tuple[int, str, str, str], Publisher] = {}
_lock = threading.Lock()


def publish(
    what: Any,
    ref: str,
    *,
    base: str | None = None,
    step: int | None = None,
    loss: float | None = None,
    run: str | None = None,
    annotations: Mapping[str, str] | None = None,
    files: Files | None = None,
    tags: Iterable[str] = (),
    asynchronously: bool = True,
    expect: str | None = None,
    links: bool = False,
    ignore_patterns: str | Iterable[str] = (),
    registry: str | None = None,
    spool_dir: str | os.PathLike[str] | None = None,
) -> Publication:
    """Publishes weights as a version, and returns when they may change again.

    The upload goes on behind it, and sends what differs from the version before. While
    one of the reference goes on, the next call waits for it.

    Args:
        what: A state dict of NumPy or PyTorch, whose dicts of dicts get names with
            dots; something with a state_dict(); or the path of a folder or file.
        ref: Where to, such as "acme/policy" or "acme/policy:run-7".
        base: The version that this one was made from; otherwise the one that was
            published before, otherwise the one that the tag is at.
        step, loss, run: Facts about the version: its annotations ingot.step,
            ingot.loss and ingot.run.
        annotations: More of them.
        files: More files of the version, such as config.json: bytes, a path, or a state
            dict for a file of its own.
        tags: Tags that the version gets too, when it is there.
        asynchronously: False waits until the version is there.
        expect: Where the tag must be: a digest, "none" for a new tag, "any". Otherwise
            anywhere at first, and then where the version before was put.
        links: The files of a folder are only ever replaced or removed, so that the
            snapshot may have them by links.
        ignore_patterns: Files of a folder that are not published, such as "optimizer.*".
        registry: Where to publish; otherwise INGOT_REGISTRY.
        spool_dir: Where snapshots wait; otherwise ingot/publish in the user's cache folder.

    Raises:
        TagMoved, ProgramError: The version before has failed, and nobody has asked for
            its result. This one is not published.
    """
    key = (os.getpid(), ref, registry or "", str(spool_dir or ""))
    with _lock:
        if key not in _publishers:
            _publishers[key] = Publisher(ref, registry=registry, spool_dir=spool_dir)
        publisher = _publishers[key]
    return publisher.publish(
        what, base=base, step=step, loss=loss, run=run, annotations=annotations, files=files, tags=tags,
        asynchronously=asynchronously, expect=expect, links=links, ignore_patterns=ignore_patterns,
    )  # fmt: skip


def annotated(
    step: int | None, loss: float | None, run: str | None, annotations: Mapping[str, str] | None
) -> list[str]:
    """Returns the facts about a version as arguments of the program."""
    known = {"ingot.step": step, "ingot.loss": None if loss is None else float(loss), "ingot.run": run}
    facts = {**{key: str(value) for key, value in known.items() if value is not None}, **(annotations or {})}
    return [f"--annotation={key}={value}" for key, value in facts.items()]


def _snapshot(what: Any, path: pathlib.Path, files: Files, links: bool, ignored: list[str]) -> None:
    """Puts what is to be published into a folder that nobody else writes to."""
    if isinstance(what, (str, os.PathLike)):
        folder.copy(pathlib.Path(what), path, links=links, ignore=ignored)
    else:
        held = what.state_dict() if hasattr(what, "state_dict") else what
        if not isinstance(held, Mapping):
            raise TypeError(f"a {type(what).__name__} cannot be published: want a state dict or the path of a folder")
        state.write(path / WEIGHTS, held)
    for name, content in files.items():
        if not reference.below(name):
            raise ValueError(f"file {name!r}: want a path that stays in the version")
        to = path / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Mapping):
            state.write(to, content)
        else:
            to.write_bytes(content if isinstance(content, bytes) else pathlib.Path(content).read_bytes())
