"""Folders of versions that come from a strict registry."""

import os
import pathlib
import threading

import pytest
from test_fs_fake import FILES

import ingot
from ingot import cache, wire


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in pathlib.Path(folder).rglob("*") if p.is_file()}


@pytest.fixture
def hub(fake_hub):
    hub = fake_hub()
    hub.push("acme/tiny", FILES, "main", "prod")
    return hub


def test_resolves(hub):
    found = ingot.resolve("acme/tiny:prod", registry=hub.address)
    assert (found.repo, found.revision, found.commit) == ("acme/tiny", "prod", hub.refs["acme/tiny"]["prod"])
    assert {p: f.size for p, f in found.files.items()} == {p: len(c) for p, c in FILES.items()}
    assert ingot.resolve(found.ref, registry=hub.address).commit == found.commit
    with pytest.raises(FileNotFoundError):
        ingot.resolve("acme/tiny:none", registry=hub.address)
    for text in ("tiny", "acme/tiny:", "acme/tiny@../x", "acme/tiny@a%2F..%2Fb", "/x", "acme/"):
        with pytest.raises(ValueError, match="want namespace/model"):
            ingot.resolve(text, registry=hub.address)


def test_downloads(hub, tmp_path):
    seen = []
    path = ingot.snapshot_download("acme/tiny:prod", registry=hub.address, cache_dir=tmp_path, progress=lambda *n: seen.append(n))
    commit = hub.refs["acme/tiny"]["prod"]
    assert path == str(tmp_path / "models--acme--tiny" / "snapshots" / commit)
    assert content(path) == FILES
    assert (tmp_path / "models--acme--tiny" / "refs" / "prod").read_text() == commit
    assert seen[-1] == (sum(map(len, FILES.values())),) * 2
    asked = hub.asked("/resolve/")
    assert ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path) == path
    assert hub.asked("/resolve/") == asked


def test_what_versions_share_comes_once(hub, tmp_path):
    first = ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    hub.push("acme/tiny", FILES | {"config.json": b"[]"})
    asked = hub.asked("/resolve/")
    path = ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    assert content(path) == FILES | {"config.json": b"[]"}
    assert content(first) == FILES
    assert hub.asked("/resolve/") == asked + 1


def test_patterns(hub, tmp_path):
    def got(**patterns):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return sorted(content(ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=folder, **patterns)))

    assert got(allow_patterns="*.json") == ["config.json"]
    assert got(allow_patterns=["onnx/", "empty"]) == ["empty", "onnx/deep/a b#?%.bin", "onnx/model.onnx"]
    assert got(ignore_patterns=["*.bin", "*.onnx", "*.safetensors"]) == ["README.md", "config.json", "empty"]
    assert got(allow_patterns=[]) == []


def test_goes_on_where_it_was(fake_hub, tmp_path, monkeypatch):
    monkeypatch.setattr(wire.time, "sleep", lambda _: None)
    hub = fake_hub("cut")
    hub.push("acme/tiny", FILES)
    monkeypatch.setattr("ingot.hub.TRIES", 1)  # the first cut ends it
    with pytest.raises(ConnectionError, match="no more than"):
        ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path, allow_patterns="*.safetensors")
    assert not (tmp_path / "models--acme--tiny" / "refs").exists()
    hub.cuts = 0
    path = ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path, allow_patterns="*.safetensors")
    assert content(path) == {"model.safetensors": FILES["model.safetensors"]}
    assert not list(tmp_path.rglob("*.part"))


def test_a_wrong_beginning_is_no_beginning(hub, tmp_path):
    name = ingot.resolve("acme/tiny", registry=hub.address).files["config.json"].sha256
    part = tmp_path / "models--acme--tiny" / "blobs" / f"{name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"wrong" * 99)
    with pytest.raises(ingot.HubError, match="do not have the sha256"):
        ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    path = ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    assert content(path) == FILES


def test_wrong_bytes_are_not_kept(fake_hub, tmp_path):
    hub = fake_hub("wrong")
    hub.push("acme/tiny", {k: v for k, v in FILES.items() if v})
    with pytest.raises(ingot.HubError, match="do not have the sha256"):
        ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    assert not list((tmp_path / "models--acme--tiny" / "blobs").glob("?" * 64))
    assert not (tmp_path / "models--acme--tiny" / "refs").exists()


def test_a_server_that_hashes_later(fake_hub, tmp_path):
    hub = fake_hub("unhashed")
    hub.push("acme/tiny", FILES)
    path = ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    assert content(path) == FILES
    hub.fault = ""
    again = ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    assert again == path
    assert hub.asked("/resolve/") == len(FILES) - 1  # and the empty file is never asked for


def test_nobody_answers(hub, tmp_path):
    path = ingot.snapshot_download("acme/tiny:prod", registry=hub.address, cache_dir=tmp_path)
    nobody = "http://127.0.0.1:9"
    assert ingot.snapshot_download("acme/tiny:prod", registry=nobody, cache_dir=tmp_path) == path
    assert ingot.snapshot_download(f"acme/tiny@{os.path.basename(path)}", registry=nobody, cache_dir=tmp_path) == path
    with pytest.raises(ConnectionError, match="no registry answers"):
        ingot.snapshot_download("acme/tiny", registry=nobody, cache_dir=tmp_path)
    os.unlink(os.path.join(path, "config.json"))
    with pytest.raises(ConnectionError, match="no registry answers"):
        ingot.snapshot_download("acme/tiny:prod", registry=nobody, cache_dir=tmp_path)


def test_an_agent_makes_the_files(fake_hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    node = fake_hub(socket=tmp_path / "agent.sock")
    node.push("acme/tiny", FILES)
    monkeypatch.setenv("INGOT_AGENT", node.address)
    copy = ingot.snapshot_download("acme/tiny")  # this one cannot
    assert content(copy) == FILES and copy.startswith(str(tmp_path / "cache"))
    (tmp_path / "made").mkdir()
    node.made = str(tmp_path / "made")
    asked = len(node.requests)
    assert ingot.snapshot_download("acme/tiny") == node.made
    assert node.requests[asked:] == ["POST /v1/materialize"]
    assert ingot.snapshot_download("acme/tiny", cache_dir=tmp_path / "other").startswith(str(tmp_path / "other"))
    assert ingot.snapshot_download("acme/tiny", allow_patterns="*.json") == copy
    node.made = str(tmp_path / "not here")
    assert ingot.snapshot_download("acme/tiny") == copy
    with pytest.raises(FileNotFoundError):
        ingot.snapshot_download("acme/none")


def test_many_at_a_time(hub, tmp_path):
    def download():
        paths.append(ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path))

    paths = []
    threads = [threading.Thread(target=download) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(paths) == 4 and len(set(paths)) == 1
    assert content(paths[0]) == FILES
    assert hub.asked("/resolve/") == len(FILES) - 1


def test_the_cache_is_that_of_huggingface_hub(monkeypatch):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/users/me")
    assert cache.default() == "/users/me/.cache/huggingface/hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache.default() == "/c/huggingface/hub"
    monkeypatch.setenv("HF_HOME", "/hf")
    assert cache.default() == "/hf/hub"
    monkeypatch.setenv("HF_HUB_CACHE", "$HOME/x")
    assert cache.default() == "/users/me/x"
