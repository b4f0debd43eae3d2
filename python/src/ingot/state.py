"""Writes what a process has in memory as a safetensors file.

Laws:
  - The bytes follow from the tensors alone, in an order that follows from their
    names and types: a checkpoint differs from the one before only where its values do.
  - Values are copied as bits. NaNs keep their payload and zeros their sign.
  - Tensors on the CPU are written from where they are. Of those on a device there are
    as many on the CPU at a time as threads that write.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
from collections.abc import Mapping
from typing import Any, Iterator, NamedTuple

import numpy as np

from . import dtypes

_HEADER = 100_000_000  # bytes, the most that readers of safetensors take
_BLOCK = 64 << 20  # bytes to write at a time
_THREADS = min(8, os.cpu_count() or 1)


class Source(NamedTuple):
    """A tensor that is to be written, wherever it is now."""

    name: str
    word: str  # its type, as safetensors spells it
    shape: tuple[int, ...]
    itemsize: int
    value: Any

    @property
    def nbytes(self) -> int:
        n = self.itemsize
        for d in self.shape:
            n *= d
        return n

    def bytes(self) -> memoryview:
        """Returns its bytes, rows first and the least significant byte first."""
        array = _of_torch(self.value) if is_torch(self.value) else np.ascontiguousarray(self.value)
        if array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("<"))
        return memoryview(array.reshape(-1).view(np.uint8))


def sources(state: Mapping[str, Any], prefix: str = "") -> Iterator[Source]:
    """Lists the tensors of a state dict; those of dicts in it get names with dots."""
    for key, value in state.items():
        if not isinstance(key, str):
            raise TypeError(f"a state dict has the key {key!r:.40}: want names")
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from sources(value, name + ".")
        else:
            yield source(name, value)


def source(name: str, value: Any) -> Source:
    if is_torch(value):
        if hasattr(value, "full_tensor"):
            raise TypeError(f"tensor {name!r} is spread over ranks: publish with ingot.dcp.StorageWriter")
        if value.layout is not _torch().strided or value.is_quantized or value.device.type == "meta":
            raise TypeError(f"tensor {name!r} has no dense values that could be written")
        return _sized(name, str(value.dtype).partition(".")[2], tuple(value.shape), value.element_size(), value)
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        return _sized(name, array.dtype.name, array.shape, array.dtype.itemsize, array)
    raise TypeError(f"{name!r} is a {type(value).__name__}: want tensors of NumPy or PyTorch")


def write(path: str | os.PathLike[str], state: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> int:
    """Writes a state dict, and returns how many bytes that took. metadata are words of the header."""
    all = sorted(sources(state), key=lambda s: (-s.itemsize, s.name))  # aligned, as safetensors orders them
    form = "pt" if any(is_torch(s.value) for s in all) else "np"
    header: dict[str, Any] = {"__metadata__": {"format": form, **(metadata or {})}}
    at = 0
    for s in all:
        if s.name in header:
            raise ValueError(f"two tensors are called {s.name!r}")
        header[s.name] = {"dtype": s.word, "shape": list(s.shape), "data_offsets": [at, at + s.nbytes]}
        at += s.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    if len(head) > _HEADER:
        raise ValueError(f"{len(all)} tensors take a header of {len(head)} bytes, more than readers of safetensors take")
    begin = 8 + len(head)
    with open(path, "wb", buffering=0) as f, concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        _write(f.fileno(), memoryview(len(head).to_bytes(8, "little") + head), 0)
        os.truncate(f.fileno(), begin + at)
        work = [pool.submit(lambda s=s: _write(f.fileno(), s.bytes(), begin + header[s.name]["data_offsets"][0])) for s in all]
        for one in work:
            one.result()
    return begin + at


def _write(fd: int, content: memoryview, at: int) -> None:
    while content:
        n = os.pwrite(fd, content[:_BLOCK], at)
        content, at = content[n:], at + n


def is_torch(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" or hasattr(value, "untyped_storage")


def _torch() -> Any:
    import torch

    return torch


def _of_torch(value: Any) -> np.ndarray:
    """Returns the bytes of a tensor on the CPU, which are its own memory if it lies there."""
    torch = _torch()
    flat = value.detach().to("cpu").contiguous().reshape(-1)
    if flat.is_conj() or flat.is_neg():
        flat = flat.resolve_conj().resolve_neg()
    return flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)


def _sized(name: str, dtype: str, shape: tuple[int, ...], itemsize: int, value: Any) -> Source:
    word = dtypes.word(dtype)
    if word is None:
        raise TypeError(f"tensor {name!r} is of type {dtype}, which safetensors lacks")
    return Source(name, word, shape, itemsize, value)
