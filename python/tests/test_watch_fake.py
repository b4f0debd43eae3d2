"""Following a reference: in the memory of an agent that is a fake, and in files."""

import json
import threading

import ml_dtypes
import numpy as np
import pytest
from conftest import same
from safetensors.numpy import save_file

import ingot
from ingot import tags
from ingot.model import Form
from ingot.weights import Weights

REF = "acme/tiny:prod"


def test_each_version_with_what_has_changed(fake, weights, variant):
    agent = fake((REF, weights[0]))
    with ingot.watch(REF, agent=agent.socket) as versions:
        first = next(versions)
        assert sorted(first.changed) == sorted(first) == sorted(weights[1])
        assert not first.newer()
        kept = first["big"]
        agent.command(f"put {REF} {variant[0]}")
        second = next(versions)
        assert second.version != first.version
        assert sorted(name for name, _ in second.updated()) == ["big", "one"]
        assert [n for n in variant[1] if not same(second[n], variant[1][n])] == []
        assert second.read_file("model.safetensors") == (variant[0] / "model.safetensors").read_bytes()
        assert same(kept, weights[1]["big"])  # an array stays what it is
        with pytest.raises(ValueError, match="another version was asked for"):
            first["big"]
        agent.command(f"move {REF} {second.version}")  # told twice, or late
        agent.command(f"put {REF} {weights[0]}")
        while not second.newer():
            pass
        assert sorted(next(versions).changed) == ["big", "one"]


def test_a_version_that_comes_into_the_place_of_the_one_before(fake, weights, variant):
    agent = fake((REF, weights[0]))
    with ingot.watch(REF, agent=agent.socket) as versions:
        next(versions)
        agent.command(f"patch {REF} {variant[0]}")
        version = next(versions)  # the fake agent lets nobody in while the one before is leased
        assert sorted(version.changed) == sorted(version)  # nothing is there to compare with
        assert same(version["big"], variant[1]["big"])


def test_nothing_to_compare(fake, weights, variant):
    agent = fake((REF, weights[0]))
    versions = ingot.watch(REF, agent=agent.socket, compare=False)
    next(versions)
    agent.command(f"put {REF} {variant[0]}")
    assert sorted(next(versions).changed) == sorted(variant[1])
    versions.close()
    assert list(versions) == []


def test_it_waits_for_the_first(fake, weights, monkeypatch):
    monkeypatch.setattr("ingot.follow._ABSENT", 0.01)
    agent = fake(("acme/other:prod", weights[0]))
    with pytest.raises(TimeoutError, match="in time"):
        next(ingot.watch(REF, agent=agent.socket, timeout=0.05))
    with ingot.watch(REF, agent=agent.socket) as versions:
        threading.Timer(0.05, agent.command, [f"put {REF} {weights[0]}"]).start()
        assert sorted(next(versions)) == sorted(weights[1])


def test_a_watch_ends(fake, weights):
    agent = fake((REF, weights[0]))
    versions = ingot.watch(REF, agent=agent.socket)
    next(versions)
    threading.Timer(0.05, versions.close).start()
    assert list(versions) == []
    agent.expect("end")


@pytest.mark.parametrize("ref", ["acme", "acme/tiny@" + "a" * 64, "acme/tiny:prod/model"])
def test_what_does_not_change(ref):
    with pytest.raises(ValueError):
        ingot.watch(ref)


def test_events(fake_hub):
    """What a registry tells is a reason to look."""
    lines = b": hello\n\nevent: ready\ndata: {}\n\nevent: tag\ndata: %s\n\nevent: tag\ndata: %s\n\nevent: reset\ndata: {}\n\n"
    told = [json.dumps({"repo": "acme/tiny", "tag": tag, "digest": "", "updated": ""}).encode() for tag in ("prod", "other")]
    hub = fake_hub()
    hub.answers["/v1/events"] = lines % tuple(told)
    looks, enough = [], threading.Semaphore(0)

    def changed():
        looks.append(hub.asked("/v1/events"))
        enough.release()

    listener = tags.Listener(hub.address, "acme/tiny", "prod", changed)
    for _ in range(4):  # at first, of the tag, of the reset, and when the stream has ended
        assert enough.acquire(timeout=60)
    listener.close()
    assert looks == [1] * 4


@pytest.mark.parametrize("answer", [b"event: tag\ndata: {", b"\xff\xfe:\n", b"event: tag\ndata: []\n\n"])
def test_events_that_are_none(fake_hub, answer):
    hub, looked = fake_hub(), threading.Event()
    hub.answers["/v1/events"] = answer
    listener = tags.Listener(hub.address, "acme/tiny", "prod", looked.set)
    assert looked.wait(60)
    listener.close()


def test_tags(fake_hub):
    hub = fake_hub()
    hub.answers["/tags/prod"] = json.dumps({"digest": "a" * 64}).encode()
    hub.answers["/tags/odd"] = b"[]"
    assert tags.now(hub.address, "acme/tiny", "prod") == "a" * 64
    with pytest.raises(ConnectionError, match="does not read"):
        tags.now(hub.address, "acme/tiny", "odd")
    with pytest.raises(ConnectionError, match="no registry answers"):
        tags.now("http://127.0.0.1:9", "acme/tiny", "prod")


def test_weights_in_files(weights, variant, tmp_path):
    got, other = Weights(weights[0], Form("numpy", "cpu")), Weights(variant[0], Form("numpy", "cpu"))
    assert sorted(got) == sorted(weights[1])
    assert [n for n in got if not same(got[n], weights[1][n])] == []
    assert sorted(other.differing(got)) == ["big", "one"]
    array = got["big"]
    array[0, 0] = 5  # which the file does not have
    assert same(Weights(weights[0], Form("numpy", "cpu"))["big"], weights[1]["big"])
    nan = np.array([0x7FC1, 0x8000], np.uint16).view(ml_dtypes.bfloat16)
    for n, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        save_file({"x": nan.view(np.uint16) + np.uint16(n)}, tmp_path / folder / "model.safetensors")
    a, b = (Weights(tmp_path / f, Form("numpy", "cpu")) for f in "ab")
    assert (b.differing(a), a.differing(a)) == (["x"], [])
    (tmp_path / "a" / "again.safetensors").write_bytes((tmp_path / "a" / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="choose with file="):
        Weights(tmp_path / "a", Form("numpy", "cpu"))
    assert list(Weights(tmp_path / "a", Form("numpy", "cpu"), "again.safetensors")) == ["x"]


@pytest.mark.parametrize("content", [
    b"", b"\x08", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0[]",
    b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    b'{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}',
    b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
    b'{"x":{"dtype":"F32","shape":[true],"data_offsets":[0,0]}}',
    b'{"x":{"dtype":"F32","data_offsets":[0,0]}}', b'{"x":[]}', b"[" * 99999,
])  # fmt: skip
def test_files_that_are_no_weights(tmp_path, content):
    head = len(content).to_bytes(8, "little") if content[:1] in (b"{", b"[") else b""
    (tmp_path / "model.safetensors").write_bytes(head + content)
    with pytest.raises(ValueError, match="is no safetensors file"):
        Weights(tmp_path, Form("numpy", "cpu"))
