"""A version as a mapping from the names of its tensors to arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Callable, Iterable, Iterator

import numpy as np

from . import dtypes, memory
from .agent import Agent
from .layout import File, FileInfo, TensorInfo
from .lease import Lease, Progress, Stats

_COMPARED = 16 << 20  # bytes at a time
_FRAMEWORKS = {"numpy": False, "np": False, "torch": True, "pt": True}


class Form:
    """How tensors are to come: as what, and where."""

    def __init__(self, framework: str, device: Any):
        if framework not in _FRAMEWORKS:
            raise ValueError(f"framework {framework!r}: want numpy or torch")
        self.torch = _FRAMEWORKS[framework]
        self.device = device
        if not self.torch and str(device) != "cpu":
            raise ValueError(f"device {device!r}: NumPy has none but cpu, say framework='torch'")
        if self.torch:
            import torch  # noqa: F401  absent, it should be told before anything is loaded

    def __call__(self, array: np.ndarray) -> Any:
        return dtypes.to_torch(array, self.device) if self.torch else array


class Model(Mapping):
    """The tensors of a version, read only when they are asked for.

    An array lies in the memory of the agent. Writing into one changes it for this
    process alone, and costs the page that is written. The version stays in memory as
    long as this object or any of its arrays lives.
    """

    def __init__(self, lease: Lease, form: Form, names: Iterable[str] | None, file: str | Iterable[str] | None):
        self._lease: Lease | None = lease
        self.form = form
        self.ref: str = lease.ref
        self.version: str = lease.version
        self._tensors = _index(lease, file)
        if names is not None:
            self._tensors = {name: self._file(name) for name in names}

    def __getitem__(self, name: str) -> Any:
        return self.form(self.array(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __repr__(self) -> str:
        return f"<ingot.Model {self.ref}, {len(self)} tensors>"

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the version, which stays until its last array is gone."""
        self._lease = None

    def array(self, name: str) -> np.ndarray:
        """Returns a tensor as NumPy has it, whatever the framework."""
        return self._held().tensor(self._file(name), name)

    def info(self, name: str) -> TensorInfo:
        """Returns what the file says of a tensor: its type as the file spells it, its shape, its place."""
        return self._file(name).tensor(name)

    @property
    def files(self) -> list[FileInfo]:
        """The files of the version, those without tensors too."""
        return [f.info for f in self._held().files.values()]

    def read_file(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Returns the bytes of a file of the version, such as config.json, or a part of them."""
        lease = self._held()
        if path not in lease.files:
            raise FileNotFoundError(f"{self.ref} has no file {path!r}")
        file = lease.files[path]
        offset = min(offset, file.info.size)
        rest = file.info.size - offset
        return lease.read(file.pieces(offset, rest if length is None else min(length, rest)))

    @property
    def stats(self) -> Stats:
        """What was mapped and what had to be copied."""
        return self._held().stats()

    @property
    def must_go(self) -> bool:
        """Whether the agent waits for the end of this and of its arrays, because it has no
        room for the next version beside it."""
        return self._held().must_go

    def on_moved(self, callback: Callable[[str], None]) -> None:
        """Has callback called with the new version when the reference moves to one.

        A thread calls it, perhaps twice for a version. This model stays what it is;
        load again for the new one.
        """
        self._held().on_moved(callback)

    def in_file_order(self) -> list[str]:
        """Returns the names as the tensors lie in their files."""
        return sorted(self._tensors, key=lambda name: (self.info(name).file, self.info(name).offset))

    def differing(self, other: Model) -> list[str]:
        """Returns the names of tensors that another version has not, or not the same.

        What the two share in the memory of an agent is not read.
        """
        return [name for name in self if name not in other or not self._same(other, name)]

    def _same(self, other: Model, name: str) -> bool:
        mine, theirs = self.info(name), other.info(name)
        if (mine.dtype, mine.shape, mine.nbytes) != (theirs.dtype, theirs.shape, theirs.nbytes):
            return False
        parts = self._file(name).pieces(mine.offset, mine.nbytes)
        others = other._file(name).pieces(theirs.offset, theirs.nbytes)
        if memory.places(parts) == memory.places(others):
            return True
        return all(self._content(name, at) == other._content(name, at) for at in range(0, mine.nbytes, _COMPARED))

    def _content(self, name: str, at: int) -> bytes:
        t = self.info(name)
        return self._held().read(self._file(name).pieces(t.offset + at, min(_COMPARED, t.nbytes - at)))

    def _file(self, name: str) -> File:
        try:
            return self._tensors[name]
        except KeyError:
            raise KeyError(f"{self.ref} has no tensor {name!r}") from None

    def _held(self) -> Lease:
        if self._lease is None:
            raise ValueError(f"{self.ref} is closed")
        return self._lease


def load(
    ref: str,
    *,
    agent: str | os.PathLike[str] | Agent | None = None,
    framework: str = "numpy",
    device: Any = "cpu",
    names: Iterable[str] | None = None,
    file: str | Iterable[str] | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Model:
    """Leases a version, which the agent brings into memory first if it has to.

    Args:
        ref: What to load, such as "acme/llama:prod" or "acme/llama@<digest>".
        agent: Its socket; otherwise INGOT_AGENT, otherwise where it listens by default.
        framework: "numpy" or "torch": what the tensors are.
        device: Of PyTorch. Another than the CPU gets copies.
        names: The tensors to have; others are then not in the mapping.
        file: The path, or paths, of the files whose tensors to have. Needed if
            several files have tensors of one name.
        timeout: Seconds to wait for the version; the agent has a default.
        progress: Called with bytes done and in all while that takes.

    Raises:
        NoAgent: None answers.
        AgentError: It refuses, for example because there is no room.
    """
    form = Form(framework, device)
    lease = Lease(as_agent(agent), ref, timeout=timeout)
    lease.wait(progress)
    return Model(lease, form, names, file)


def as_agent(agent: str | os.PathLike[str] | Agent | None) -> Agent:
    return agent if isinstance(agent, Agent) else Agent(agent)


def _index(lease: Lease, file: str | Iterable[str] | None) -> dict[str, File]:
    """Finds the file of each tensor."""
    paths = lease.files if file is None else [file] if isinstance(file, str) else list(file)
    found: dict[str, File] = {}
    for path in paths:
        if path not in lease.files:
            raise FileNotFoundError(f"{lease.ref} has no file {path!r}")
        for name in lease.files[path].tensors:
            if name in found:
                raise ValueError(
                    f"{lease.ref} has a tensor {name!r} in {found[name].info.path} and in {path}: choose with file="
                )
            found[name] = lease.files[path]
    return found
