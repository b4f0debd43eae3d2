"""Publishing to a real registry, and following it in a real agent and without one.

INGOT_TEST_PUBLISH names the registry, INGOT_AGENT the agent's socket and INGOT_PROGRAM
the program. Without these the tests are skipped.
"""

import os
import signal
import subprocess
import sys
import threading

import ml_dtypes
import numpy as np
import pytest
from conftest import same

import ingot
from ingot import publisher
from ingot.program import Program

REGISTRY = os.environ.get("INGOT_TEST_PUBLISH", "")

pytestmark = pytest.mark.skipif(
    not (REGISTRY and os.environ.get("INGOT_PROGRAM")), reason="no registry was started for the tests"
)

# NaNs with payloads, zeros with and without a sign, denormals: what arithmetic would lose.
ODD = np.array([0x7FC1, 0xFFA5, 0x7F81, 0x8000, 0x0000, 0x0001, 0x807F], np.uint16).view(ml_dtypes.bfloat16)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_REGISTRY", REGISTRY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def steps(n):
    """Yields the weights of a training: a few of them change with each step."""
    rng = np.random.default_rng(5)
    state = {
        "layer.weight": rng.standard_normal((700, 800), np.float32).astype(ml_dtypes.bfloat16),
        "layer.bias": rng.standard_normal(800, np.float32),
        "odd": ODD.copy(),
    }
    for step in range(n):
        yield step, state
        chosen = rng.integers(0, 700 * 800, 5600)
        state["layer.weight"].reshape(-1)[chosen] += ml_dtypes.bfloat16(2**-7)
        state["odd"] = np.roll(state["odd"], 1)


@pytest.mark.parametrize("way", ["agent", "folder"])
def test_a_training_is_followed(way, tmp_path):
    ref = f"python/followed-{way}"
    source = {} if way == "agent" else {"registry": REGISTRY, "folder": tmp_path / "here"}
    wanted, seen, got = {}, threading.Semaphore(0), []

    def follow():
        with ingot.watch(ref, timeout=120, **source) as versions:
            for version in versions:
                got.append((version.version, sorted(version.changed), {n: version[n].copy() for n in version}))
                seen.release()
                if len(got) == 3:
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    for step, state in steps(3):
        receipt = ingot.publish(state, ref, step=step, loss=1 / (step + 1), run="real").result()
        wanted[receipt["digest"]] = {n: t.copy() for n, t in state.items()}
        assert seen.acquire(timeout=120)
    thread.join()
    assert [digest for digest, _, _ in got] == list(wanted)
    assert [changed for _, changed, _ in got] == [["layer.bias", "layer.weight", "odd"], ["layer.weight", "odd"], ["layer.weight", "odd"]]
    for digest, _, tensors in got:
        assert [n for n in tensors if not same(tensors[n], wanted[digest][n])] == []
    last = Program(REGISTRY)("show", ref)
    assert last["annotations"] == {"ingot.step": "2", "ingot.loss": repr(1 / 3), "ingot.run": "real"}
    assert last["parent"] == got[1][0]


def test_two_publishers_of_one_tag():
    ref = "python/contested"
    one, other = publisher.Publisher(ref), publisher.Publisher(ref)
    x = {"x": np.arange(9)}
    one.publish(x, step=1).result()
    won = other.publish(x, step=2).result()
    lost = one.publish(x, step=3)
    assert isinstance(lost.exception(), ingot.TagMoved)
    assert Program(REGISTRY)("show", ref)["digest"] == won["digest"]
    one.publish(x, step=4, expect="any").result()
    with pytest.raises(ingot.TagMoved):
        other.publish(x, step=5, asynchronously=False)
    one.close()
    other.close()


KILLED = """
import os, signal, sys
import numpy as np
import ingot
ingot.publish({"x": np.zeros(9)}, sys.argv[1], step=1).result()
ingot.publish({"x": np.random.default_rng(1).random(1 << 20)}, sys.argv[1], step=2)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_publisher_that_is_killed():
    ref = "python/killed"
    killed = subprocess.run([sys.executable, "-c", KILLED, ref], env={**os.environ, "PYTHONPATH": "src"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    x = {"x": np.ones(9)}
    ingot.publish(x, ref, step=3, expect="any").result()
    program = Program(REGISTRY)
    versions = program("ls", ref)["versions"]
    assert 2 <= len(versions) <= 3
    for version in versions:
        program("verify", f"{ref}@{version['digest']}")
