"""Reads a model in every way that huggingface_hub has. argv: REPO COMMIT ORIGINAL LOCAL

It fails by the first answer that is not as it should be. The bytes are compared by the
test, which is told where they are.
"""

import hashlib
import os
import pathlib
import sys

import huggingface_hub as hub
from huggingface_hub.hf_api import RepoFile, RepoFolder

from told import ran, tell

repo, commit, original, local = sys.argv[1:]
SHARD = "model-00001-of-00002.safetensors"
ODD = "a folder/ü+%41&b.txt"
api = hub.HfApi()
want = {p.relative_to(original).as_posix(): p for p in pathlib.Path(original).rglob("*") if p.is_file()}
sizes = {path: file.stat().st_size for path, file in want.items()}
sums = {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in want.items()}


def infos():
    info = api.model_info(repo, files_metadata=True)
    assert (info.id, info.sha) == (repo, commit), info
    assert {s.rfilename: s.size for s in info.siblings} == sizes, info.siblings
    assert api.model_info(repo, revision="v1").sha == commit
    ran("model_info")
    assert any(m.id == repo for m in api.list_models(author=repo.split("/")[0]))
    assert any(m.id == repo for m in api.list_models(search=repo.split("/")[1]))
    ran("list_models")
    assert api.file_exists(repo, SHARD) and not api.file_exists(repo, "nope")
    assert api.repo_exists(repo) and not api.repo_exists("nobody/nothing")
    assert api.revision_exists(repo, "v1") and not api.revision_exists(repo, "v9")
    ran("file_exists", "repo_exists", "revision_exists")
    assert api.whoami(token="hf_" + "x" * 34)["name"]
    ran("whoami")


def trees():
    entries = list(api.list_repo_tree(repo, recursive=True))
    assert {e.path: e.size for e in entries if isinstance(e, RepoFile)} == sizes, entries
    assert {e.path for e in entries if isinstance(e, RepoFolder)} == {"a folder", "additional_chat_templates"}, entries
    assert next(e for e in entries if e.path == SHARD).lfs.sha256 == sums[SHARD]
    (template,) = api.list_repo_tree(repo, path_in_repo="additional_chat_templates")
    assert template.path == "additional_chat_templates/tool.jinja"
    assert sorted(api.list_repo_files(repo)) == sorted(sizes)
    found = api.get_paths_info(repo, [SHARD, "nope", "a folder", ODD])
    assert sorted(e.path for e in found) == sorted([SHARD, "a folder", ODD]), found
    ran("list_repo_tree", "list_repo_files", "get_paths_info")
    refs = api.list_repo_refs(repo)
    assert [(b.name, b.target_commit) for b in refs.branches] == [("main", commit)], refs
    assert [(t.name, t.target_commit) for t in refs.tags] == [("v1", commit)], refs
    commits = api.list_repo_commits(repo)
    assert commits[0].commit_id == commit, commits
    ran("list_repo_refs", "list_repo_commits")


def files():
    meta = hub.get_hf_file_metadata(hub.hf_hub_url(repo, SHARD))
    assert (meta.commit_hash, meta.etag, meta.size) == (commit, sums[SHARD], sizes[SHARD]), meta
    for revision in ("main", "v1", commit, "refs/heads/main", "refs/tags/v1"):
        path = hub.hf_hub_download(repo, ODD, revision=revision)
        assert pathlib.Path(path).read_bytes() == want[ODD].read_bytes(), path
    assert os.path.realpath(hub.hf_hub_download(repo, SHARD)).endswith(sums[SHARD])
    ran("get_hf_file_metadata", "hf_hub_download")
    header = api.parse_safetensors_file_metadata(repo, SHARD)
    assert header.tensors["w1"].shape == [4_500_000], header
    assert api.get_safetensors_metadata(repo).parameter_count == {"F32": 5_000_000}
    ran("get_safetensors_metadata")


def file_system():
    fs = hub.HfFileSystem()
    assert sorted(fs.ls(repo, detail=False)) == sorted({f"{repo}/{p.split('/')[0]}" for p in sizes})
    assert fs.info(f"{repo}/{SHARD}")["size"] == sizes[SHARD]
    assert len(fs.glob(f"{repo}/*.safetensors")) == 2
    assert sorted(fs.find(f"{repo}@v1")) == sorted(f"{repo}@v1/{p}" for p in sizes)
    content = want[SHARD].read_bytes()
    assert fs.read_bytes(f"{repo}/{SHARD}", start=100_003, end=3_000_001) == content[100_003:3_000_001]
    with fs.open(f"{repo}/{SHARD}", block_size=1 << 16) as f:
        f.seek(-1000, os.SEEK_END)
        assert f.read() == content[-1000:]
    ran("HfFileSystem")


def snapshots():
    snapshot = hub.snapshot_download(repo)
    assert os.path.basename(snapshot) == commit, snapshot
    for revision in ("v1", commit):  # all is there: nothing is fetched again
        assert hub.snapshot_download(repo, revision=revision) == snapshot
    ref = pathlib.Path(snapshot, "../../refs/main").read_text()
    assert ref == commit, ref
    assert hub.snapshot_download(repo, local_files_only=True) == snapshot
    hub.snapshot_download(repo, local_dir=local, allow_patterns=["*.json", "*.safetensors"])
    ran("snapshot_download")
    (cached,) = hub.scan_cache_dir().repos
    assert (cached.repo_id, cached.size_on_disk) == (repo, sum(sizes.values())), cached
    ran("scan_cache_dir")
    if hasattr(api, "verify_repo_checksums"):
        checked = api.verify_repo_checksums(repo)
        assert not checked.mismatches and not checked.missing_paths and checked.checked_count == len(sizes), checked
        ran("verify_repo_checksums")
    return snapshot


infos()
trees()
files()
file_system()
tell(version=hub.__version__, snapshot=snapshots())
