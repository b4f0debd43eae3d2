"""A tiny service: it has a model on a GPU that it shares, and answers requests with it.

usage: service.py NAME SOCKET REF UUID TURNS PAUSE

Each turn takes the model, has it answer a request, and lets others have the GPU. A
line of JSON says how that went.
"""

import json
import sys
import time

import numpy as np

import ingot

WIDTH = 64


def weights(model, name):
    """Returns a corner of a matrix as float32, wherever it is."""
    tensor = model[name]
    if hasattr(tensor, "__cuda_array_interface__") and not hasattr(tensor, "numpy"):
        raise TypeError(f"{name} is of a kind that is not known")
    host = tensor.float().cpu().numpy() if hasattr(tensor, "cpu") else tensor.numpy().astype(np.float32)
    return host[:WIDTH, :WIDTH]


def answer(model, request):
    """Sends a request through all layers: a matrix each, and something that bends."""
    state = np.full(WIDTH, np.float32(request))
    for name in sorted(n for n in model if n.endswith("q_proj.weight")):
        state = np.tanh(weights(model, name) @ state * 8)
    return float(state.sum())


def main(name, socket, ref, device, turns, pause):
    began = time.time()
    model = ingot.attach(ref, device, agent=socket, share=True, timeout=60)
    say = lambda **event: print(json.dumps({"who": name, "at": time.time(), **event}), flush=True)
    say(what="attached", version=model.version, waited=time.time() - began)
    pauses = []
    model.on_pause(lambda p: pauses.append(p.reason))
    for turn in range(int(turns)):
        asked = time.time()
        with model.use(timeout=60):
            got = time.time()
            result = answer(model, turn + 1)
            say(what="answered", turn=turn + 1, version=model.version, waited=got - asked, worked=time.time() - got,
                answer=round(result, 6), pauses=len(pauses))
        time.sleep(float(pause))
    model.close()
    say(what="ended", pauses=len(pauses))


main(*sys.argv[1:])
