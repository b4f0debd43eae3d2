"""Writing to a strict registry: what becomes visible, and when."""

import threading

import pytest

pytest.importorskip("fsspec")

from fsspec.callbacks import Callback  # noqa: E402
from test_fs_fake import FILES, LARGE, contents, files_of  # noqa: E402

import ingot  # noqa: E402
from ingot.fs import IngotFileSystem  # noqa: E402


@pytest.fixture
def fs(fake_hub):
    return files_of(fake_hub())


def test_a_file_is_a_commit(fs):
    before = fs.fake.refs["acme/tiny"]["main"]
    with fs.open("ingot://acme/tiny/new/weights.bin", "wb", block_size=50_000) as f:
        for at in range(0, len(LARGE), 999):
            f.write(LARGE[at : at + 999])
        assert fs.fake.refs["acme/tiny"]["main"] == before
    assert fs.fake.files("acme/tiny") == FILES | {"new/weights.bin": LARGE}
    assert fs.fake.titles == ["Write new/weights.bin with ingot.fs"]
    assert fs.cat_file("acme/tiny/new/weights.bin") == LARGE  # at once
    fs.pipe_file("acme/tiny/config.json", b"{}")
    with fs.open("acme/tiny/config.txt", "w") as f:
        f.write("text")
    assert fs.fake.files("acme/tiny")["config.json"] == b"{}"
    assert fs.fake.files("acme/tiny")["config.txt"] == b"text"
    fs.touch("acme/tiny/nothing")
    assert fs.fake.files("acme/tiny")["nothing"] == b""


def test_a_transaction_is_a_commit(fs, tmp_path):
    (tmp_path / "a").write_bytes(LARGE)
    with fs.transaction:
        fs.put(str(tmp_path / "a"), "acme/tiny/a")
        with fs.open("acme/tiny/b.tmp", "wb") as f:
            f.write(LARGE + b"b")
        fs.mv("acme/tiny/b.tmp", "acme/tiny/b")
        fs.rm("acme/tiny/README.md")
        fs.pipe({"acme/other/c": b"c", "acme/tiny/c": b"c"})
        fs.cp_file("acme/tiny/a", "acme/tiny/d")
        assert fs.fake.titles == []
        assert fs.fake.files("acme/tiny") == FILES
    want = FILES | {"a": LARGE, "b": LARGE + b"b", "c": b"c", "d": LARGE}
    del want["README.md"]
    assert fs.fake.files("acme/tiny") == want
    assert fs.fake.files("acme/other") == {"c": b"c"}
    assert fs.fake.titles == ["Write 5 files with ingot.fs", "Write c with ingot.fs"]


def test_a_transaction_that_fails_is_nothing(fs):
    with pytest.raises(ZeroDivisionError), fs.transaction:
        fs.pipe_file("acme/tiny/a", b"a")
        fs.rm("acme/tiny/onnx", recursive=True)
        1 / 0  # noqa: B018
    assert fs.fake.files("acme/tiny") == FILES
    fs.pipe_file("acme/tiny/b", b"b")  # and the next thing is as ever
    assert fs.fake.files("acme/tiny") == FILES | {"b": b"b"}
    assert fs.fake.titles == ["Write b with ingot.fs"]


def test_a_file_that_fails_is_nothing(fs):
    with pytest.raises(ZeroDivisionError), fs.open("acme/tiny/a", "wb") as f:
        f.write(LARGE)
        1 / 0  # noqa: B018
    f = fs.open("acme/tiny/b", "wb")
    f.write(LARGE)
    del f
    assert fs.fake.files("acme/tiny") == FILES
    with pytest.raises(ValueError, match="still open"), fs.transaction:
        fs.pipe_file("acme/tiny/a", b"a")
        f = fs.open("acme/tiny/b", "wb")
    assert fs.fake.files("acme/tiny") == FILES


def test_a_folder_is_a_commit(fs, tmp_path):
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "a.bin").write_bytes(LARGE)
    (tmp_path / "model" / "deep" / "b.json").write_bytes(b"{}")
    (tmp_path / "model" / "copy.bin").write_bytes(LARGE)
    fs.put(str(tmp_path / "model") + "/", "ingot://acme/mine:step-1/", recursive=True)
    want = {"a.bin": LARGE, "copy.bin": LARGE, "deep/b.json": b"{}"}
    assert fs.fake.files("acme/mine", "step-1") == want
    assert fs.fake.titles == ["Write 3 files with ingot.fs"]
    assert fs.fake.asked("PUT ") == 1  # what is there already is not sent
    assert contents(fs, "acme/mine:step-1") == want


def test_threads_do_not_wait_for_each_other(fs, tmp_path):
    class Meanwhile(Callback):
        def wrap(self, iterable):
            for one in iterable:
                thread = threading.Thread(target=fs.pipe_file, args=("acme/tiny/theirs", b"1"))
                thread.start()
                thread.join()
                seen.append(fs.fake.files("acme/tiny"))
                yield one

    (tmp_path / "mine").write_bytes(b"2")
    seen = []
    fs.put(str(tmp_path / "mine"), "acme/tiny/mine", callback=Meanwhile())
    assert seen == [FILES | {"theirs": b"1"}]
    assert fs.fake.files("acme/tiny") == FILES | {"theirs": b"1", "mine": b"2"}


