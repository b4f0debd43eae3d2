"""Writes PyTorch checkpoints without PyTorch, which is gigabytes to install.

save lays out byte for byte what torch.save of torch 2.15 does, but for the
serialization id; "make test-torch" holds it against the real one.
"""

import collections
import hashlib
import io
import pickle
import struct
import sys
import types
import zlib

import ml_dtypes
import numpy as np

STORAGES = {
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
}
ALIGNMENT = 64
FLAGS = 0x0808  # sizes follow the data; names are UTF-8


class Storage:
    """Stands for a torch storage until the pickler asks for its persistent id."""

    def __init__(self, key, value):
        self.key, self.value = key, value


class Tensor:
    """Pickles as a contiguous tensor over a storage of its own."""

    def __init__(self, key, value):
        self.storage = Storage(key, value)

    def __reduce__(self):
        value = self.storage.value
        strides = tuple(s // value.itemsize for s in value.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, 0, value.shape, strides, False, collections.OrderedDict())


def torch_names():
    """Makes modules with what a checkpoint names; only the names are pickled."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    rebuild = types.FunctionType((lambda: None).__code__, {"__name__": "torch._utils"}, "_rebuild_tensor_v2")
    rebuild.__qualname__ = rebuild.__name__
    utils._rebuild_tensor_v2 = rebuild
    return {"torch": torch, "torch._utils": utils}


def dump(state):
    """Pickles a state dict as torch.save does, storages by their keys."""
    names = torch_names()

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, Storage):
                return None
            return "storage", getattr(names["torch"], STORAGES[obj.value.dtype]), obj.key, "cpu", obj.value.size

    out = io.BytesIO()
    sys.modules |= names
    try:
        Pickler(out, protocol=2).dump(state)
    finally:
        for name in names:
            del sys.modules[name]
    return out.getvalue()


class Writer:
    """A zip as PyTorch's own writer makes it: stored, aligned by an extra field of Z."""

    def __init__(self, file, folder):
        self.file, self.folder = file, folder
        self.directory, self.entries = b"", 0

    def write(self, name, data):
        name = f"{self.folder}/{name}".encode()
        start, crc = self.file.tell(), zlib.crc32(data)
        data_at = start + 30 + len(name) + 4
        pad = b"Z" * (-data_at % ALIGNMENT)
        extra = b"FB" + struct.pack("<H", len(pad)) + pad
        self.file.write(struct.pack("<4s5H3I2H", b"PK\3\4", 0, FLAGS, 0, 0, 0, 0, 0, 0, len(name), len(extra)))
        self.file.write(name + extra)
        self.file.write(data)
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        self.file.write(struct.pack("<4s3I", b"PK\7\x08", crc, size, size))
        self.directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 0, 0, FLAGS, 0, 0, 0, crc, size, size, len(name), 0, 0, 0, 0, 0, start
        ) + name
        self.entries += 1

    def close(self):
        at, n, size = self.file.tell(), self.entries, len(self.directory)
        self.file.write(self.directory)
        self.file.write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0x031E, 45, 0, 0, n, n, size, at))
        self.file.write(struct.pack("<4sIQI", b"PK\6\7", 0, at + size, 1))
        self.file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, n, n, size, at, 0))


def save(path, tensors):
    """Writes a state dict of contiguous arrays; path.stem becomes the zip's folder."""
    values = [np.asarray(v, order="C") for v in tensors.values()]
    state = collections.OrderedDict((n, Tensor(str(i), v)) for i, (n, v) in enumerate(zip(tensors, values)))
    with open(path, "wb") as file:
        out = Writer(file, path.stem)
        out.write("data.pkl", dump(state))
        out.write(".format_version", b"1")
        out.write(".storage_alignment", str(ALIGNMENT).encode())
        out.write("byteorder", b"little")
        digest = hashlib.sha256()
        for i, value in enumerate(values):
            raw = memoryview(value.view(np.uint8).reshape(-1))
            digest.update(raw)
            out.write(f"data/{i}", raw)
        out.write("version", b"3\n")
        out.write(".data/serialization_id", str(int(digest.hexdigest(), 16))[:40].encode())
        out.close()
