"""Opens a pulled model with PyTorch and saves it again.

usage: torches.py PULLED ORIGINAL SAVED

The checkpoints (*.bin, *.pt) of PULLED must load with weights_only, mapped into
memory and not; the TorchScript modules (*.jit) as modules. Where ORIGINAL has
*.safetensors, the checkpoints must hold just their tensors. Everything is then
written to the folder SAVED by PyTorch under the same file names. Prints what
was opened; exits 1 on any difference.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file


def same(a, b):
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: torches.py PULLED ORIGINAL SAVED")
    pulled, original, saved = map(pathlib.Path, sys.argv[1:])
    want = {}
    for path in original.glob("*.safetensors"):
        want |= load_file(path)
    modules = list(pulled.glob("*.jit"))
    for path in modules:
        torch.jit.save(torch.jit.load(path), saved / path.name)
    checkpoints = [path for path in sorted(pulled.iterdir()) if path.suffix in (".bin", ".pt")]
    got = {}
    for path in checkpoints:
        state = torch.load(path, map_location="cpu", weights_only=True)
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        got |= state.get("model", state)
        torch.save(state, saved / path.name)
    if checkpoints and want and not same(got, want):
        sys.exit(f"torches: {pulled} and {original} differ")
    print(f"{len(got)} tensors, {len(checkpoints)} checkpoints, {len(modules)} modules")


if __name__ == "__main__":
    main()
