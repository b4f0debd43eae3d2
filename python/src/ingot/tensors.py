"""Tensors over the memory of an image, with PyTorch and without.

Laws:
  - No tensor is a copy. Tied weights have the same memory.
  - Whatever lies in an image keeps the lease, and its addresses, alive.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any, Callable

import numpy as np

from . import dtypes
from .driver import Device
from .errors import AgentError
from .image import Place
from .session import Session


class Token:
    """Lives as long as anybody can use an image."""


def ending(token: Token, session: Session) -> None:
    """Has a lease end with its token."""
    weakref.finalize(token, session.end).atexit = False  # the process takes its mappings with it


class DeviceArray:
    """A tensor in memory of a GPU for any library that takes __cuda_array_interface__.

    A type that the interface has no word for, such as bfloat16, is given as its bytes.
    current raises once the tensor is not what it was.
    """

    def __init__(self, device: Device, address: int, place: Place, current: Callable[[Place, int], None], token: object):
        self.device = device
        self.info = place
        self.dtype = dtypes.numpy_dtype(place.dtype) or np.dtype(np.uint8)
        self.shape = shape_of(place)
        self.nbytes = place.nbytes
        self._address = address
        self._current = current
        self._token = token

    def __repr__(self) -> str:
        return f"<ingot.DeviceArray {self.info.name}: {self.dtype} {list(self.shape)} on {self.device}>"

    @property
    def data_ptr(self) -> int:
        """The address, if the tensor is there."""
        self._current(self.info, self._address)
        return self._address

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        known = self.dtype.kind in "biufc"
        return {
            "version": 3,
            "shape": self.shape if known else (self.nbytes,),
            "typestr": self.dtype.str if known else "|u1",
            # Who writes fails whatever this says, and PyTorch refuses arrays that say so.
            "data": (self.data_ptr if self.nbytes else 0, False),
            "strides": None,
        }

    def numpy(self) -> np.ndarray:
        """Returns a copy in memory of the host."""
        flat = np.empty(self.nbytes, np.uint8)
        if self.nbytes:
            source = self.data_ptr
            with self.device.bound():
                self.device.read(flat.ctypes.data, source, self.nbytes)
        return dtypes.shaped(flat, self.info.dtype, self.info.shape)

    def clone(self) -> DeviceArray:
        """Returns a copy in memory of the GPU that is this process's own, and may be written."""
        own = Own(self.device, self.nbytes)
        if self.nbytes:
            source = self.data_ptr
            with self.device.bound():
                self.device.copy(own.address, source, self.nbytes)
        return DeviceArray(self.device, own.address, self.info, _always, own)


class Own:
    """Memory of a GPU that goes away with this object."""

    def __init__(self, device: Device, size: int):
        self.address = 0
        self._device = device
        self._owner = os.getpid()
        if size:
            with device.bound():
                self.address = device.allocate(size)

    def __del__(self) -> None:
        # At the end of a process the driver takes its memory back, and may be gone.
        if self.address and os.getpid() == self._owner and not sys.is_finalizing():
            with self._device.bound():
                self._device.free(self.address)


class Bytes:
    """The bytes of an image, as PyTorch takes them over."""

    def __init__(self, address: int, size: int, token: object):
        self._token = token
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
            "strides": None,
        }


def torch_bytes(device: Device, address: int, size: int, token: object) -> Any:
    """Returns a tensor over the bytes of an image, which keeps the token alive."""
    import torch

    return torch.as_tensor(Bytes(address, size, token), device=f"cuda:{device.ordinal}")


def torch_tensor(flat: Any, place: Place) -> Any:
    """Returns a tensor as a view of the bytes of its image."""
    import torch

    dtype = dtypes.numpy_dtype(place.dtype) or np.dtype(np.uint8)
    kind = getattr(torch, dtype.name, None)
    if kind is None or not dtype.isnative:
        raise TypeError(f"PyTorch has no type like {place.dtype} of tensor {place.name!r}")
    part = flat[place.offset : place.offset + place.nbytes]
    return part.view(kind).reshape(shape_of(place))


def shape_of(place: Place) -> tuple[int, ...]:
    """Returns the shape that a tensor has in memory."""
    if len(place.shape) > 1 and dtypes.from_numpy(place.dtype):
        raise AgentError("not_allowed", f"{place.file} is a file of NumPy, of which an image does not tell the order")
    if dtypes.numpy_dtype(place.dtype) is not None:
        return place.shape
    return dtypes.packed(place.nbytes, place.shape)


def has_torch() -> bool:
    """Tells whether PyTorch is in use and computes on GPUs."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_available()


def _always(_place: Place, _address: int) -> None:
    """Memory of one's own is always there."""
