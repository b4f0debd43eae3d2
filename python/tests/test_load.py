"""Whole versions: tensors, files, names, and who keeps what alive."""

import gc
import os
import threading

import numpy as np
import pytest
from conftest import make_tensors, mapping_of, open_files, same
from safetensors.numpy import save_file

import ingot

REF = "acme/tiny:prod"
WAYS = ["together", "scattered", "crooked"]


@pytest.mark.parametrize("way", WAYS)
def test_tensors_are_the_files(fake, weights, way):
    folder, want = weights
    agent = fake((REF, folder), way=way)
    model = ingot.load(REF, agent=agent.socket)
    got = dict(model)
    assert got.keys() == want.keys()
    assert [name for name in want if not same(got[name], want[name])] == []
    assert (model.stats.copied > 0) == (way == "crooked")
    for path in folder.iterdir():
        assert model.read_file(path.name) == path.read_bytes()
    assert {f.path: f.size for f in model.files} == {p.name: p.stat().st_size for p in folder.iterdir()}


@pytest.mark.parametrize("way", ["together", "scattered"])
def test_nothing_is_copied(fake, weights, way):
    folder, want = weights
    agent = fake((REF, folder), way=way)
    model = ingot.load(REF, agent=agent.socket)
    big = model["big"]
    assert big.sum() == want["big"].sum()  # every page is touched
    kernel = mapping_of(big)
    assert "memfd" in kernel["name"]
    assert kernel["Anonymous"] == "0"  # no page is this process's own
    assert model.stats.copied == 0
    assert model.stats.mapped >= big.nbytes
    assert model["big"].__array_interface__["data"] == big.__array_interface__["data"]