def test_a_file_without_autocommit(fs):
    f = fs.open("acme/tiny/a", "wb", autocommit=False)
    f.write(LARGE)
    f.close()
    assert fs.fake.files("acme/tiny") == FILES
    f.commit()
    assert fs.fake.files("acme/tiny") == FILES | {"a": LARGE}


def test_a_new_branch_has_what_was_written(fs):
    fs.pipe({"acme/tiny:step-1/README.md": b"new", "acme/tiny:step-1/a": b"a"})
    assert fs.fake.files("acme/tiny", "step-1") == {"README.md": b"new", "a": b"a"}
    fs.pipe_file("acme/tiny:step-1/b", b"b")
    assert fs.fake.files("acme/tiny", "step-1") == {"README.md": b"new", "a": b"a", "b": b"b"}
    assert fs.fake.files("acme/tiny") == FILES


def test_copies_send_nothing(fs):
    fs.copy("acme/tiny/model.safetensors", "acme/tiny/again.safetensors")
    fs.mv("acme/tiny/onnx", "acme/tiny/moved", recursive=True)
    files = fs.fake.files("acme/tiny")
    assert files["again.safetensors"] == FILES["model.safetensors"]
    assert files["moved/model.onnx"] == FILES["onnx/model.onnx"] and "onnx/model.onnx" not in files
    assert fs.fake.asked("PUT ") == 0 and len(fs.fake.titles) == 2
    fs.copy("acme/tiny/model.safetensors", "acme/other/model.safetensors")
    assert fs.fake.files("acme/other") == {"model.safetensors": FILES["model.safetensors"]}
    assert fs.fake.asked("PUT ") == 1


def test_removes(fs):
    fs.rm(["acme/tiny/onnx", "acme/tiny/empty"], recursive=True)
    assert sorted(fs.fake.files("acme/tiny")) == ["README.md", "config.json", "model.safetensors"]
    assert len(fs.fake.titles) == 1
    with pytest.raises(FileNotFoundError):
        fs.rm("acme/tiny/onnx")
    with pytest.raises(FileNotFoundError):
        fs.rm_file("acme/tiny/empty")
    with fs.transaction:
        fs.pipe_file("acme/tiny/x", b"x")
        fs.rm("acme/tiny/x")
    assert len(fs.fake.titles) == 1  # nothing has changed


def test_large_files_go_in_parts(fake_hub):
    fs = files_of(fake_hub(part=100_000))
    fs.pipe_file("acme/tiny/large", LARGE)
    assert fs.fake.files("acme/tiny")["large"] == LARGE
    assert fs.fake.asked("PUT ") == 3


@pytest.mark.parametrize(
    "objects",
    [
        "7",
        "[]",
        "[7]",
        '[{"actions": {"upload": 7}}]',
        '[{"actions": {"upload": {}}}]',
        '[{"actions": {"upload": {"href": "ftp://elsewhere/x"}}}]',
        '[{"actions": {"upload": {"href": "x", "header": {"chunk_size": "1"}}}}]',
        '[{"actions": {"upload": {"href": "x", "header": {"chunk_size": "-1"}}}}]',
        '[{"error": {"code": 422, "message": "too large"}}]',
    ],
)
def test_nonsense_is_refused(fs, objects):
    fs.fake.answers = {"/batch": b'{"objects": %b}' % objects.encode()}
    with pytest.raises(OSError, match="does not say how|too large|in -?[0-9]+ parts|no URL"):
        fs.pipe_file("acme/tiny/a", LARGE)
    assert fs.fake.files("acme/tiny") == FILES


def test_what_cannot_be_written(fs):
    commit = fs.fake.refs["acme/tiny"]["main"]
    for path in (f"acme/tiny@{commit}/a", "acme/tiny"):
        with pytest.raises(PermissionError, match="versions never change"):
            fs.open(path, "wb")
    with pytest.raises(FileExistsError):
        fs.open("acme/tiny/config.json", "xb")
    with pytest.raises(NotImplementedError, match="written whole"):
        fs.open("acme/tiny/config.json", "ab")
    with pytest.raises(IsADirectoryError):
        fs.rm("acme/tiny/onnx")
    assert fs.fake.files("acme/tiny") == FILES and fs.fake.titles == []


def test_an_agent_says_where_its_registry_is(fake_hub, tmp_path, monkeypatch):
    monkeypatch.delenv("INGOT_REGISTRY", raising=False)
    registry = fake_hub()
    node = files_of(fake_hub(socket=tmp_path / "agent.sock"))
    monkeypatch.setattr(ingot.fs.Agent, "status", lambda self: {"registry": {"url": registry.address}})
    node.pipe_file("acme/tiny/a", b"a")
    assert registry.files("acme/tiny") == {"a": b"a"}
    assert node.fake.files("acme/tiny") == FILES
    assert IngotFileSystem(agent=node.fake.address).exists("acme/tiny/config.json")
