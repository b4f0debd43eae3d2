"""The file system over a strict registry, on TCP and on a socket as agents have it."""

import io
import json
import pickle

import pytest

fsspec = pytest.importorskip("fsspec")

import ingot  # noqa: E402
from ingot import HubError, hub as hubs, wire  # noqa: E402
from ingot.fs import IngotFileSystem  # noqa: E402

FILES = {
    "README.md": b"# tiny\n",
    "config.json": b'{"layers": 2}',
    "empty": b"",
    "model.safetensors": bytes(range(256)) * 9000,  # larger than what is asked for at a time
    "onnx/model.onnx": b"o" * 3000,
    "onnx/deep/a b#?%.bin": b"\0\1",
}
LARGE = bytes(range(251)) * 1000  # too large to come with its commit


fsspec.register_implementation("ingot", IngotFileSystem, clobber=True)


def contents(fs, folder):
    return {path[len(folder) + 1 :]: fs.cat_file(path) for path in fs.find(folder)}


@pytest.fixture(params=["tcp", "socket"])
def fs(fake_hub, request, tmp_path):
    hub = fake_hub(socket=tmp_path / "hub.sock" if request.param == "socket" else None)
    return files_of(hub)


def files_of(hub, **more):
    where = {"registry": hub.address} if hub.address.startswith("http") else {"agent": hub.address}
    hub.push("acme/tiny", FILES, "main", "prod")
    fs = IngotFileSystem(**where, **more, skip_instance_cache=True)
    fs.fake = hub
    return fs


def test_lists(fs):
    assert fs.ls("ingot://", detail=False) == ["acme"]
    assert fs.ls("ingot://acme", detail=False) == ["acme/tiny"]
    names = fs.ls("acme/tiny:prod", detail=False)
    assert names == [f"acme/tiny:prod/{n}" for n in ("README.md", "config.json", "empty", "model.safetensors", "onnx")]
    assert fs.ls("acme/tiny/config.json", detail=False) == ["acme/tiny/config.json"]
    assert fs.find("acme/tiny") == [f"acme/tiny/{n}" for n in sorted(FILES)]
    assert fs.glob("ingot://acme/tiny:prod/**/*.onnx") == ["acme/tiny:prod/onnx/model.onnx"]
    assert fs.glob("ingot://acme/*") == ["acme/tiny"]
    assert [found[0] for found in fs.walk("acme/tiny")] == ["acme/tiny", "acme/tiny/onnx", "acme/tiny/onnx/deep"]
    assert fs.du("acme/tiny") == sum(map(len, FILES.values()))


def test_tells_what_there_is(fs):
    info = fs.info("ingot://acme/tiny:prod/config.json")
    commit = fs.fake.refs["acme/tiny"]["prod"]
    assert (info["name"], info["size"], info["type"], info["commit"]) == ("acme/tiny:prod/config.json", 13, "file", commit)
    assert fs.ukey("acme/tiny/config.json") == info["sha256"]
    assert fs.isdir("acme/tiny") and fs.isdir("acme/tiny/onnx") and fs.isdir("acme") and fs.isdir("")
    assert fs.isfile("acme/tiny/empty") and not fs.isfile("acme/tiny/onnx")
    assert fs.exists(f"acme/tiny@{commit}/config.json")
    assert fs.modified("acme/tiny").isoformat() == "2026-01-02T03:04:05.678000+00:00"
    for path in ("acme/tiny/none", "acme/tiny:none/config.json", "acme/none/config.json", "none", "acme/ti ny", "acme/tiny:"):
        assert not fs.exists(path), path


@pytest.mark.parametrize("path", ["acme/tiny/none", "acme/tiny:none/config.json", "acme/none/config.json", "none"])
def test_what_is_not_there(fs, path):
    for ask in (fs.info, fs.cat_file, fs.ls):
        with pytest.raises(FileNotFoundError, match=path.split("/")[1] if "/" in path else path):
            ask(path)


def test_reads(fs):
    for path, content in FILES.items():
        assert fs.cat_file(f"acme/tiny:prod/{path}") == content
    weights = FILES["model.safetensors"]
    for start, end in [(0, 8), (5, None), (-7, None), (None, -1), (10, 10), (len(weights) - 1, len(weights) + 9)]:
        assert fs.cat_file("acme/tiny/model.safetensors", start, end) == weights[start:end]
    assert fs.cat(["acme/tiny/empty", "acme/tiny/config.json"]) == {
        f"acme/tiny/{n}": FILES[n] for n in ("empty", "config.json")
    }
    with fs.open("ingot://acme/tiny/model.safetensors", block_size=100_000) as f:
        assert f.read(10) == weights[:10]
        f.seek(-300, io.SEEK_END)
        assert f.read() == weights[-300:]
    with fs.open("acme/tiny/config.json", "r") as f:
        assert f.read() == '{"layers": 2}'
    with pytest.raises(IsADirectoryError):
        fs.cat_file("acme/tiny/onnx")


