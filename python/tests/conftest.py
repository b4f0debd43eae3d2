"""Agents for tests: each runs in a process of its own and tells what happens to it."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent


class FakeAgent:
    """A process of fake_agent.py."""

    def __init__(self, socket, arguments):
        self.socket = str(socket)
        self._arguments = [sys.executable, str(HERE / "fake_agent.py"), self.socket, *arguments]
        self.faults = []
        self.start()

    def start(self, *more):
        pipe = subprocess.PIPE
        self._told = []  # and not expected yet
        self._process = subprocess.Popen([*self._arguments, *more], stdin=pipe, stdout=pipe, text=True)
        self.expect("ready")

    def expect(self, event):
        """Waits for something to happen, unless it has, and returns what was told of it."""
        for told in self._told:
            if told["event"] == event:
                self._told.remove(told)
                return told
        for line in self._process.stdout:
            told = json.loads(line)
            if told["event"] == event:
                return told
            self._told.append(told)
        raise AssertionError(f"the agent has ended without {event!r}; it told {self._told}")

    def command(self, line):
        """Returns when the agent has done it."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self.expect("done")

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._told += [json.loads(line) for line in self._process.stdout if line.endswith("\n")]
        self.faults += [told["why"] for told in self._told if told["event"] == "fault"]
        self._process.wait()
        self._process.stdout.close()
        self._process.stdin.close()


@pytest.fixture
def fake(tmp_path):
    """Starts agents that serve folders; a fault of a client fails its test."""
    agents = []

    def start(*models, way="together", fault=""):
        arguments = ["--way", way, "--fault", fault, *(f"{ref}={folder}" for ref, folder in models)]
        agents.append(FakeAgent(tmp_path / f"agent{len(agents)}.sock", arguments))
        return agents[-1]

    yield start
    for agent in agents:
        if agent._process.returncode is None:
            agent.kill()
    assert [a.faults for a in agents] == [[] for _ in agents]


def make_tensors(seed):
    rng = np.random.default_rng(seed)
    noise = lambda *shape: rng.standard_normal(shape, dtype=np.float32)  # noqa: E731
    tensors = {
        "big": noise(3, 700_001),  # over many chunks, the last not whole pages
        "wide": noise(1024, 1024).astype(ml_dtypes.bfloat16),
        "half": noise(400, 400).astype(np.float16),
        "double": noise(7).astype(np.float64),
        "tokens": rng.integers(0, 1 << 40, (5, 3)),
        "mask": rng.integers(0, 2, 77).astype(np.bool_),
        "small": noise(2, 9).astype(ml_dtypes.float8_e4m3fn),
        "smaller": noise(31).astype(ml_dtypes.float8_e5m2),
        "one": np.array(2.5, np.float32),
        "none": np.zeros((0, 4), np.float32),
    }
    return tensors | {f"layer.{i}.bias": noise(40 + i) for i in range(20)}


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder with a model: (path, its tensors)."""
    folder = tmp_path_factory.mktemp("weights")
    tensors = make_tensors(1)
    save_file(tensors, folder / "model.safetensors", {"format": "np", "step": "7"})
    (folder / "config.json").write_text('{"layers": 20}')
    (folder / "empty").write_bytes(b"")
    return folder, tensors


def same(got, want):
    """Compares two arrays to the last bit."""
    return got.dtype == want.dtype and got.shape == want.shape and got.tobytes() == want.tobytes()


def mappings_of(arrays):
    """Returns what the kernel says of the memory that each array lies in."""
    known, one = [], {}
    with open("/proc/self/smaps") as f:
        for line in f:
            word = line.split()[0]
            if "-" in word:
                one = {"name": line, "range": [int(x, 16) for x in word.split("-")]}
                known.append(one)
            else:
                one[word.rstrip(":")] = line.split()[1]
    addresses = [a.__array_interface__["data"][0] for a in arrays]
    return [next(k for k in known if k["range"][0] <= x < k["range"][1]) for x in addresses]


def mapping_of(array):
    return mappings_of([array])[0]


def open_files():
    return len(os.listdir("/proc/self/fd"))
