"""Publishing, with a program that does as a test wants it."""

import json
import logging
import os
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from conftest import HERE, make_tensors, same
from safetensors import deserialize

import ingot
from ingot import dtypes, publisher, state

REF = "acme/policy:run"
UNREACHABLE = '4 {"error":{"code":"unreachable","message":"nobody there","exit":4}}'
MOVED = '6 {"error":{"code":"tag_moved","message":"the tag is elsewhere","exit":6}}'
MISSING = '3 {"error":{"code":"not_found","message":"no such version","exit":3}}'


def loaded(folder):
    """Reads tensors as safetensors has them, and not as this package does."""
    with open(folder / "model.safetensors", "rb") as f:
        return {name: array(t) for name, t in deserialize(f.read())}


def array(t):
    return np.frombuffer(t["data"], dtypes.numpy_dtype(t["dtype"])).reshape(t["shape"])


def option(call, name):
    if name in call:
        return call[call.index(name) + 1]
    found = [a.partition("=")[2] for a in call if a.startswith(name + "=")]
    return found[0] if found else None


def test_a_state_dict(told):
    tensors = make_tensors(3)
    nan = np.array([0x7FC1, 0xFFC0, 0x8000, 0x0001], np.uint16).view(ml_dtypes.bfloat16)
    given = {**tensors, "nan": nan, "inner": {"x": tensors["big"].T[::2]}, "big_endian": np.arange(5, dtype=">i4")}
    receipt = ingot.publish(given, REF, step=7, loss=0.5, run="a b", annotations={"who": "me"}, files={"config.json": b"{}"})
    assert receipt.result()["digest"] == f"{0:064x}"
    call = told.calls()[0]
    assert (call[0], call[2]) == ("push", REF)
    assert {"--annotation=ingot.step=7", "--annotation=ingot.loss=0.5", "--annotation=ingot.run=a b", "--annotation=who=me"} < set(call)
    assert option(call, "--base") == "acme/policy@" + "f" * 64  # where the tag is
    assert option(call, "--expect") is None
    assert (told.pushed(0) / "config.json").read_bytes() == b"{}"
    got = loaded(told.pushed(0))
    assert got["big_endian"].tolist() == [0, 1, 2, 3, 4]
    want = {**tensors, "nan": nan, "inner.x": np.ascontiguousarray(given["inner"]["x"])}
    assert {n for n in got} == {*want, "big_endian"}
    assert [n for n in want if not same(got[n], want[n])] == []


