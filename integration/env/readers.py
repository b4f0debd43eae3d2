"""Opens model folders with the readers of their formats and compares the tensors.

usage: readers.py PULLED ORIGINAL

Every file of PULLED in a known format is read whole. Each of its tensors must
be in ORIGINAL, which may hold it in another format: with the same element
type, shape and bytes, or, if it is a quantized one, with about the same
values. Prints how many of ORIGINAL's tensors were found; exits 1 when PULLED
has others.
"""

import collections
import pathlib
import pickle
import sys
import zipfile

import gguf
import ml_dtypes
import numpy as np
import onnx
from gguf import GGMLQuantizationType
from onnx import numpy_helper
from safetensors.numpy import load_file

STORAGES = {
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
}
# What rounding to so few bits may cost, of the length of the whole tensor.
ROUNDING = {GGMLQuantizationType.Q8_0: 0.02, GGMLQuantizationType.Q4_0: 0.2}


class Rounded(np.ndarray):
    """Values that were quantized, and how far they may lie from the original."""

    tolerance = 0.0


def read_gguf(path):
    for t in gguf.GGUFReader(path).tensors:
        if t.tensor_type == GGMLQuantizationType.BF16:
            yield t.name, t.data.view(ml_dtypes.bfloat16)
        elif t.tensor_type in ROUNDING:
            value = gguf.dequantize(t.data, t.tensor_type).view(Rounded)
            value.tolerance = ROUNDING[t.tensor_type]
            yield t.name, value
        else:
            yield t.name, t.data


def read_onnx(path):
    onnx.checker.check_model(path)
    for tensor in graph_tensors(onnx.load(path).graph):
        yield tensor.name, numpy_helper.to_array(tensor)


def graph_tensors(graph):
    """Yields the tensors of a graph, and those in the attributes of its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                attribute.t.name = "/".join([graph.name, node.output[0], attribute.name])
                yield attribute.t
            if attribute.HasField("g"):
                yield from graph_tensors(attribute.g)


def read_numpy(path):
    yield path.stem, np.load(path)


def read_npz(path):
    with np.load(path) as arrays:
        yield from arrays.items()


class Checkpoint(pickle.Unpickler):
    """Reads a state dict; a pickle that names anything else is refused."""

    def __init__(self, archive, folder):
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self.archive, self.folder = archive, folder

    def find_class(self, module, name):
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {"torch._utils._rebuild_tensor_v2": rebuild, "collections.OrderedDict": collections.OrderedDict}
        return known[f"{module}.{name}"]

    def persistent_load(self, pid):
        _, kind, key, _, count = pid
        value = np.frombuffer(self.archive.read(f"{self.folder}/data/{key}"), kind)
        if value.size != count:
            sys.exit(f"readers: storage {key} has {value.size} elements, its pickle says {count}")
        return value


def rebuild(storage, offset, shape, strides, *_):
    steps = [s * storage.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def read_torch(path):
    with zipfile.ZipFile(path) as archive:
        state = Checkpoint(archive, archive.namelist()[0].split("/")[0]).load()
    yield from state.get("model", state).items()


def read_torchscript(path):
    """A module's pickle needs its code; its storages are read as bytes."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield name, np.frombuffer(archive.read(name), np.uint8)


READERS = {
    ".safetensors": lambda path: load_file(path).items(),
    ".gguf": read_gguf,
    ".onnx": read_onnx,
    ".npy": read_numpy,
    ".npz": read_npz,
    ".bin": read_torch,
    ".pt": read_torch,
    ".jit": read_torchscript,
}


def tensors(folder):
    """Maps the name of each tensor in a folder to its value; counts the files."""
    found, files = {}, 0
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.suffix not in READERS:
            continue
        files += 1
        for name, value in READERS[path.suffix](path):
            if name in found:  # several models in one folder
                name = f"{path.name}: {name}"
            found[name] = value
    return found, files


def equal(got, want):
    if want is None or got.shape != want.shape:
        return False
    if isinstance(got, Rounded) and not isinstance(want, Rounded):
        return np.linalg.norm(got - want) <= got.tolerance * np.linalg.norm(want)
    return got.dtype == want.dtype and got.tobytes() == want.tobytes()


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: readers.py PULLED ORIGINAL")
    (pulled, files), (original, _) = map(tensors, sys.argv[1:])
    differ = [name for name in sorted(pulled) if not equal(pulled[name], original.get(name))]
    for name in differ:
        print(f"readers: tensor {name} differs", file=sys.stderr)
    print(f"{len(pulled) - len(differ)} of {len(original)} tensors equal, {files} files")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
