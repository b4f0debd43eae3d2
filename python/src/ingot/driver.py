"""The CUDA driver, as far as a client of a GPU's memory needs it.

Laws:
  - Symbols have the names of their versions: a name without one means the oldest
    interface that the library still has.
  - The context is the device's primary one, which PyTorch computes in too. No call
    leaves a thread with another context than it had.
  - The library is loaded when a GPU is first asked for, and never on import.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import uuid
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any, Iterator

GRANULARITY = 2 << 20  # bytes; slabs and addresses are multiples of it

_FD = 1  # a handle type: a POSIX descriptor
_DEVICE = 1  # a kind of place
_READ = 1  # an access

# Results after which the context of this process is of no use any more.
_STICKY = {214, 700, 702, 718, 719}


class _Location(ctypes.Structure):
    _fields_ = [("kind", c_int), ("id", c_int)]


class _Access(ctypes.Structure):
    _fields_ = [("location", _Location), ("flags", c_int)]


_SIGNATURES: dict[str, list[Any]] = {
    "cuInit": [c_uint],
    "cuGetErrorName": [c_int, POINTER(c_char_p)],
    "cuDeviceGetCount": [POINTER(c_int)],
    "cuDeviceGet": [POINTER(c_int), c_int],
    "cuDeviceGetUuid_v2": [c_char_p, c_int],
    "cuDevicePrimaryCtxRetain": [POINTER(c_void_p), c_int],
    "cuCtxGetCurrent": [POINTER(c_void_p)],
    "cuCtxSetCurrent": [c_void_p],
    "cuCtxSynchronize": [],
    "cuMemImportFromShareableHandle": [POINTER(c_uint64), c_void_p, c_int],
    "cuMemRelease": [c_uint64],
    "cuMemAddressReserve": [POINTER(c_uint64), c_size_t, c_size_t, c_uint64, c_uint64],
    "cuMemAddressFree": [c_uint64, c_size_t],
    "cuMemMap": [c_uint64, c_size_t, c_size_t, c_uint64, c_uint64],
    "cuMemUnmap": [c_uint64, c_size_t],
    "cuMemSetAccess": [c_uint64, c_size_t, POINTER(_Access), c_size_t],
    "cuMemAlloc_v2": [POINTER(c_uint64), c_size_t],
    "cuMemFree_v2": [c_uint64],
    "cuMemcpyDtoHAsync_v2": [c_void_p, c_uint64, c_size_t, c_void_p],
    "cuMemcpyDtoDAsync_v2": [c_uint64, c_uint64, c_size_t, c_void_p],
    "cuStreamSynchronize": [c_void_p],
}


class DriverError(Exception):
    """A call of the driver that has failed, or a driver that is not there.

    call is the function, code what it returned, name what the driver calls that.
    """

    def __init__(self, call: str, code: int, name: str):
        super().__init__(call, code, name)
        self.call, self.code, self.name = call, code, name

    def __str__(self) -> str:
        return f"{self.call}: {self.name}" if not self.code else f"{self.call}: {self.name} ({self.code})"

    @property
    def sticky(self) -> bool:
        """Every further call of this process will fail too: it has to start anew."""
        return self.code in _STICKY


class Driver:
    """libcuda of a path: INGOT_LIBCUDA, otherwise libcuda.so.1."""

    def __init__(self, path: str):
        try:
            library = ctypes.CDLL(path)
            self._calls = {name: self._bind(library, name, types) for name, types in _SIGNATURES.items()}
        except (OSError, AttributeError) as e:
            raise DriverError("no CUDA driver", 0, str(e)) from e
        self.call("cuInit", 0)
        count = c_int()
        self.call("cuDeviceGetCount", byref(count))
        self.devices = [Device(self, n) for n in range(count.value)]

    @staticmethod
    def _bind(library: ctypes.CDLL, name: str, types: list[Any]) -> Any:
        function = getattr(library, name)
        function.restype, function.argtypes = c_int, types
        return function

    def call(self, name: str, *arguments: Any) -> None:
        code = self._calls[name](*arguments)
        if code:
            raise DriverError(name, code, self._name(code))

    def _name(self, code: int) -> str:
        name = c_char_p()
        if self._calls["cuGetErrorName"](code, byref(name)) or not name.value:
            return "an error without a name"
        return name.value.decode(errors="replace")

    def device(self, which: Any) -> Device:
        """Finds a GPU by its number here, as "cuda:1", a torch.device, or its UUID."""
        wanted = _number_of(which)
        if wanted is None:
            ident = parse_uuid(str(which))
            found = [d for d in self.devices if d.uuid == ident]
        else:
            found = self.devices[wanted : wanted + 1]
        if not found:
            known = ", ".join(str(d) for d in self.devices) or "none"
            raise ValueError(f"device {which!r}: no such GPU here; there are: {known}")
        return found[0]


class Device:
    """A GPU, and its primary context."""

    def __init__(self, driver: Driver, ordinal: int):
        self.driver = driver
        handle, ident = c_int(), ctypes.create_string_buffer(16)
        driver.call("cuDeviceGet", byref(handle), ordinal)
        driver.call("cuDeviceGetUuid_v2", ident, handle)
        self.ordinal = ordinal
        self.uuid = uuid.UUID(bytes=ident.raw)
        self._handle = handle.value
        self._context: c_void_p | None = None
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return f"GPU-{self.uuid}"

    @contextlib.contextmanager
    def bound(self) -> Iterator[None]:
        """Has this thread call for the device, and gives it the context back that it had."""
        call, before = self.driver.call, c_void_p()
        context = self._primary()
        call("cuCtxGetCurrent", byref(before))
        call("cuCtxSetCurrent", context)
        try:
            yield
        except BaseException:
            with contextlib.suppress(DriverError):  # what comes of the first is of no interest
                call("cuCtxSetCurrent", before)
            raise
        call("cuCtxSetCurrent", before)

    def _primary(self) -> c_void_p:
        """Returns the primary context, which this process then keeps."""
        with self._lock:
            if self._context is None:
                context = c_void_p()
                self.driver.call("cuDevicePrimaryCtxRetain", byref(context), self._handle)
                self._context = context
            return self._context

    # What needs the context of the device to be bound.

    def synchronize(self) -> None:
        """Waits for all work of this process on the device."""
        self.driver.call("cuCtxSynchronize")

    def reserve(self, size: int) -> int:
        address = c_uint64()
        self.driver.call("cuMemAddressReserve", byref(address), size, 0, 0, 0)
        return address.value

    def free_address(self, address: int, size: int) -> None:
        self.driver.call("cuMemAddressFree", address, size)

    def take(self, fd: int) -> int:
        """Returns a handle of the memory that a descriptor means, which stays the caller's."""
        handle = c_uint64()
        self.driver.call("cuMemImportFromShareableHandle", byref(handle), c_void_p(fd), _FD)
        return handle.value

    def release(self, handle: int) -> None:
        self.driver.call("cuMemRelease", handle)

    def map(self, address: int, size: int, handle: int) -> None:
        self.driver.call("cuMemMap", address, size, 0, handle, 0)

    def unmap(self, address: int, size: int) -> None:
        self.driver.call("cuMemUnmap", address, size)

    def allow_reading(self, address: int, size: int) -> None:
        access = _Access(_Location(_DEVICE, self.ordinal), _READ)
        self.driver.call("cuMemSetAccess", address, size, byref(access), 1)

    def allocate(self, size: int) -> int:
        address = c_uint64()
        self.driver.call("cuMemAlloc_v2", byref(address), size)
        return address.value

    def free(self, address: int) -> None:
        self.driver.call("cuMemFree_v2", address)

    def copy(self, target: int, source: int, size: int) -> None:
        self.driver.call("cuMemcpyDtoDAsync_v2", target, source, size, None)
        self.driver.call("cuStreamSynchronize", None)

    def read(self, into: int, source: int, size: int) -> None:
        """Copies to memory of the host, at an address."""
        self.driver.call("cuMemcpyDtoHAsync_v2", into, source, size, None)
        self.driver.call("cuStreamSynchronize", None)


