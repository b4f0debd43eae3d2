"""Distributed checkpoints of PyTorch, which go to any file system of fsspec."""

import pytest

torch = pytest.importorskip("torch")
fsspec = pytest.importorskip("fsspec")

from ingot.fs import IngotFileSystem  # noqa: E402


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_is_a_commit(fake_hub, monkeypatch, tmp_path):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint._fsspec_filesystem import FsspecReader, FsspecWriter

    hub = fake_hub()
    monkeypatch.setenv("INGOT_REGISTRY", hub.address)
    monkeypatch.delenv("INGOT_AGENT", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # no agent is there
    fsspec.register_implementation("ingot", IngotFileSystem, clobber=True)
    IngotFileSystem.clear_instance_cache()
    state = {"a": torch.randn(500, 300), "b": torch.arange(10)}
    with fsspec.filesystem("ingot").transaction:
        dcp.save(state, storage_writer=FsspecWriter("ingot://acme/run:step-1/dcp"), no_dist=True)
        assert hub.titles == []
    assert hub.titles == ["Write 2 files with ingot.fs"]
    back = {"a": torch.zeros(500, 300), "b": torch.zeros(10, dtype=torch.int64)}
    dcp.load(back, storage_reader=FsspecReader("ingot://acme/run:step-1/dcp"), no_dist=True)
    assert all(torch.equal(back[name], state[name]) for name in state)
    IngotFileSystem.clear_instance_cache()
