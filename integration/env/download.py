"""Downloads a model with huggingface_hub into an empty cache. argv: REPO

Prints how many seconds it took, without what Python needs to start, and where the
model is.
"""

import json
import sys
import time

import huggingface_hub as hub

began = time.perf_counter()
path = hub.snapshot_download(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - began, "path": path, "version": hub.__version__}))