def test_writing_is_private(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    mine, other = (ingot.load(REF, agent=agent.socket) for _ in range(2))
    a = mine["big"]
    a[0, 0] = 12345
    kernel = mapping_of(a)
    assert int(kernel["Anonymous"]) == ingot.memory.PAGE >> 10
    assert mine["big"][0, 0] == 12345
    assert same(other["big"], want["big"])


def test_small_tensors_share_a_mapping(fake, weights):
    folder, _ = weights
    agent = fake((REF, folder))
    model = ingot.load(REF, agent=agent.socket)
    biases = [model[f"layer.{i}.bias"] for i in range(20)]
    assert model.stats.mappings <= 2
    del biases
    assert model.stats.mappings == 0


def test_an_array_keeps_the_lease(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    part = ingot.load(REF, agent=agent.socket)["big"][1, 5:]
    gc.collect()
    assert ingot.status(agent=agent.socket)["leases"] == 1
    assert same(part, want["big"][1, 5:])
    del part
    agent.expect("end")


def test_a_dropped_model_leaves_nothing(fake, weights):
    folder, _ = weights
    agent = fake((REF, folder), way="scattered")
    before, threads = open_files(), set(threading.enumerate())
    for _ in range(10):
        model = ingot.load(REF, agent=agent.socket)
        assert len(dict(model)) == len(model)
        del model
        agent.expect("end")
    for thread in set(threading.enumerate()) - threads:
        thread.join()
    assert open_files() == before


def test_a_closed_model(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    with ingot.load(REF, agent=agent.socket) as model:
        big = model["big"]
    with pytest.raises(ValueError, match="closed"):
        model["big"]
    assert same(big, want["big"])
    del big
    agent.expect("end")


def test_the_budget_of_mappings(fake, weights, monkeypatch):
    folder, want = weights
    agent = fake((REF, folder), way="scattered")
    monkeypatch.setattr(ingot.memory.PROCESS, "limit", 0)
    model = ingot.load(REF, agent=agent.socket)
    assert all(same(model[name], want[name]) for name in want)
    assert model.stats.mappings == 0
    assert model.stats.copied == sum(t.nbytes for t in want.values())


def test_names_and_files(fake, weights, tmp_path):
    folder, want = weights
    both = tmp_path / "both"
    both.mkdir()
    save_file(want, both / "a.safetensors")
    other = {"big": make_tensors(2)["big"], "extra": np.arange(3)}
    save_file(other, both / "b.safetensors")
    agent = fake((REF, folder), ("acme/two", both))
    assert list(ingot.load(REF, agent=agent.socket, names=["one", "big"])) == ["one", "big"]
    with pytest.raises(KeyError, match="no tensor 'absent'"):
        ingot.load(REF, agent=agent.socket, names=["absent"])
    with pytest.raises(ValueError, match="'big' in a.safetensors and in b.safetensors: choose with file="):
        ingot.load("acme/two", agent=agent.socket)
    for file, content in (("a.safetensors", want), ("b.safetensors", other)):
        model = ingot.load("acme/two", agent=agent.socket, file=file)
        assert model.keys() == content.keys()
        assert same(model["big"], content["big"])
    with pytest.raises(FileNotFoundError, match="no file 'c'"):
        ingot.load("acme/two", agent=agent.socket, file="c")
    with pytest.raises(FileNotFoundError, match="no file 'c'"):
        model.read_file("c")


def test_what_a_model_says(fake, weights):
    folder, _ = weights
    agent = fake((REF, folder))
    model = ingot.load(REF, agent=agent.socket)
    assert (model.ref, len(model.version)) == (REF, 64)
    assert "acme/tiny" in repr(model)
    info = model.info("wide")
    assert (info.dtype, info.shape, info.nbytes, info.file) == ("BF16", (1024, 1024), 2 << 20, "model.safetensors")
    with pytest.raises(KeyError):
        model["absent"]
    assert "absent" not in model


def test_order_of_numpy_files(fake, tmp_path):
    want = np.arange(12, dtype=np.float32).reshape(3, 4)
    for name, array in (("rows", want), ("columns", np.asfortranarray(want)), ("big", want.astype(">f4"))):
        np.save(tmp_path / f"{name}.npy", array)
    agent = fake((REF, tmp_path))
    for name in ("rows", "columns", "big"):
        assert np.array_equal(ingot.load(REF, agent=agent.socket, file=f"{name}.npy")["array"], want), name


def test_waiting_is_told(fake, weights):
    folder, _ = weights
    agent = fake((REF, folder))
    agent.command("slow")
    heard = []

    def progress(done, total):
        heard.append((done, total))
        agent.command("go")

    ingot.load(REF, agent=agent.socket, progress=progress, timeout=60)
    assert heard == [(1, 2)]
    assert agent.expect("lease")["deadline"] == 60


def test_threads_may_share_a_model(fake, weights):
    folder, want = weights
    agent = fake((REF, folder), way="scattered")
    model = ingot.load(REF, agent=agent.socket)
    wrong = []

    def read():
        for _ in range(5):
            wrong.extend(name for name in want if not same(model[name], want[name]))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_a_child_shares_the_lease(fake, weights):
    folder, want = weights
    agent = fake((REF, folder))
    model = ingot.load(REF, agent=agent.socket)
    big = model["big"]
    go, let = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(let)
        os.read(go, 1)  # until the parent has let go
        ok = same(big, want["big"]) and same(model["wide"], want["wide"])
        os._exit(0 if ok and ingot.status(agent=agent.socket)["leases"] == 1 else 1)
    del model, big
    gc.collect()
    os.close(let)
    assert os.waitpid(child, 0)[1] == 0
    os.close(go)
    agent.expect("end")


def test_agents_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_AGENT", str(tmp_path / "nobody.sock"))
    for call in (lambda: ingot.load(REF), ingot.status, lambda: ingot.stream(REF)):
        with pytest.raises(ingot.NoAgent, match="no agent answers at .*nobody.sock"):
            call()
    monkeypatch.setenv("INGOT_AGENT", "http://127.0.0.1:1")
    with pytest.raises(ingot.NoAgent, match="no agent answers"):
        ingot.status()
    with pytest.raises(ingot.AgentError, match="over the agent's socket only"):
        ingot.load(REF)


def test_where_agents_are(monkeypatch, tmp_path):
    monkeypatch.delenv("INGOT_AGENT", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert ingot.Agent().address == str(tmp_path / "ingot" / "agent.sock")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert ingot.Agent().address == "/run/ingot/agent.sock"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert ingot.Agent().address == "/tmp/ingot-4000000/agent.sock"
    monkeypatch.setenv("INGOT_AGENT", "somewhere.sock")
    assert ingot.Agent().address == "somewhere.sock"
    assert ingot.Agent("elsewhere.sock").address == "elsewhere.sock"


def test_calls(fake, weights):
    folder, _ = weights
    agent = ingot.Agent(fake((REF, folder)).socket)
    assert agent.load(REF, "disk", timeout=3) == {"ref": REF, "tier": "disk", "deadline": 3}
    assert agent.load(REF, "gpu", device="GPU-1", hint=True)["hint"]
    swap = {"from": REF, "to": "acme/next:x", "deadline": 2, "device": "GPU-1", "priority": 3}
    assert agent.swap(REF, "acme/next:x", device="GPU-1", priority=3, timeout=2) == swap
    assert agent.unload(REF) == {"ref": REF, "tier": "none"}
    assert agent.pin(REF) == {"ref": REF, "pinned": True}
    assert ingot.load(REF, agent=agent).version
    with pytest.raises(ingot.AgentError, match="no such version") as caught:
        ingot.load("acme/absent", agent=agent)
    assert caught.value.code == "not_found"


def test_bad_arguments(fake, weights):
    folder, _ = weights
    agent = fake((REF, folder))
    with pytest.raises(ValueError, match="framework 'jax'"):
        ingot.load(REF, agent=agent.socket, framework="jax")
    with pytest.raises(ValueError, match="device 'cuda'"):
        ingot.load(REF, agent=agent.socket, device="cuda")


def test_what_differs(fake, weights, tmp_path):
    folder, want = weights
    changed = {name: t.copy() for name, t in want.items()}
    changed["big"][2, 7] += 1
    changed["mask"] = changed["mask"].astype(np.uint8)
    changed["one"] = changed["one"].reshape(1)
    del changed["double"]
    save_file(changed, tmp_path / "model.safetensors")
    agent = fake((REF, folder), ("acme/next:x", tmp_path))
    old, new = ingot.load(REF, agent=agent.socket), ingot.load("acme/next:x", agent=agent.socket)
    assert sorted(old.differing(new)) == ["big", "double", "mask", "one"]
    assert sorted(new.differing(old)) == ["big", "mask", "one"]
    assert old.differing(ingot.load(REF, agent=agent.socket)) == []


def test_what_is_shared_is_not_read(fake, weights, monkeypatch):
    agent = fake((REF, weights[0]), way="scattered")
    one, two = ingot.load(REF, agent=agent.socket), ingot.load(REF, agent=agent.socket)
    monkeypatch.setattr(ingot.memory, "read", None)
    assert one.differing(two) == []
