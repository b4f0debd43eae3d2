"""Tensors in the order in which they come."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Callable, Iterable, Iterator

import numpy as np

from . import dtypes
from .agent import Agent
from .errors import AgentError
from .layout import TensorInfo, listed, pieces, tensor, text
from .lease import Lease, Progress, Stats, shaped, tell
from .memory import Block, Piece
from .model import Form, as_agent


class Stream:
    """An iterator over (name, tensor), each as soon as it is in memory.

    The version stays in memory as long as this object or any of its tensors lives. A
    stream through a window has only a part of it there at a time: what is still in
    use when the next tensor is asked for is copied then, so it pays to let go before.
    """

    def __init__(self, lease: Lease, form: Form, window: bool, progress: Progress | None):
        self.info: TensorInfo | None = None  # what its file says of the last tensor
        self._lease: Lease | None = lease
        self._form = form
        self._window = window
        self._progress = progress
        self._turn = threading.Lock()
        self._ended = False
        self._late: list[TensorInfo] = []  # whose order only the file's header tells
        # What the agent waits for to be acknowledged.
        self._oldest: Callable[[], Block | None] | None = None

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self

    def __next__(self) -> tuple[str, Any]:
        with self._turn:
            lease = self._lease
            if lease is None:
                raise StopIteration
            self._pass(lease)
            self.info, array = self._arrival(lease) or self._straggler(lease)
            return self.info.name, self._form(array)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream. What it has brought stays until its last tensor is gone."""
        self._lease = None

    @property
    def stats(self) -> Stats:
        """What was mapped and what had to be copied."""
        if self._lease is None:
            raise ValueError("the stream is closed")
        return self._lease.stats()

    def _arrival(self, lease: Lease) -> tuple[TensorInfo, np.ndarray] | None:
        """Returns the next tensor that comes; None when all that come have come."""
        while not self._ended:
            frame = lease.next()
            tell(self._progress, frame)
            if frame["type"] == "tensor":
                t = tensor(frame.get("tensor"), text(frame.get("file")))
                if not self._is_late(t):
                    return t, self._take(lease, t, pieces(frame["tensor"].get("runs") or [], lease.segment))
                self._late.append(t)
            elif frame["type"] == "layout":
                lease.arrange(frame["layout"])
                self._ended = True
            elif frame["type"] == "done":
                self._ended = self._window  # which has no layout
        return None

    def _straggler(self, lease: Lease) -> tuple[TensorInfo, np.ndarray]:
        if not self._late:
            raise StopIteration
        t = self._late.pop(0)
        return t, lease.tensor(lease.files[t.file], t.name)

    def _is_late(self, t: TensorInfo) -> bool:
        if len(t.shape) < 2 or not dtypes.from_numpy(t.dtype):
            return False
        if self._window:
            raise AgentError("not_allowed", f"{t.file} is a file of NumPy, of which a window does not tell the order")
        return True

    def _take(self, lease: Lease, t: TensorInfo, parts: list[Piece]) -> np.ndarray:
        if not self._window:
            return lease.array(t, parts, parts)
        # Its place will hold another tensor, so nobody else may find the block there.
        block = lease.map(t, parts, parts) if parts else None
        block = block or lease.copy(parts)
        self._oldest = weakref.ref(block)
        return shaped(np.asarray(block), t)

    def _pass(self, lease: Lease) -> None:
        """Gives the room of the last tensor of a window back."""
        if self._oldest is None:
            return
        block = self._oldest()
        if block is not None and block.mappings:
            block.keep()
            lease.count_copy(block.length)
        self._oldest = None
        lease.acknowledge()


def stream(
    ref: str,
    *,
    first: Iterable[str] = (),
    window: bool = False,
    agent: str | os.PathLike[str] | Agent | None = None,
    framework: str = "numpy",
    device: Any = "cpu",
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Stream:
    """Leases a version and yields its tensors as they arrive, while the rest is on its way.

    Args:
        first: Names of tensors to bring before all others, in their order.
        window: Pass the version through a part of the memory; for one that is larger
            than the agent's budget.

    The other arguments are those of load.
    """
    form = Form(framework, device)
    mode = "window" if window else "stream"
    return Stream(Lease(as_agent(agent), ref, mode=mode, first=first, timeout=timeout), form, window, progress)
