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
from fake_hub import FakeHub
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent


class FakeAgent:
    """A process of fake_agent.py, or of another program that speaks as it does."""

    def __init__(self, socket, arguments, program="fake_agent.py"):
        self.socket = str(socket)
        self._arguments = [sys.executable, str(HERE / program), self.socket, *arguments]
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


class Told:
    """What the program was told."""

    def __init__(self, folder):
        self.folder = folder

    def calls(self):
        found = sorted(self.folder.glob("call*"), key=lambda p: int(p.name[4:]))
        return [p.read_text().split("\0")[:-1] for p in found]

    def answer(self, *lines):
        (self.folder / "answers").write_text("".join(line + "\n" for line in lines))

    def pushed(self, n):
        return self.folder / f"pushed{n}"

    def hold(self):
        (self.folder / "hold").touch()

    def go(self):
        (self.folder / "hold").unlink()


@pytest.fixture
def fake(tmp_path):
    """Starts agents that serve folders; a fault of a client fails its test."""
    agents = []

    def start(*models, way="together", fault=""):
        arguments = ["--way", way, "--fault", fault, *(f"{ref}={folder}" for ref, folder in models)]
        agents.append(FakeAgent(tmp_path / f"agent{len(agents)}.sock", arguments))
        return agents[-1]

    yield start
    ended(agents)


@pytest.fixture
def fake_hub():
    """Starts registries that serve models in memory; a fault of a client fails its test."""
    hubs = []

    def start(fault="", **more):
        hubs.append(FakeHub(fault, **more))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.stop()
    assert [hub.faults for hub in hubs] == [[] for _ in hubs]


@pytest.fixture
def told(tmp_path, monkeypatch, fake_hub):
    folder = tmp_path / "program"
    folder.mkdir()
    hub = fake_hub()
    hub.answers["/tags/"] = json.dumps({"digest": "f" * 64}).encode()
    for name, value in {
        "INGOT_PROGRAM": HERE / "fake_program.sh", "FAKE_PROGRAM": folder,
        "INGOT_REGISTRY": hub.address, "XDG_CACHE_HOME": tmp_path / "cache",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    from ingot import publisher

    monkeypatch.setattr(publisher, "_PAUSE", 0.001)
    monkeypatch.setattr(publisher, "_publishers", {})
    return Told(folder)


@pytest.fixture
def gpu(tmp_path):
    """Starts agents that have a GPU of the fake driver."""
    if not os.environ.get("INGOT_LIBCUDA"):
        pytest.skip("INGOT_LIBCUDA names no driver: go test ./integration -run TestPython builds the fake one")
    agents = []

    def start(*models, fault="", reserve=64 << 20):
        arguments = ["--fault", fault, "--reserve", str(reserve), *(f"{ref}={folder}" for ref, folder in models)]
        agents.append(FakeAgent(tmp_path / f"gpu{len(agents)}.sock", arguments, "fake_gpu.py"))
        return agents[-1]

    yield start
    ended(agents)


def ended(agents):
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


@pytest.fixture(scope="session")
def variant(weights, tmp_path_factory):
    """A folder with the same layout, of which two tensors differ."""
    folder = tmp_path_factory.mktemp("variant")
    tensors = {name: t.copy() for name, t in weights[1].items()}
    tensors["one"] = np.array(-7.5, np.float32)
    tensors["big"][0, 0] = 99
    save_file(tensors, folder / "model.safetensors", {"format": "np", "step": "7"})
    return folder, tensors


@pytest.fixture(scope="session")
def larger(tmp_path_factory):
    """A folder with another model, some of whose tensors have names of the first."""
    folder = tmp_path_factory.mktemp("larger")
    noise = np.random.default_rng(7).standard_normal((4000, 2000), np.float32)
    tensors = {"a": noise, "big": make_tensors(5)["big"][:2], "one": np.array(1, np.float32)}
    save_file(tensors, folder / "model.safetensors")
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
