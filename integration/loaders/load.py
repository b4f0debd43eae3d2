#!/usr/bin/env python3
"""Loads a safetensors file with one of the loaders of PyPI, as often as it is told.

    load.py LOADER FILE

It says "ready" when all modules are there. Then, for each line on standard input, it
loads the file until every byte is in private memory, says how many seconds that took,
and the CRC-32 of all tensors in the order of the file, taken off the clock.
"""

import json
import struct
import sys
import time
import zlib


def streamer(path):
    """Run:ai Model Streamer. The tensors lie in buffers that it reads into and that
    belong to the caller from then on."""
    from runai_model_streamer import SafetensorsStreamer

    def load():
        with SafetensorsStreamer() as s:
            s.stream_file(path)
            return dict(s.get_tensors())

    return load


def safetensors_pread(path):
    """safetensors for PyTorch, which reads every tensor into memory of its own."""
    from safetensors.torch import load_file

    return lambda: load_file(path, backend="pread")


def safetensors_mmap(path):
    """safetensors for PyTorch as it is by default: tensors are parts of the page
    cache, so each is copied."""
    from safetensors.torch import load_file

    return lambda: {name: t.clone() for name, t in load_file(path).items()}


def safetensors_numpy(path):
    """safetensors for NumPy, which ml_dtypes teaches bfloat16."""
    import ml_dtypes  # noqa: F401
    from safetensors.numpy import load_file

    return lambda: load_file(path)


def names(path):
    """The names of the tensors in the order of the file."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    header.pop("__metadata__", None)
    return sorted(header, key=lambda name: header[name]["data_offsets"])


def bytes_of(tensor):
    """The bytes of an array or tensor, without a copy."""
    if hasattr(tensor, "untyped_storage"):
        import torch

        return memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return memoryview(tensor.reshape(-1).view("u1"))


def main():
    loader, path = sys.argv[1:]
    load = globals()[loader.replace("-", "_")](path)
    order = names(path)
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        tensors = load()
        seconds = time.perf_counter() - began
        crc = 0
        for name in order:
            crc = zlib.crc32(bytes_of(tensors[name]), crc)
        del tensors
        print(f"{seconds:.6f} {crc:08x}", flush=True)


if __name__ == "__main__":
    main()
