"""Uses a version on a GPU by the Python package, as it is told line by line.

usage: gpu.py SOCKET KNOWN REF UUID

KNOWN is a folder with what versions hold, checksums by tensor, as JSON. Every answer
is a line of JSON.
"""

import json
import pathlib
import sys
import zlib

import ingot


def check(model, known):
    """Reads every byte of every tensor, and says what they are of."""
    with model.use():
        want = json.loads((known / model.version).read_text())["tensors"]
        names = list(model)
        if len(names) != len(want):
            raise ValueError(f"{len(names)} tensors, want {len(want)}")
        for name in names:
            found = zlib.crc32(model[name].numpy().tobytes())
            if found != want[f"{model.info(name).file} {name}"]:
                raise ValueError(f"tensor {name} of {model.version} has wrong bytes")
        return {"version": model.version, "addresses": {n: model.address(n) for n in names}}


def is_stale(tensor):
    try:
        tensor.numpy()
    except ingot.AgentError:
        return True
    return False


def main(socket, known, ref, device):
    model = ingot.attach(ref, device, agent=socket, framework="array", timeout=60)
    changes = []
    model.on_change(changes.append)
    kept = None
    for line in sys.stdin:
        said = {}
        match line.strip():
            case "check":
                said = check(model, pathlib.Path(known))
            case "keep":
                kept = model["model.layers.8.mlp.weight"]  # which not all models have
            case "stale":
                said = {"stale": is_stale(kept)}
            case "detach":
                model.detach(timeout=60)
            case "reattach":
                model.reattach(timeout=60)
            case "close":
                model.close()
                return
            case unknown:
                raise ValueError(unknown)
        print(json.dumps(said | {"changes": changes, "parked": model.parked}), flush=True)


main(*sys.argv[1:])
