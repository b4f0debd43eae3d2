"""Uses the newest weights, as a worker of reinforcement learning does.

usage: follow.py REF
"""

import json
import sys
import time

import ingot
from model import digest

policy = {}
for version in ingot.watch(sys.argv[1]):
    began = time.monotonic()
    for name, tensor in version.updated():
        policy[name] = tensor.copy()
    said = {"version": version.version, "pause": time.monotonic() - began, "changed": len(version.changed)}
    print(json.dumps({**said, "receipt": version.receipt, "weights": digest(policy)}), flush=True)
