"""The right to use a version, and what this process has mapped of it."""

from __future__ import annotations

import logging
import os
import sys
import time
import weakref
from typing import Any, Callable, Iterable, NamedTuple, Sequence

import numpy as np

from . import dtypes, memory
from .agent import Agent
from .errors import ProtocolError
from .layout import File, TensorInfo, number
from .link import Link
from .memory import Block, Piece

Progress = Callable[[int, int], None]

_log = logging.getLogger("ingot")


class Stats(NamedTuple):
    """What a lease has given so far."""

    mapped: int  # bytes of the agent's memory that arrays lie in now
    mappings: int  # that this takes of the process
    copied: int  # bytes of tensors that could not be mapped, since the beginning
    held: bool  # an agent knows of the lease; False while the agent restarts


class Lease:
    """A lease. It ends when nobody refers to it, and every array does that.

    Its methods are safe for concurrent use. No lock is held anywhere: two threads
    that ask for one tensor at a time may map it twice, and one mapping stays.
    """

    def __init__(self, agent: Agent, ref: str, *, mode: str = "", first: Iterable[str] = (), timeout: float | None = None):
        request: dict[str, Any] = {"ref": ref, "client": client()}
        if mode:
            request["mode"] = mode
        if first := list(first):
            request["first"] = first
        if timeout is not None:
            request["deadline"] = timeout
        self.files: dict[str, File] = {}
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._blocks: weakref.WeakValueDictionary[Any, Block] = weakref.WeakValueDictionary()
        self._copied: list[int] = []
        self._heard: list[Callable[[str], None]] = []
        self._newest = ""  # version of the reference, once it has moved
        self.must_go = False  # the agent waits for the end of the lease, to put the next version in its place
        self._link = Link(agent, request, _weakly(self))
        weakref.finalize(self, self._link.end).atexit = False

    ref = property(lambda self: self._link.ref)
    version = property(lambda self: self._link.version)

    def wait(self, progress: Progress | None = None) -> None:
        """Returns when the whole version is there. If it does not come, the lease ends."""
        try:
            while (frame := self.next())["type"] != "layout":
                tell(progress, frame)
            self.arrange(frame["layout"])
        except BaseException:
            self._link.end()
            raise

    def next(self) -> dict[str, Any]:
        """Returns the next frame of a version that comes."""
        frame = self._link.next(self._deadline)
        if frame["type"] != "waiting":
            self._deadline = None  # which is for the wait
        return frame

    def acknowledge(self) -> None:
        self._link.acknowledge()

    def arrange(self, layout: dict[str, Any]) -> None:
        """Reads where everything is."""
        files = [File(f, self._link.segment) for f in layout.get("files") or []]
        self.files = {f.info.path: f for f in files}

    def segment(self, ident: int) -> tuple[int, int]:
        return self._link.segment(ident)

    def tensor(self, file: File, name: str) -> np.ndarray:
        """Returns a tensor of a file, without a copy wherever that is possible."""
        t = file.tensor(name)
        parts = file.pieces(t.offset, t.nbytes)
        # One mapping of a run does for all tensors in it.
        whole = [file.run(t.offset)] if len(parts) == 1 else parts
        array = self.array(t, parts, whole)
        if len(t.shape) > 1 and dtypes.from_numpy(t.dtype) and file.in_columns(t, self.read):
            return array.reshape(t.shape[::-1]).T
        return array

    def array(self, t: TensorInfo, parts: Sequence[Piece], whole: Sequence[Piece]) -> np.ndarray:
        """Returns a tensor that lies in parts; whole is what to map for them.

        As long as an array of it lives, who asks again gets the same memory.
        """
        if not parts:
            return shaped(np.empty(0, np.uint8), t)
        key: Any = tuple(whole)
        skip = parts[0].offset - whole[0].offset
        block = self._blocks.get(key) or self.map(t, parts, whole)
        if block is None:
            key, skip = (t.file, t.name), 0
            block = self._blocks.get(key) or self.copy(parts)
        self._blocks[key] = block
        return shaped(np.asarray(block)[skip : skip + t.nbytes], t)

    def map(self, t: TensorInfo, parts: Sequence[Piece], whole: Sequence[Piece]) -> Block | None:
        """Maps what a tensor lies in; None if it has to be copied."""
        dtype = dtypes.numpy_dtype(t.dtype)
        if parts[0].offset % (dtype.alignment if dtype else 1):
            return None
        return memory.view(whole, self)

    def copy(self, parts: Sequence[Piece]) -> Block:
        block = memory.copy(parts, self)
        self.count_copy(block.length)
        return block

    def count_copy(self, nbytes: int) -> None:
        self._copied.append(nbytes)

    def read(self, parts: Iterable[Piece]) -> bytes:
        """Returns the bytes of a part of a file."""
        parts = list(parts)
        content = bytearray(sum(p.length for p in parts))
        memory.read(parts, memoryview(content))
        return bytes(content)

    def stats(self) -> Stats:
        blocks = [b for b in list(self._blocks.values()) if b.mappings]
        return Stats(sum(b.length for b in blocks), sum(b.mappings for b in blocks), sum(self._copied), self._link.held)

    def on_moved(self, callback: Callable[[str], None]) -> None:
        """Has callback called with each new version that the reference gets."""
        self._heard.append(callback)
        if self._newest:
            callback(self._newest)

    def _moved(self, version: str, patch: bool) -> None:
        self._newest = version
        self.must_go |= patch
        for callback in list(self._heard):
            try:
                callback(version)
            except Exception:
                _log.exception("%s: a callback of on_moved has failed", self.ref)


def tell(progress: Progress | None, frame: dict[str, Any]) -> None:
    """Passes on how far a version is that is waited for."""
    if progress and frame["type"] == "waiting":
        progress(number(frame.get("bytes", 0)), number(frame.get("bytes_total", 0)))


def shaped(flat: np.ndarray, t: TensorInfo) -> np.ndarray:
    """Gives the bytes of a tensor its type and shape."""
    try:
        return dtypes.shaped(flat, t.dtype, t.shape)
    except ValueError as e:
        raise ProtocolError(f"tensor {t.name!r} of {t.nbytes} bytes is no {t.dtype} of shape {t.shape}: {e}") from e


def _weakly(lease: Lease) -> Callable[[str, bool], None]:
    """Returns what tells a lease of a new version and does not keep it alive."""
    known = weakref.ref(lease)

    def moved(version: str, patch: bool) -> None:
        lease = known()
        if lease is not None:
            lease._moved(version, patch)

    return moved


def client() -> str:
    """Says who asks, for people."""
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    return f"{program} ({os.getpid()})"
