"""Tensors in the order in which they come."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Callable, Iterable, Iterator

import numpy as np

from . import driver, dtypes
from .agent import Agent
from .attach import Attached, attach
from .errors import AgentError
from .image import Place
from .layout import TensorInfo, pieces, tensor, text
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


class DeviceStream:
    """An iterator over (name, tensor) of a version on a GPU, in the agent's memory.

    Until it has ended the image stays as it is. Tensors that are to outlive it are
    cloned, or come from ingot.attach.
    """

    def __init__(self, model: Attached, first: Iterable[str]):
        self.info: Place | None = None  # what its file says of the last tensor
        self._model: Attached | None = model
        self._use = model.use()
        self._use.__enter__()
        rank = {name: n for n, name in enumerate(first)}
        self._names = iter(sorted(model, key=lambda name: rank.get(name, len(rank))))

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self

    def __next__(self) -> tuple[str, Any]:
        model = self._model
        name = next(self._names, None)
        if model is None or name is None:
            self.close()
            raise StopIteration
        self.info = model.info(name)
        return name, model[name]

    def __enter__(self) -> DeviceStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream. The lease ends when the last tensor is gone."""
        if self._model is not None:
            self._model = None
            self._use.__exit__()
            del self._use


def stream(
    ref: str,
    *,
    first: Iterable[str] = (),
    window: bool = False,
    agent: str | os.PathLike[str] | Agent | None = None,
    framework: str | None = None,
    device: Any = "cpu",
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Stream | DeviceStream:
    """Leases a version and yields its tensors as they arrive, while the rest is on its way.

    On a GPU, unless a framework is given, they come as ingot.attach has them, all when
    the last has arrived.

    Args:
        first: Names of tensors to bring before all others, in their order.
        window: Pass the version through a part of the memory; for one that is larger
            than the agent's budget.

    The other arguments are those of load.
    """
    if framework is None and driver.is_gpu(device):
        if window:
            raise ValueError("a window is of the host's memory: a GPU has the whole version")
        return DeviceStream(attach(ref, device, agent=agent, timeout=timeout, progress=progress), first)
    form = Form(framework or "numpy", device)
    mode = "window" if window else "stream"
    return Stream(Lease(as_agent(agent), ref, mode=mode, first=first, timeout=timeout), form, window, progress)