def test_the_file_follows_from_the_tensors(tmp_path):
    tensors = make_tensors(3)
    state.write(tmp_path / "a", tensors)
    state.write(tmp_path / "b", dict(reversed(tensors.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_it_returns_after_the_snapshot(told):
    told.hold()
    values = np.zeros(9, np.float32)
    first = ingot.publish({"x": values}, REF)
    values[:] = 1  # the caller's again
    assert not first.done()
    with pytest.raises(TimeoutError):
        first.result(0.001)
    told.go()
    second = ingot.publish({"x": values}, REF, tags=["best"])  # waits for the first
    assert first.done()
    second.result()
    assert loaded(told.pushed(0))["x"].tolist() == [0] * 9
    assert loaded(told.pushed(1))["x"].tolist() == [1] * 9
    calls = told.calls()
    assert option(calls[1], "--base") == f"acme/policy@{0:064x}"
    assert option(calls[1], "--expect") == f"{0:064x}"
    assert calls[2][:3] == ["tag", f"acme/policy@{1:064x}", "best"]


def test_the_snapshot_before_stays(told, tmp_path):
    for n in range(4):
        ingot.publish({"x": np.full(9, n)}, REF, asynchronously=False)
        [kept] = (tmp_path / "cache").rglob("model.safetensors")
        assert loaded(kept.parent)["x"][0] == n
    one = publisher._publishers.popitem()[1]
    one.close()
    (tmp_path / "cache/ingot/publish/acme--policy--run/1").mkdir(exist_ok=True)
    shutil.rmtree(tmp_path / "cache/ingot/publish/acme--policy--run/0", ignore_errors=True)
    ingot.publish({"x": np.full(9, 9)}, REF, asynchronously=False)  # whatever was left
    with pytest.raises(TypeError):
        ingot.publish({"x": [1]}, REF)
    assert len(list((tmp_path / "cache").rglob("model.safetensors"))) == 1


def test_a_second_process_has_a_spool_of_its_own(told, tmp_path):
    first, second = publisher.Publisher(REF), publisher.Publisher(REF)
    assert first._spool.folder != second._spool.folder
    first.close()
    third = publisher.Publisher(REF)
    assert third._spool.folder == first._spool.folder
    second.close()
    third.close()


def test_a_folder(told, tmp_path):
    source = tmp_path / "checkpoint"
    (source / "sub").mkdir(parents=True)
    (source / "weights").write_bytes(b"1" * 99)
    (source / "optimizer.pt").write_bytes(b"2")
    (source / "sub" / "linked").symlink_to(source / "weights")
    for links in (False, True):
        told.hold()
        publication = ingot.publish(source, REF, links=links, ignore_patterns="optimizer.*")
        shutil.rmtree(source / "sub")
        told.go()
        publication.result()
        got = told.pushed(int(links))
        assert {str(p.relative_to(got)): p.read_bytes() for p in got.rglob("*") if p.is_file()} == {
            "weights": b"1" * 99, "sub/linked": b"1" * 99,
        }  # fmt: skip
        (source / "sub").mkdir()
        (source / "sub" / "linked").symlink_to(source / "weights")
    (tmp_path / "nothing").mkdir()
    (source / "folder").symlink_to(source / "sub")
    with pytest.raises(OSError, match="link to a folder"):
        ingot.publish(source, REF)
    with pytest.raises(FileNotFoundError, match="no file to publish"):
        ingot.publish(tmp_path / "nothing", REF)


def test_an_outage_is_waited_for(told):
    told.answer(UNREACHABLE, UNREACHABLE)
    ingot.publish({"x": np.zeros(1)}, REF).result()
    assert len(told.calls()) == 3


def test_an_answer_that_was_lost(told):
    """The version was committed, and the second attempt finds the tag moved, by itself."""
    told.answer(UNREACHABLE, MOVED, "0 {}")
    receipt = ingot.publish({"x": np.zeros(1)}, REF, expect="none").result()
    assert receipt["digest"] == "f" * 64
    assert told.calls()[2][:2] == ["verify", "acme/policy@" + "f" * 64]


def test_another_publisher(told, caplog):
    first = ingot.publish({"x": np.zeros(1)}, REF)
    told.answer("0 " + json.dumps({"digest": first.result()["digest"]}))
    told.answer(MOVED)
    second = ingot.publish({"x": np.ones(1)}, REF)
    with caplog.at_level(logging.WARNING), pytest.raises(ingot.TagMoved, match="the tag is elsewhere"):
        ingot.publish({"x": np.ones(1)}, REF)  # nobody has asked for the result of the second
    assert isinstance(second.exception(), ingot.TagMoved)
    ingot.publish({"x": np.ones(1)}, REF, expect="any").result()
    calls = [c for c in told.calls() if c[0] == "push"]
    assert [option(c, "--expect") for c in calls] == [None, first.result()["digest"], None]


def test_the_version_before_was_retired(told):
    ingot.publish({"x": np.zeros(1)}, REF).result()
    told.answer(MISSING)
    ingot.publish({"x": np.ones(1)}, REF).result()
    assert [option(c, "--base") is None for c in told.calls()] == [False, False, True]
    told.answer(MISSING)
    with pytest.raises(ingot.ProgramError, match="no such version"):
        ingot.publish({"x": np.ones(1)}, REF, base="acme/other").result()


@pytest.mark.parametrize("bad", [
    {"x": [1, 2]}, {1: np.zeros(1)}, {"x": np.zeros(1, object)}, {"x": np.zeros(1, np.longdouble)}, 7,
    {"a": {"b": np.zeros(1)}, "a.b": np.zeros(1)},
])  # fmt: skip
def test_what_is_no_state_dict(told, bad):
    with pytest.raises((TypeError, ValueError)):
        ingot.publish(bad, REF)
    assert told.calls() == []


@pytest.mark.parametrize("ref", ["acme", "acme/policy@" + "a" * 64, "acme/policy:x/model"])
def test_where_nothing_can_be_published(told, ref):
    with pytest.raises(ValueError):
        ingot.publish({}, ref)
    with pytest.raises(ValueError, match="stays in the version"):
        ingot.publish({}, REF, files={"../x": b""})


def test_no_program(told, monkeypatch):
    monkeypatch.setenv("INGOT_PROGRAM", "/nowhere/ingot")
    with pytest.raises(ingot.ProgramError, match="INGOT_PROGRAM"):
        ingot.publish({}, REF)


def test_a_program_that_is_none(told):
    told.answer("0 nonsense", "1 no json")
    for want in ("does not read", "no json"):
        with pytest.raises(ingot.ProgramError, match=want):
            ingot.publish({"x": np.zeros(1)}, REF).result()


def test_a_process_that_ends_waits(told):
    told.answer(UNREACHABLE)
    program = f"import numpy, ingot; ingot.publish({{'x': numpy.zeros(9)}}, {REF!r})"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(HERE.parent / "src")}, check=True)
    assert len(told.calls()) == 2
    assert loaded(told.pushed(1))["x"].tolist() == [0] * 9
