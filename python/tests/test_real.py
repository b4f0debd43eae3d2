"""Real weights from a real agent.

INGOT_AGENT names its socket, and INGOT_TEST_MODELS maps references to the folders
that were pushed as them, in JSON. Without these the tests are skipped.
"""

import json
import os
import pathlib

import numpy as np
import pytest
from conftest import mappings_of, same
from safetensors import safe_open

import ingot

MODELS = json.loads(os.environ.get("INGOT_TEST_MODELS", "{}"))

pytestmark = pytest.mark.skipif(not MODELS, reason="no agent was started for the tests")

SAFETENSORS = {ref: folder for ref, folder in MODELS.items() if list(pathlib.Path(folder).glob("*.safetensors"))}


def files_of(ref):
    return sorted(p.name for p in pathlib.Path(MODELS[ref]).glob("*.safetensors"))


def original(folder, framework="np"):
    """Reads the tensors of a folder from its files."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        with safe_open(path, framework=framework) as f:
            found.update({name: f.get_tensor(name) for name in f.keys()})
    return found


@pytest.mark.parametrize("ref", MODELS)
def test_files_are_the_files(ref):
    model = ingot.load(ref, file=[])
    folder = pathlib.Path(MODELS[ref])
    want = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    assert {f.path for f in model.files} == want.keys()
    for path in want:
        assert model.read_file(path) == want[path].read_bytes(), path


@pytest.mark.parametrize("ref", SAFETENSORS)
def test_tensors_are_the_files(ref):
    want = original(SAFETENSORS[ref])
    model = ingot.load(ref, file=files_of(ref))
    got = dict(model)
    assert got.keys() == want.keys()
    assert [name for name in want if not same(got[name], want[name])] == []
    assert model.stats.copied == 0
    assert {m["Anonymous"] for m in mappings_of(got.values())} == {"0"}


@pytest.mark.parametrize("ref", SAFETENSORS)
@pytest.mark.parametrize("window", [False, True])
def test_streams(ref, window):
    want = original(SAFETENSORS[ref])
    last = list(want)[-1]
    names = []
    stream = ingot.stream(ref, first=[last], window=window)
    for name, array in stream:
        if stream.info.file in files_of(ref):
            assert same(array, want[name]), name
            names.append(name)
        del array
    assert sorted(names) == sorted(want)
    assert names[0] == last


@pytest.mark.parametrize("ref", SAFETENSORS)
def test_torch(ref):
    torch = pytest.importorskip("torch")
    want = original(SAFETENSORS[ref], "pt")
    model = ingot.load(ref, framework="torch", file=files_of(ref))
    assert model.keys() == want.keys()
    for name in want:
        got = model[name]
        assert got.dtype == want[name].dtype
        assert torch.equal(got, want[name])
    assert model.stats.copied == 0


@pytest.mark.parametrize("ref", [ref for ref in MODELS if ref not in SAFETENSORS])
def test_other_formats(ref):
    """What is no safetensors file comes with the bytes that its file has."""
    files = [f.path for f in ingot.load(ref, file=[]).files if f.format != "opaque"]
    assert files
    for model in (ingot.load(ref, file=path) for path in files):
        assert len(model)
        check_bytes(model)


def check_bytes(model):
    for name in model:
        info, array = model.info(name), model.array(name)
        content = model.read_file(info.file, info.offset, info.nbytes)
        flat = array.T if array.flags.f_contiguous and not array.flags.c_contiguous else array
        assert flat.tobytes() == content
        assert array.dtype == np.uint8 or array.shape == info.shape


def test_status_tells_of_the_lease():
    ref = next(iter(MODELS))
    before = {m["ref"]: m["leases"] for m in ingot.status()["models"]}
    model = ingot.load(ref, file=[])
    after = {m["ref"]: m for m in ingot.status()["models"]}
    assert after[ref]["leases"] == before.get(ref, 0) + 1
    assert after[ref]["tier"] == "ram"
    assert after[ref]["version"] == model.version


def test_what_is_refused():
    with pytest.raises(ingot.AgentError) as caught:
        ingot.load("python/no-such-model")
    assert caught.value.code == "not_found"
