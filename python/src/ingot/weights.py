"""The tensors of safetensors files in a folder, mapped and not read.

What a file says of itself is checked before an array is made of it.
"""

from __future__ import annotations

import json
import mmap
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Iterable, Iterator

import numpy as np

from . import dtypes
from .layout import TensorInfo
from .model import Form

_HEADER = 100_000_000  # bytes; safetensors itself reads no longer header
_COMPARED = 16 << 20  # bytes at a time


class Weights(Mapping):
    """The tensors of a folder. They stay what they are when its files are replaced."""

    def __init__(self, folder: str | os.PathLike[str], form: Form, file: str | Iterable[str] | None = None):
        self._folder = pathlib.Path(folder)
        self.form = form
        self.metadata: dict[str, dict[str, str]] = {}  # what the header of each file says beside its tensors
        self._maps: dict[str, np.ndarray] = {}
        every = sorted(p.relative_to(folder).as_posix() for p in self._folder.rglob("*") if p.is_file())
        for path in every:
            self._map(path)
        paths = [path for path in every if path.endswith(".safetensors")]
        chosen = paths if file is None else [file] if isinstance(file, str) else list(file)
        self._tensors: dict[str, TensorInfo] = {}
        for path in chosen:
            for t in self._open(path):
                if t.name in self._tensors:
                    raise ValueError(f"tensor {t.name!r} is in {self._tensors[t.name].file} and in {path}: choose with file=")
                self._tensors[t.name] = t

    def __getitem__(self, name: str) -> Any:
        return self.form(self.array(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def info(self, name: str) -> TensorInfo:
        """Returns what the file says of a tensor."""
        return self._tensors[name]

    def array(self, name: str) -> np.ndarray:
        """Returns a tensor as NumPy has it. Who writes into it changes it for this process alone."""
        t = self._tensors[name]
        try:
            return dtypes.shaped(self._bytes(t), t.dtype, t.shape)
        except ValueError as e:
            raise ValueError(f"{t.file}: tensor {name!r} of {t.nbytes} bytes is no {t.dtype} of shape {t.shape}") from e

    def differing(self, other: Weights) -> list[str]:
        """Returns the names of tensors that other has not, or not the same."""
        return [name for name in self if name not in other or not self._same(other, name)]

    def read_file(self, path: str) -> bytes:
        """Returns the bytes of a file of the folder."""
        if path not in self._maps:
            raise FileNotFoundError(f"{self._folder} has no file {path!r}")
        return self._maps[path].tobytes()

    def close(self) -> None:
        """Lets go of the files; arrays stay."""
        self._maps, self._tensors = {}, {}

    def _same(self, other: Weights, name: str) -> bool:
        mine, theirs = self._tensors[name], other._tensors[name]
        if (mine.dtype, mine.shape, mine.nbytes) != (theirs.dtype, theirs.shape, theirs.nbytes):
            return False
        a, b = self._bytes(mine), other._bytes(theirs)
        return all(np.array_equal(a[n : n + _COMPARED], b[n : n + _COMPARED]) for n in range(0, a.size, _COMPARED))

    def _bytes(self, t: TensorInfo) -> np.ndarray:
        return self._maps[t.file][t.offset : t.offset + t.nbytes]

    def _map(self, path: str) -> None:
        with open(self._folder / path, "rb") as f:
            empty = os.fstat(f.fileno()).st_size == 0
            private = {"flags": mmap.MAP_PRIVATE, "prot": mmap.PROT_READ | mmap.PROT_WRITE}
            self._maps[path] = np.frombuffer(b"" if empty else mmap.mmap(f.fileno(), 0, **private), np.uint8)

    def _open(self, path: str) -> list[TensorInfo]:
        """Reads the header of a file."""
        if path not in self._maps:
            raise FileNotFoundError(f"{self._folder} has no file {path!r}")
        content = self._maps[path]
        try:
            begin = 8 + int.from_bytes(content[:8].tobytes(), "little")
            if content.size < 8 or begin > min(content.size, _HEADER):
                raise ValueError("its header is cut off, or too long")
            header = json.loads(content[8:begin].tobytes())
            found = [_tensor(path, name, t, begin) for name, t in header.items() if name != "__metadata__"]
            if any(t.offset + t.nbytes > content.size for t in found):
                raise ValueError("a tensor leaves it")
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as e:
            raise ValueError(f"{self._folder / path} is no safetensors file: {e}") from e
        said = header.get("__metadata__")
        self.metadata[path] = said if isinstance(said, dict) else {}
        return found


def _tensor(path: str, name: str, value: Any, begin: int) -> TensorInfo:
    """Reads an entry of a header; the data begins at begin."""
    word, shape, (first, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    if not isinstance(word, str) or not all(type(n) is int and n >= 0 for n in (*shape, first, end)) or first > end:
        raise ValueError(f"tensor {name!r} is described wrongly")
    return TensorInfo(name, path, word, shape, begin + first, end - first)