_known: dict[tuple[int, str], Driver] = {}
_loading = threading.Lock()


def load() -> Driver:
    """Returns the driver of this process."""
    key = os.getpid(), os.environ.get("INGOT_LIBCUDA") or "libcuda.so.1"
    with _loading:
        if key not in _known:
            _known[key] = Driver(key[1])
        return _known[key]


def _after_fork() -> None:
    global _loading
    _loading = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def parse_uuid(text: str) -> uuid.UUID:
    """Reads a GPU's UUID, with GPU- or MIG- before it or without."""
    try:
        return uuid.UUID(text[4:] if text[:4].upper() in ("GPU-", "MIG-") else text)
    except ValueError:
        raise ValueError(f'device {text!r:.80}: want "cuda:0", a number, or the UUID of a GPU') from None


def is_gpu(device: Any) -> bool:
    """Tells a GPU from the CPU."""
    return isinstance(device, int) or getattr(device, "type", str(device).partition(":")[0]) != "cpu"


def _number_of(which: Any) -> int | None:
    """Returns the number in what names a device; None if that is a UUID."""
    if isinstance(which, bool):
        raise ValueError(f"device {which!r} is no device")
    if isinstance(which, int):
        return _natural(which, which)
    kind, _, number = str(which).partition(":")
    if kind != "cuda":
        return None
    if number:
        return _natural(int(number) if number.isdigit() else -1, which)
    torch = sys.modules.get("torch")
    return torch.cuda.current_device() if torch is not None and torch.cuda.is_available() else 0


def _natural(number: int, which: Any) -> int:
    if number < 0:
        raise ValueError(f"device {which!r}: want a number from 0 on")
    return number