def test_an_open_file_never_changes(fs):
    f = fs.open("acme/tiny:prod/config.json")
    commit = fs.fake.refs["acme/tiny"]["prod"]
    fs.fake.push("acme/tiny", {"config.json": b"[]"}, "prod")
    other = pickle.loads(pickle.dumps(f)) if fs.fake.address.startswith("http") else f
    assert f.path == f"acme/tiny@{commit}/config.json"
    assert (f.read(), other.read()) == (FILES["config.json"], FILES["config.json"] if other is not f else b"")
    assert fs.cat_file("acme/tiny:prod/config.json") == FILES["config.json"]  # it was just asked for
    fs.invalidate_cache()
    assert fs.cat_file("acme/tiny:prod/config.json") == b"[]"


def test_gets(fs, tmp_path):
    fs.get("ingot://acme/tiny:prod", str(tmp_path / "here"), recursive=True)
    got = {str(p.relative_to(tmp_path / "here")): p.read_bytes() for p in (tmp_path / "here").rglob("*") if p.is_file()}
    assert got == FILES
    options = {"ingot": fs.storage_options, "simplecache": {"cache_storage": str(tmp_path / "cache")}}
    with fsspec.open("simplecache::ingot://acme/tiny/config.json", **options) as f:
        assert f.read() == FILES["config.json"]


def test_asks_no_more_than_needed(fs):
    fs.find("acme/tiny")
    fs.cat_file("acme/tiny/config.json")
    fs.info("acme/tiny/onnx/model.onnx")
    assert fs.fake.asked("/revision/") == 1
    assert fs.fake.asked("/tree/") == 1
    fs.invalidate_cache()
    fs.info("acme/tiny/onnx/model.onnx")
    assert fs.fake.asked("/revision/") == 2
    assert fs.fake.asked("/tree/") == 1  # of a commit it never changes


@pytest.mark.parametrize("fault", ["busy", "redirect", "paged", "unhashed"])
def test_goes_on(fake_hub, fault, monkeypatch):
    monkeypatch.setattr(wire.time, "sleep", lambda _: None)
    fs = files_of(fake_hub(fault))
    assert contents(fs, "acme/tiny") == FILES


def test_goes_on_where_it_was_cut(fake_hub, monkeypatch):
    monkeypatch.setattr(wire.time, "sleep", lambda _: None)
    fs = files_of(fake_hub("cut"))
    weights = FILES["model.safetensors"]
    assert fs.cat_file("acme/tiny/model.safetensors", 0, 1 << 20) == weights[: 1 << 20]
    assert fs.fake.asked("model.safetensors") == 21  # half of the rest each time


@pytest.mark.parametrize(
    "fault, error, says",
    [
        ("gated", PermissionError, "restricted"),
        ("other", HubError, "another part of"),
        ("escape", HubError, "'../evil' that cannot be one"),
        ("endless", HubError, "without an end"),
    ],
)
def test_what_is_refused(fake_hub, fault, error, says, monkeypatch):
    monkeypatch.setattr(hubs, "_PAGES", 5)
    fs = files_of(fake_hub(fault))
    with pytest.raises(error, match=says):
        fs.cat_file("acme/tiny/config.json", 1, 3)


TREE = {"type": "file", "path": "a", "size": 1, "oid": "0" * 40}


@pytest.mark.parametrize(
    "revision, tree",
    [
        (b"", b"[]"),
        (b"[]", b"[]"),
        (b'{"sha": 7}', b"[]"),
        (b'{"sha": "main"}', b"[]"),
        (None, b"{}"),
        (None, b"[7]"),
        (None, b"[[[" * 9000),
        *((None, json.dumps([TREE | wrong]).encode()) for wrong in ({"path": 7}, {"size": -1}, {"size": "1"}, {"size": None})),
        *((None, json.dumps([TREE | {"path": p}]).encode()) for p in ("", "/a", "a//b", "./a", "a/..", "a\\b", "a\0", "a/")),
    ],
)
def test_nonsense_is_refused(fake_hub, revision, tree, tmp_path):
    hub = fake_hub()
    hub.push("acme/tiny", FILES)
    hub.answers = {"/revision/": revision, "/tree/": tree}
    with pytest.raises((HubError, ConnectionError)):
        ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_bytes_are_not_kept(fake_hub, tmp_path):
    fs = files_of(fake_hub("wrong"))
    with pytest.raises(HubError, match="do not have the sha256"):
        fs.get_file("acme/tiny/config.json", tmp_path / "config.json")
    assert list(tmp_path.iterdir()) == []


def test_nobody_answers(tmp_path):
    fs = IngotFileSystem(agent=tmp_path / "none.sock")
    with pytest.raises(ConnectionError, match="no agent answers"):
        fs.exists("acme/tiny/config.json")  # which is not to say that it is not there
    with pytest.raises(ConnectionError, match="no registry answers"):
        IngotFileSystem(registry="http://127.0.0.1:9").ls("")
