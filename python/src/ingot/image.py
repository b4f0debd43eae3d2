"""A version on a GPU: what the agent says of it, and where it is mapped.

Laws:
  - What an agent says is checked before anything is mapped by it.
  - An image lies at the address that was reserved at first. Other versions come to
    the same place, and memory that is unmapped leaves its addresses reserved.
  - Slabs are mapped to be read. A descriptor is closed once it is imported, and a
    handle released with the last place that its slab is mapped at.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple, Sequence

from . import dtypes
from .driver import GRANULARITY, Device, parse_uuid
from .errors import ProtocolError
from .frames import close_all
from .layout import listed, number, text

_ALIGNMENT = 512  # bytes, of tensors
_MOST = 1 << 46  # bytes of an image; no GPU has so many, and the addresses exist


class Slab(NamedTuple):
    """Memory of a GPU that an agent has given, and that it calls ident."""

    ident: int
    size: int


class Place(NamedTuple):
    """A tensor in an image."""

    name: str
    file: str
    dtype: str  # as the file spells it
    shape: tuple[int, ...]
    offset: int
    nbytes: int


class Layout:
    """What an image frame says."""

    def __init__(self, value: Any, device: Device):
        if not isinstance(value, dict):
            raise ProtocolError("an image that is none")
        self.ref, self.version = text(value.get("ref")), text(value.get("version"))
        self.slabs = [slab(s) for s in listed(value.get("slabs") or [])]
        self.size = number(value.get("size", 0))
        self.reserve = number(value.get("reserve", 0))
        if self.size != sum(s.size for s in self.slabs):
            raise ProtocolError(f"an image of {self.size} bytes whose slabs are not as much")
        if not self.size <= self.reserve <= _MOST or self.reserve % GRANULARITY:
            raise ProtocolError(f"{self.reserve} bytes of addresses for an image of {self.size}")
        if not _same(text(value.get("device")), device):
            raise ProtocolError(f"an image on {value['device']:.60}, not on {device}")
        places = [self._place(t) for t in listed(value.get("tensors") or [])]
        self.places = {(p.file, p.name): p for p in places}
        if len(self.places) != len(places):
            raise ProtocolError("an image with two tensors of one name in one file")

    def _place(self, value: Any) -> Place:
        if not isinstance(value, dict):
            raise ProtocolError(f"{value!r:.40} where a tensor belongs")
        shape = tuple(number(n) for n in listed(value.get("shape") or []))
        offset, nbytes = number(value.get("offset", 0)), number(value.get("bytes", 0))
        p = Place(text(value.get("name")), text(value.get("file")), text(value.get("dtype")), shape, offset, nbytes)
        if offset % _ALIGNMENT or offset + nbytes > self.size:
            raise ProtocolError(f"tensor {p.name!r:.80} at {offset} leaves its image of {self.size} bytes, or lies crooked")
        dtype = dtypes.numpy_dtype(p.dtype)
        if dtype is not None and _elements(shape) * dtype.itemsize != nbytes:
            raise ProtocolError(f"tensor {p.name!r:.80} of {nbytes} bytes is no {p.dtype} of shape {shape}")
        return p


def slab(value: Any) -> Slab:
    """Reads a slab as it is on the wire."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{value!r:.40} where a slab belongs")
    found = Slab(number(value.get("id"), 1), number(value.get("size"), GRANULARITY))
    if found.size % GRANULARITY or found.size > _MOST:
        raise ProtocolError(f"a slab of {found.size} bytes")
    return found


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def _same(ident: str, device: Device) -> bool:
    try:
        return parse_uuid(ident) == device.uuid
    except ValueError:
        return False


