#!/usr/bin/env python3
"""Uses a version on a GPU as a program would, and answers questions about it.

    client.py FRAMEWORK REF DEVICE TENSOR

FRAMEWORK is torch, or array for a machine without PyTorch. It says "ready" when all
modules are there. Each line on standard input is a question, each line of standard
output its answer in JSON:

    attach         leases REF on DEVICE: seconds, tensors, bytes
    equal FILE...  how many tensors of safetensors files are not equal to those here
    graph          captures a CUDA graph that adds up TENSOR (torch)
    replay         what it gives now, and what is right (torch)
    await VERSION  waits until VERSION is mapped
    close          ends the lease
"""

import json
import struct
import sys
import time

import numpy as np

import ingot


class Client:
    def __init__(self, framework, ref, device, tensor):
        self.framework, self.ref, self.device, self.tensor = framework, ref, device, tensor
        self.model = self.graph = self.total = None
        if framework == "torch":
            import torch

            torch.zeros(1, device="cuda:0")
            torch.cuda.synchronize()

    def attach(self):
        began = time.perf_counter()
        self.model = ingot.attach(self.ref, self.device, framework=self.framework)
        with self.model.use():
            tensors = [self.model[name] for name in self.model]
            infos = [self.model.info(name) for name in self.model]
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "tensors": len(tensors), "bytes": sum(i.nbytes for i in infos)}

    def equal(self, *files):
        differ = 0
        with self.model.use():
            for path in files:
                for name, want in tensors_of(path):
                    differ += not np.array_equal(self.bytes_of(name), want)
        return {"differ": differ}

    def bytes_of(self, name):
        """The bytes of a tensor on the GPU."""
        if self.framework == "torch":
            import torch

            return self.model[name].reshape(-1).view(torch.uint8).cpu().numpy()
        return self.model[name].numpy().reshape(-1).view(np.uint8)

    def graph_of(self):
        import torch

        words = self.model[self.tensor].reshape(-1).view(torch.int16)
        return lambda out: torch.sum(words, 0, dtype=torch.int64, out=out)

    def capture(self):
        import torch

        with self.model.use():
            add, self.total = self.graph_of(), torch.zeros((), dtype=torch.int64, device="cuda:0")
            stream = torch.cuda.Stream()
            with torch.cuda.stream(stream):
                add(self.total)  # a warm-up, as PyTorch wants it
            torch.cuda.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                add(self.total)
        return {}

    def replay(self):
        import torch

        with self.model.use():
            self.total.fill_(-1)
            self.graph.replay()
            torch.cuda.synchronize()
            right = int(self.bytes_of(self.tensor).view(np.int16).sum(dtype=np.int64))
        return {"got": int(self.total), "right": right}

    def wait(self, version):
        until = time.monotonic() + 60
        while self.model.version != version or not self.model.mapped:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.model.version} is mapped, and not {version}")
            time.sleep(0.002)
        return {}

    def close(self):
        self.model.close()
        return {}

    def answer(self, question, *rest):
        ask = {"attach": self.attach, "equal": self.equal, "graph": self.capture, "replay": self.replay,
               "await": self.wait, "close": self.close}  # fmt: skip
        return ask[question](*rest)


def tensors_of(path):
    """Yields the names of the tensors of a safetensors file, and their bytes."""
    with open(path, "rb") as f:
        length = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(length))
    header.pop("__metadata__", None)
    content = np.memmap(path, np.uint8, "r", 8 + length)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        yield name, content[begin:end]


def main():
    client = Client(*sys.argv[1:])
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            told = client.answer(*line.split())
        except Exception as e:
            told = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
