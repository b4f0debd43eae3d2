"""Compares the tensors of two model folders with the safetensors library.

usage: check.py PULLED ORIGINAL

Opens every *.safetensors file in both folders and compares them by tensor
name: element type, shape and raw bytes. How a model is spread over files does
not matter. Prints what was compared; exits 1 on any difference.
"""

import pathlib
import sys

import ml_dtypes  # noqa: F401  teaches numpy the name bfloat16
from safetensors import safe_open


def tensors(folder):
    """Maps the name of each tensor in a folder to its element type, shape and bytes."""
    found = {}
    files = sorted(pathlib.Path(folder).rglob("*.safetensors"))
    for path in files:
        with safe_open(path, framework="np") as f:
            for name in f.keys():
                if name in found:
                    sys.exit(f"check: tensor {name} is in two files of {folder}")
                part = f.get_slice(name)
                found[name] = (part.get_dtype(), part.get_shape(), f.get_tensor(name).tobytes())
    if not found:
        sys.exit(f"check: no tensors in {folder}")
    return found, len(files)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: check.py PULLED ORIGINAL")
    (pulled, files), (original, _) = map(tensors, sys.argv[1:])
    names = sorted(pulled.keys() | original.keys())
    differ = [n for n in names if pulled.get(n) != original.get(n)]
    for name in differ:
        print(f"check: tensor {name} differs", file=sys.stderr)
    print(f"{len(names) - len(differ)} of {len(names)} tensors equal, {files} files")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
