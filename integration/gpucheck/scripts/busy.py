#!/usr/bin/env python3
"""Keeps a GPU computing, as an engine does that serves requests.

It says "ready" when it is about to begin. Each line on standard input is a question:
"steps" is answered, in JSON, with how many multiplications of matrices a second it
has made since the last question.
"""

import json
import sys
import threading
import time

import torch


def main():
    a = torch.randn(4096, 4096, device="cuda:0", dtype=torch.bfloat16)
    b = torch.empty_like(a)
    torch.matmul(a, a, out=b)
    torch.cuda.synchronize()
    steps, ended = [0], threading.Event()

    def work():
        while not ended.is_set():
            for _ in range(16):
                torch.matmul(a, a, out=b)
            torch.cuda.synchronize()
            steps[0] += 16

    worker = threading.Thread(target=work)
    worker.start()
    print("ready", flush=True)
    before, began = 0, time.perf_counter()
    for _ in sys.stdin:
        now, seconds = steps[0], time.perf_counter() - began
        print(json.dumps({"rate": (now - before) / seconds}), flush=True)
        before, began = now, time.perf_counter()
    ended.set()
    worker.join()


if __name__ == "__main__":
    main()
