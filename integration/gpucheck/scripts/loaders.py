#!/usr/bin/env python3
"""Loads safetensors files onto a GPU with one of the loaders of PyPI.

    loaders.py LOADER FILE...

It says "ready" when all modules are there and the GPU's context is. Then, for each
line on standard input, it loads the files until every tensor is on the GPU, and says
in a line of JSON how many seconds that took and how many bytes of tensors came.
"""

import json
import sys
import time

import torch

DEVICE = "cuda:0"  # the only one that this process sees


def safetensors(files):
    """safetensors as its users call it."""
    from safetensors.torch import load_file

    return lambda: [t for path in files for t in load_file(path, device=DEVICE).values()]


def streamer(files):
    """Run:ai Model Streamer, whose tensors come in memory of the host."""
    from runai_model_streamer import SafetensorsStreamer

    def load():
        with SafetensorsStreamer() as s:
            s.stream_files(files)
            return [t.to(DEVICE, non_blocking=False) for _, t in s.get_tensors()]

    return load


def main():
    loader, files = sys.argv[1], sys.argv[2:]
    load = globals()[loader](files)
    torch.zeros(1, device=DEVICE)
    torch.cuda.synchronize()
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        tensors = load()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        came = sum(t.numel() * t.element_size() for t in tensors)
        del tensors
        torch.cuda.empty_cache()
        print(json.dumps({"seconds": seconds, "bytes": came}), flush=True)


if __name__ == "__main__":
    main()