class Handles:
    """The slabs that one agent has sent, as the driver has them."""

    def __init__(self, device: Device):
        self._device = device
        self._known: dict[int, tuple[int, int]] = {}  # size and handle by ident

    def add(self, slabs: list, fds: list[int]) -> None:
        """Imports what the descriptors mean, and closes them whatever happens."""
        try:
            if len(slabs) != len(fds):
                raise ProtocolError(f"{len(fds)} descriptors for {len(slabs)} slabs")
            read = [slab(s) for s in slabs]
            for s, fd in zip(read, fds):
                size = self._known.get(s.ident, (s.size, 0))[0]
                if size != s.size:
                    raise ProtocolError(f"slab {s.ident} comes with {s.size} bytes, and had {size}")
                if s.ident not in self._known:
                    self._known[s.ident] = s.size, self._device.take(fd)
        finally:
            close_all(fds)

    def check(self, layout: Layout) -> None:
        """Refuses an image with slabs that have not come."""
        for s in layout.slabs:
            if self._known.get(s.ident, (0, 0))[0] != s.size:
                raise ProtocolError(f"slab {s.ident} of {s.size} bytes has not been sent")

    def handle(self, ident: int) -> int:
        return self._known[ident][1]

    def keep(self, idents: set[int]) -> None:
        """Releases all others."""
        for ident in [i for i in self._known if i not in idents]:
            self.drop(ident)

    def drop(self, ident: int) -> None:
        self._device.release(self._known.pop(ident)[1])


class _Mapped(NamedTuple):
    """A slab where it is mapped. Slabs of agents that are gone have handles of theirs."""

    handles: Handles
    slab: Slab
    offset: int


def _places(layout: Layout, handles: Handles) -> list[_Mapped | None]:
    offsets = itertools.accumulate((s.size for s in layout.slabs), initial=0)
    return [_Mapped(handles, s, offset) for s, offset in zip(layout.slabs, offsets)]


class Image:
    """Addresses of a GPU, and the slabs that are mapped there.

    Its methods, but for those that only tell, want the device bound.
    """

    def __init__(self, device: Device):
        self.address = 0  # until something has been mapped
        self.layout: Layout | None = None  # what is mapped, whole
        self.former: list[tuple[int, int]] = []  # addresses that tensors may still have
        self._device = device
        self._reserved = 0
        self._places: list[_Mapped | None] = []  # in the order of the layout last mapped

    def map(self, layout: Layout, handles: Handles) -> None:
        """Puts an image where the last one was. What lies there already stays."""
        self.layout = None
        self._reserve(layout.reserve)
        wanted = _places(layout, handles)
        kept = set(wanted) & {p for p in self._places if p}
        gone = [self._unmap(n) for n, p in enumerate(self._places) if p and p not in kept]
        self._places = [p if p in kept else None for p in wanted]
        for n, place in enumerate(wanted):
            if place not in kept:
                self._device.map(self.address + place.offset, place.slab.size, handles.handle(place.slab.ident))
                self._places[n] = place
        if len(kept) < len(wanted):
            self._device.allow_reading(self.address, layout.size)
        self._release(gone)
        handles.keep({s.ident for s in layout.slabs})
        self.layout = layout

    def shows(self, layout: Layout, handles: Handles) -> bool:
        """Tells whether an image is what is mapped."""
        mapped = self.layout
        if mapped is None or (mapped.version, mapped.places) != (layout.version, layout.places):
            return False
        return self._places == _places(layout, handles)

    def unmap(self, places: Sequence[int] | None = None) -> None:
        """Unmaps the slabs at some places, or all of them."""
        self.layout = None
        wanted = range(len(self._places)) if places is None else places
        self._release([self._unmap(n) for n in wanted if self._places[n]])

    def idents(self, handles: Handles) -> set[int]:
        """Returns which slabs of an agent are mapped."""
        return {p.slab.ident for p in self._places if p and p.handles is handles}

    def close(self) -> None:
        """Unmaps everything and gives the addresses back, which nobody may use any more."""
        self.unmap()
        if self.address:
            self.former.append((self.address, self._reserved))
            self.address = self._reserved = 0
        while self.former:
            self._device.free_address(*self.former.pop())

    def _unmap(self, n: int) -> _Mapped:
        place = self._places[n]
        self._device.unmap(self.address + place.offset, place.slab.size)
        self._places[n] = None
        return place

    def _release(self, gone: Sequence[_Mapped]) -> None:
        """Lets go of slabs that are not mapped at any place any more."""
        mapped = {(p.handles, p.slab.ident) for p in self._places if p}
        for handles, ident in {(p.handles, p.slab.ident) for p in gone} - mapped:
            handles.drop(ident)

    def _reserve(self, size: int) -> None:
        """Sees that there are addresses enough. More than at first come elsewhere."""
        if size <= self._reserved:
            return
        self.unmap()
        if self.address:
            self.former.append((self.address, self._reserved))
        self.address, self._reserved = 0, 0
        self.address, self._reserved = self._device.reserve(size), size
