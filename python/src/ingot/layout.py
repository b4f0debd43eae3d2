"""Where the files and tensors of a version are in the segments of an agent.

What an agent says is checked before anything is mapped by it: each number is one,
runs lie in their segments, a tensor lies in its file.
"""

from __future__ import annotations

import bisect
import re
from itertools import accumulate
from typing import Any, Callable, NamedTuple, Sequence

from .errors import ProtocolError
from .memory import Piece

# Finds the descriptor and size of a segment.
Segments = Callable[[int], "tuple[int, int]"]

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = (64 << 10) + 12  # bytes of the header of an array in NumPy's files
_FORTRAN = re.compile(rb"['\"]fortran_order['\"]\s*:\s*True")


class TensorInfo(NamedTuple):
    """A tensor as its file describes it."""

    name: str
    file: str
    dtype: str  # as the file spells it
    shape: tuple[int, ...]
    offset: int  # in the file, in bytes
    nbytes: int


class FileInfo(NamedTuple):
    """A file of a version."""

    path: str
    size: int  # bytes
    format: str


def number(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 1 << 63:
        raise ProtocolError(f"{value!r:.40} where a number of at least {least} belongs")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ProtocolError(f"{value!r:.40} where text belongs")
    return value


def pieces(runs: Any, segments: Segments) -> list[Piece]:
    """Reads runs as they are on the wire."""
    found = []
    for run in listed(runs):
        if len(listed(run)) != 3:
            raise ProtocolError(f"run {run!r:.80}: want [segment, offset, length]")
        offset, length = number(run[1]), number(run[2], 1)
        fd, size = segments(number(run[0]))
        if offset + length > size:
            raise ProtocolError(f"run {run!r:.80} leaves its segment of {size} bytes")
        found.append(Piece(fd, offset, length))
    return found


def listed(value: Any) -> list:
    if not isinstance(value, list):
        raise ProtocolError(f"{value!r:.40} where a list belongs")
    return value


def tensor(value: Any, file: str) -> TensorInfo:
    """Reads a tensor as it is on the wire."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{value!r:.40} where a tensor belongs")
    shape = tuple(number(n) for n in listed(value.get("shape") or []))
    offset, nbytes = number(value.get("offset", 0)), number(value.get("bytes", 0))
    return TensorInfo(text(value.get("name")), file, text(value.get("dtype")), shape, offset, nbytes)


class File:
    """A file in memory. Its runs and tensors are read when they are first needed."""

    def __init__(self, value: Any, segments: Segments):
        if not isinstance(value, dict):
            raise ProtocolError(f"{value!r:.40} where a file belongs")
        self.info = FileInfo(text(value.get("path")), number(value.get("size", 0)), text(value.get("format")))
        self.tensors: dict[str, Any] = {
            text(isinstance(t, dict) and t.get("name")): t for t in listed(value.get("tensors") or [])
        }
        self._runs = value.get("runs") or []
        self._segments = segments
        self._pieces: list[Piece] | None = None
        self._ends: list[int] = []  # of the pieces, in the file

    def tensor(self, name: str) -> TensorInfo:
        t = tensor(self.tensors[name], self.info.path)
        if t.offset + t.nbytes > self.info.size:
            raise ProtocolError(f"tensor {name!r} leaves {self.info.path}, which has {self.info.size} bytes")
        return t

    def pieces(self, offset: int, length: int) -> list[Piece]:
        """Returns where a part of the file is."""
        runs, part = self._read(), []
        i = bisect.bisect_right(self._ends, offset)
        while length > 0:
            p = runs[i]
            skip = offset - (self._ends[i] - p.length)
            n = min(length, p.length - skip)
            part.append(Piece(p.fd, p.offset + skip, n))
            offset, length, i = offset + n, length - n, i + 1
        return part

    def run(self, offset: int) -> Piece:
        """Returns the bytes that lie together around an offset."""
        return self._read()[bisect.bisect_right(self._ends, offset)]

    def _read(self) -> list[Piece]:
        if self._pieces is None:
            found = pieces(self._runs, self._segments)
            ends = list(accumulate(p.length for p in found))
            if (ends or [0])[-1] != self.info.size:
                raise ProtocolError(f"the runs of {self.info.path} are not its {self.info.size} bytes")
            self._ends, self._pieces = ends, found
        return self._pieces

    def in_columns(self, t: TensorInfo, read: Callable[[Sequence[Piece]], bytes]) -> bool:
        """Tells whether an array of NumPy's files lies in Fortran's order, which only
        the header before it says."""
        ahead = read(self.pieces(max(0, t.offset - _LONGEST_HEADER), min(t.offset, _LONGEST_HEADER)))
        return _FORTRAN.search(ahead, max(0, ahead.rfind(_MAGIC))) is not None
