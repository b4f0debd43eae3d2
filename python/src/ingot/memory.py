"""Memory that arrays lie in: pages of the agent, mapped one behind the other, or copies.

Laws:
  - Pages of the agent are mapped privately. Who writes into an array gets a copy
    of the page that is written, and nobody else sees it.
  - Pages stay mapped, and their owner alive, as long as any array lies in them.
  - The process has at most so many mappings as its Budget says. Linux refuses
    more than 65,530, to whoever asks next.
"""

from __future__ import annotations

import collections
import ctypes
import mmap
import os
import threading
import weakref
from typing import NamedTuple, Sequence

import numpy as np

PAGE = mmap.PAGESIZE
_HUGE = 2 << 20

_PROT_NONE, _PROT_READ, _PROT_WRITE = 0, 1, 2
_MAP_PRIVATE, _MAP_FIXED, _MAP_ANONYMOUS, _MAP_NORESERVE = 0x02, 0x10, 0x20, 0x4000
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mremap.restype = ctypes.c_void_p
_libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]


class Piece(NamedTuple):
    """Bytes that lie together in a segment."""

    fd: int
    offset: int
    length: int


class Budget:
    """How many mappings a process may have at a time."""

    def __init__(self, limit: int):
        self.limit = limit
        self._used = 0
        self._lock = threading.Lock()
        # Mappings end whenever the collector runs, perhaps inside take: giving back
        # may not wait for the lock.
        self._given: collections.deque[int] = collections.deque()

    def take(self, n: int) -> bool:
        """Reports whether n more mappings fit, and counts them if so."""
        with self._lock:
            while self._given:
                self._used -= self._given.popleft()
            if self._used + n > self.limit:
                return False
            self._used += n
            return True

    def give(self, n: int) -> None:
        self._given.append(n)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # a thread that the child lacks may have held it


PROCESS = Budget(30_000)
os.register_at_fork(after_in_child=PROCESS._after_fork)


class Block:
    """Bytes in memory as NumPy understands them: numpy.asarray(block) is a view that
    keeps the block alive, and through it the owner of the pages."""

    def __init__(self, start: int, length: int, owner: object, mappings: int = 0):
        self.length = length
        self.mappings = mappings
        self._start = start
        self._owner = owner
        self.__array_interface__ = {"version": 3, "shape": (length,), "typestr": "|u1", "data": (start, False)}

    def keep(self) -> None:
        """Puts a private copy where pages of a window are, which will soon hold other
        bytes. Whoever reads meanwhile notices nothing."""
        if not self.mappings:
            return
        first, size = _whole(self._start, self.length)
        copy = _mmap(None, size, _PROT_READ | _PROT_WRITE, _MAP_PRIVATE | _MAP_ANONYMOUS)
        ctypes.memmove(copy, first, size)
        _move(copy, first, size)


def view(pieces: Sequence[Piece], owner: object, budget: Budget = PROCESS) -> Block | None:
    """Returns the pieces behind each other without a copy.

    None if pages do not allow that, or if there are too many mappings already.
    """
    pages = _pages(pieces)
    if pages is None or not budget.take(len(pages)):
        return None
    try:
        base, size = _map(pages)
    except OSError:  # too many mappings in spite of all, or no address space
        budget.give(len(pages))
        return None
    lead = pieces[0].offset - pages[0].offset
    block = Block(base + lead, sum(p.length for p in pieces), owner, len(pages))
    # The finalizer holds the owner, so that pages are gone before their lease is.
    end = weakref.finalize(block, _unmap, base, size, len(pages), budget, owner)
    end.atexit = False  # the process takes its mappings with it
    return block


def copy(pieces: Sequence[Piece], owner: object) -> Block:
    """Returns a copy of the pieces behind each other."""
    content = np.empty(sum(p.length for p in pieces), np.uint8)
    read(pieces, memoryview(content))
    return Block(content.ctypes.data, content.size, (content, owner))


def read(pieces: Sequence[Piece], into: memoryview) -> None:
    """Fills into with the bytes of the pieces behind each other."""
    at = 0
    for p in pieces:
        end = at + p.length
        while at < end:
            n = os.preadv(p.fd, [into[at:end]], p.offset + p.length - (end - at))
            if n == 0:
                raise OSError(f"a segment ends {end - at} bytes early")
            at += n


def places(pieces: Sequence[Piece]) -> list[tuple[int, int, int, int]]:
    """Returns where pieces are in a way that is the same for all who have descriptors
    of their segments."""
    found: list[tuple[int, int, int, int]] = []
    for p in pieces:
        file = os.fstat(p.fd)
        last = found[-1] if found else None
        if last and (last[0], last[1], last[2] + last[3]) == (file.st_dev, file.st_ino, p.offset):
            found[-1] = (*last[:3], last[3] + p.length)
        else:
            found.append((file.st_dev, file.st_ino, p.offset, p.length))
    return found


def _pages(pieces: Sequence[Piece]) -> list[Piece] | None:
    """Returns the whole pages that the pieces lie in, fused where they are
    neighbours; None unless each piece goes on at a page where the last has ended."""
    fused: list[Piece] = []
    for p in pieces:
        last = fused[-1] if fused else None
        if last and (last.fd, last.offset + last.length) == (p.fd, p.offset):
            fused[-1] = Piece(last.fd, last.offset, last.length + p.length)
        elif last and ((last.offset + last.length) % PAGE or p.offset % PAGE):
            return None
        else:
            fused.append(p)
    return [Piece(p.fd, *_whole(p.offset, p.length)) for p in fused] or None


def _whole(start: int, length: int) -> tuple[int, int]:
    """Returns the whole pages around some bytes."""
    first = start - start % PAGE
    return first, -(-(start + length - first) // PAGE) * PAGE


def _map(pages: list[Piece]) -> tuple[int, int]:
    size = sum(p.length for p in pages)
    base = _reserve(size, pages[0].offset)
    at = base
    try:
        for p in pages:
            _mmap(at, p.length, _PROT_READ | _PROT_WRITE, _MAP_PRIVATE | _MAP_FIXED | _MAP_NORESERVE, p.fd, p.offset)
            at += p.length
    except OSError:
        _libc.munmap(base, size)
        raise
    return base, size


def _reserve(size: int, offset: int) -> int:
    """Returns addresses for size bytes, such that huge pages of a segment that has
    them can be huge here too."""
    if size < _HUGE:
        return _mmap(None, size, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE)
    start = _mmap(None, size + _HUGE, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE)
    lead = (offset - start) % _HUGE
    if lead:
        _libc.munmap(start, lead)
    _libc.munmap(start + lead + size, _HUGE - lead)
    return start + lead


def _mmap(address: int | None, size: int, protection: int, flags: int, fd: int = -1, offset: int = 0) -> int:
    got = _libc.mmap(address, size, protection, flags, fd, offset)
    if got == _FAILED:
        raise _error()
    return got


def _move(source: int, target: int, size: int) -> None:
    if _libc.mremap(source, size, size, _MREMAP_MAYMOVE | _MREMAP_FIXED, target) == _FAILED:
        error = _error()
        _libc.munmap(source, size)
        raise error


def _error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))


def _unmap(base: int, size: int, mappings: int, budget: Budget, owner: object) -> None:
    _libc.munmap(base, size)
    budget.give(mappings)
