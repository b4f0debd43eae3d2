"""Writes a synthetic bf16 model and a variant of it in which one layer changed.

usage: models.py FOLDER MIB

Gaussian rows with varied scales, 12 layers, about MIB MiB in FOLDER/base and as
much in FOLDER/variant. Seeded; a second run with the same size does nothing.
"""

import pathlib
import shutil
import sys

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

LAYERS = 12
CHANGED = 5
WIDTH = 1024


def matrix(rng, rows):
    scale = rng.uniform(0.01, 0.05, (rows, 1)).astype(np.float32)
    return (scale * rng.standard_normal((rows, WIDTH), dtype=np.float32)).astype(ml_dtypes.bfloat16)


def layer(seed, mib):
    rng = np.random.default_rng(seed)
    rows = mib * (1 << 20) // (2 * WIDTH * LAYERS * 8)
    tensors = {f"part.{i}.weight": matrix(rng, rows) for i in range(8)}
    return tensors | {"norm.weight": np.ones(WIDTH, ml_dtypes.bfloat16)}


def write(folder, mib, seeds):
    folder.mkdir(parents=True)
    for half in range(2):
        which = range(half * LAYERS // 2, (half + 1) * LAYERS // 2)
        shard = {f"layers.{i}.{k}": v for i in which for k, v in layer(seeds[i], mib).items()}
        save_file(shard, folder / f"model-{half + 1:05}-of-00002.safetensors")


def main():
    folder, mib = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    stamp = folder / "mib"
    if stamp.exists() and stamp.read_text() == str(mib):
        return
    shutil.rmtree(folder, ignore_errors=True)
    write(folder / "base", mib, list(range(LAYERS)))
    write(folder / "variant", mib, [i if i != CHANGED else LAYERS for i in range(LAYERS)])
    stamp.write_text(str(mib))


if __name__ == "__main__":
    main()
