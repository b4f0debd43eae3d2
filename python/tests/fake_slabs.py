"""Memory of a GPU as an agent makes it, from the driver that INGOT_LIBCUDA names."""

import ctypes
import os
import uuid
from ctypes import byref, c_int, c_size_t, c_uint64, c_void_p

SLAB = 4 << 20


class Place(ctypes.Structure):
    _fields_ = [("kind", c_int), ("id", c_int)]


class Properties(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_uint),
        ("handles", ctypes.c_uint),
        ("place", Place),
        ("windows", c_void_p),
        ("rest", ctypes.c_ubyte * 8),
    ]


class Access(ctypes.Structure):
    _fields_ = [("place", Place), ("flags", c_int)]


class Driver:
    """The calls of the first device. Each thread that comes gets its context."""

    def __init__(self):
        self._library = ctypes.CDLL(os.environ["INGOT_LIBCUDA"])
        self("cuInit", 0)
        self._context, ident = c_void_p(), ctypes.create_string_buffer(16)
        self("cuDeviceGetUuid_v2", ident, 0)
        self("cuDevicePrimaryCtxRetain", byref(self._context), 0)
        self.name = f"GPU-{uuid.UUID(bytes=ident.raw)}"
        self._slabs = 0

    def __call__(self, name, *arguments):
        code = getattr(self._library, name)(*arguments)
        if code:
            raise RuntimeError(f"{name}: {code}")

    def create(self, content):
        self("cuCtxSetCurrent", self._context)
        self._slabs += 1
        return Slab(self, self._slabs, content)


class Slab:
    """An allocation that others may have, with the agent's own mapping to write it."""

    def __init__(self, driver, ident, content):
        self.ident = ident
        self._driver, self._handle, self._address = driver, c_uint64(), c_uint64()
        properties = Properties(1, 1, Place(1, 0))
        driver("cuMemCreate", byref(self._handle), c_size_t(SLAB), byref(properties), c_uint64(0))
        driver("cuMemAddressReserve", byref(self._address), c_size_t(SLAB), c_size_t(0), c_uint64(0), c_uint64(0))
        driver("cuMemMap", self._address, c_size_t(SLAB), c_size_t(0), self._handle, c_uint64(0))
        driver("cuMemSetAccess", self._address, c_size_t(SLAB), byref(Access(Place(1, 0), 3)), c_size_t(1))
        fd = self.export()
        self.inode = os.fstat(fd).st_ino
        os.close(fd)
        self.write(content)

    def export(self):
        fd = c_int()
        self._driver("cuMemExportToShareableHandle", byref(fd), self._handle, c_int(1), c_uint64(0))
        return fd.value

    def write(self, content):
        self._driver("cuCtxSetCurrent", self._driver._context)
        self._driver("cuMemcpyHtoDAsync_v2", self._address, content, c_size_t(len(content)), None)
        self._driver("cuStreamSynchronize", None)
