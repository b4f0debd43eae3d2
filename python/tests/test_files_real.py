"""Files of real models, from a real registry and a real agent.

INGOT_TEST_REGISTRY names the registry, INGOT_AGENT the agent's socket, and
INGOT_TEST_MODELS the folders that were pushed. Without these the tests are skipped.
"""

import os
import pathlib
import random

import pytest
from test_real import MODELS

fsspec = pytest.importorskip("fsspec")

import ingot  # noqa: E402
from ingot.fs import IngotFileSystem  # noqa: E402

REGISTRY = os.environ.get("INGOT_TEST_REGISTRY", "")

pytestmark = pytest.mark.skipif(not (MODELS and REGISTRY), reason="no registry was started for the tests")

WAYS = {"registry": {"registry": REGISTRY}, "agent": {"agent": os.environ.get("INGOT_AGENT")}}

way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def content(folder):
    folder = pathlib.Path(folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def contents(fs, folder):
    return {path[len(folder) + 1 :]: fs.cat_file(path) for path in fs.find(folder)}


@way
@pytest.mark.parametrize("ref", MODELS)
def test_files_are_the_files(ref, way):
    fs = IngotFileSystem(**way)
    want = content(MODELS[ref])
    assert contents(fs, ref) == want
    rng = random.Random(ref)
    for path, data in want.items():
        start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        assert fs.cat_file(f"{ref}/{path}", start, end) == data[start:end]


@way
def test_an_open_file_is_read_in_parts(way):
    ref = "python/minilm-bf16:test"
    path = pathlib.Path(MODELS[ref]) / "model.safetensors"
    with IngotFileSystem(**way).open(f"{ref}/{path.name}", block_size=1 << 20) as f, path.open("rb") as want:
        for at in (0, 8, 3_000_001, path.stat().st_size - 5):
            assert (f.seek(at), f.read(1000)) == (want.seek(at), want.read(1000))


@way
def test_snapshots_are_the_folders(way, tmp_path):
    for ref, folder in MODELS.items():
        path = ingot.snapshot_download(ref, cache_dir=tmp_path, **way)
        assert content(path) == content(folder), ref
        assert os.path.basename(path) == ingot.resolve(ref, **way).commit


def test_an_agent_makes_the_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    for ref, folder in MODELS.items():
        path = ingot.snapshot_download(ref)
        assert content(path) == content(folder), ref
        assert ingot.snapshot_download(ref) == path
    assert not (tmp_path / "cache").exists()
    assert ingot.status()["tiers"]["disk"]["files_bytes"] > 0


@way
@pytest.mark.parametrize("path", ["python/none", "python/minilm-bf16:none/config.json", "python/minilm-bf16:test/none"])
def test_what_is_not_there(path, way):
    fs = IngotFileSystem(**way)
    assert not fs.exists(path)
    with pytest.raises(FileNotFoundError):
        fs.info(path)


@way
def test_lists(way):
    fs = IngotFileSystem(**way)
    assert {ref.partition(":")[0] for ref in MODELS} <= set(fs.ls("ingot://python", detail=False))
    assert "python" in fs.ls("", detail=False)
    assert fs.glob("python/minilm-bf16:test/1_*/*.json") == ["python/minilm-bf16:test/1_Pooling/config.json"]


def test_writes_are_commits(tmp_path):
    fs = IngotFileSystem(registry=REGISTRY)
    node = IngotFileSystem(agent=os.environ["INGOT_AGENT"], registry=REGISTRY, use_listings_cache=False)
    ref, folder = "mine/model:step-1", MODELS["python/minilm-bf16:test"]
    want = content(folder)
    fs.put(f"{folder}/", f"{ref}/", recursive=True)
    assert contents(fs, ref) == want
    with node.transaction:
        node.pipe_file(f"{ref}/config.json", b"{}")
        node.mv(f"{ref}/model.safetensors", f"{ref}/weights/model.safetensors")
        node.rm(f"{ref}/1_Pooling", recursive=True)
        assert not fs.exists(f"{ref}/weights")
    want["config.json"] = b"{}"
    want["weights/model.safetensors"] = want.pop("model.safetensors")
    del want["1_Pooling/config.json"]
    commit = ingot.resolve(ref, registry=REGISTRY).commit
    assert contents(node, f"mine/model@{commit}") == want
    fs.invalidate_cache()
    assert contents(fs, ref) == want
    with pytest.raises(ingot.HubError, match="no commit moves"):
        fs.pipe_file("python/minilm-bf16:test/a", b"a")  # what ingot push has named is a tag


def test_a_variant_stores_what_differs(tmp_path):
    fs, folder = IngotFileSystem(registry=REGISTRY), MODELS["python/minilm-bf16:test"]
    before = stored()
    weights = bytearray(content(folder)["model.safetensors"])
    weights[-2] ^= 1
    fs.pipe_file("mine/variant/model.safetensors", bytes(weights))
    assert len(weights) > 40 << 20
    assert stored() - before < 3 << 20  # a chunk, and what describes the version


def stored():
    from ingot.hub import Hub

    with Hub(REGISTRY).wire.ask("GET", "/v1/stats") as reply:
        return reply.json()["bytes_stored"]
