"""Writes a model in every way that huggingface_hub has. argv: REPO FOLDER

It fails by the first answer that is not as it should be. The bytes are compared by the
test, which is told where they are.
"""

import os
import pathlib
import sys

import huggingface_hub as hub
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from told import raises, ran, tell

repo, folder = sys.argv[1:]
SHARD = "model-00001-of-00002.safetensors"
api = hub.HfApi()


def files(revision="main"):
    return set(api.list_repo_files(repo, revision=revision))


def titles(revision="main"):
    return [c.title for c in api.list_repo_commits(repo, revision=revision)]


def create():
    url = api.create_repo(repo)
    assert (url.repo_id, str(url)) == (repo, f"{os.environ['HF_ENDPOINT']}/{repo}"), url
    assert api.create_repo(repo, exist_ok=True).repo_id == repo
    raises("HfHubHTTPError", lambda: api.create_repo(repo), 409)
    assert api.repo_exists(repo)
    ran("create_repo")


def folders():
    first = api.upload_folder(folder_path=folder, repo_id=repo, commit_message="first", commit_description="all of it")
    want = {p.relative_to(folder).as_posix() for p in pathlib.Path(folder).rglob("*") if p.is_file()}
    assert files() - {".gitattributes"} == want, files()
    assert api.model_info(repo).sha == first.oid
    assert titles()[0] == "first", titles()
    api.upload_folder(folder_path=folder, repo_id=repo, commit_message="first again")
    assert api.model_info(repo).sha == first.oid, "nothing has changed"
    ran("upload_folder")
    return first.oid


def single(first):
    added = api.upload_file(path_or_fileobj=b"hello", path_in_repo="notes/a.txt", repo_id=repo, parent_commit=first)
    assert added.oid != first and "notes/a.txt" in files()
    raises("HfHubHTTPError", lambda: api.upload_file(path_or_fileobj=b"late", path_in_repo="notes/a.txt", repo_id=repo, parent_commit=first), 412)
    assert pathlib.Path(hub.hf_hub_download(repo, "notes/a.txt")).read_bytes() == b"hello"
    api.upload_file(path_or_fileobj=os.path.join(folder, SHARD), path_in_repo="copy.safetensors", repo_id=repo)
    assert "copy.safetensors" in files()
    ran("upload_file")
    api.create_commit(repo, commit_message="many", operations=[
        CommitOperationAdd("notes/b.txt", b"b"),
        CommitOperationAdd("notes/c/d.bin", bytes(range(256)) * 4000),
        CommitOperationCopy(SHARD, "second.safetensors"),
        CommitOperationDelete("copy.safetensors"),
        CommitOperationDelete("a folder/", is_folder=True),
    ])
    got = files()
    assert {"notes/b.txt", "notes/c/d.bin", "second.safetensors"} <= got and "copy.safetensors" not in got, got
    assert not any(f.startswith("a folder/") for f in got), got
    ran("create_commit")
    api.delete_file("notes/b.txt", repo)
    api.delete_folder("notes/c", repo)
    assert {f for f in files() if f.startswith("notes/")} == {"notes/a.txt"}
    ran("delete_file", "delete_folder")


def refs(first):
    api.create_tag(repo, tag="v1", revision=first, tag_message="the first")
    raises("HfHubHTTPError", lambda: api.create_tag(repo, tag="v1"), 409)
    api.create_tag(repo, tag="v1", exist_ok=True)
    api.create_branch(repo, branch="dev", revision=first)
    raises("HfHubHTTPError", lambda: api.create_branch(repo, branch="dev"), 409)
    got = api.list_repo_refs(repo)
    assert {b.name for b in got.branches} == {"main", "dev"}, got
    assert [(t.name, t.target_commit) for t in got.tags] == [("v1", first)], got
    dev = api.upload_file(path_or_fileobj=b"dev", path_in_repo="dev.txt", repo_id=repo, revision="dev")
    assert "dev.txt" in files("dev") and "dev.txt" not in files()
    assert api.model_info(repo, revision="dev").sha == dev.oid
    raises("RevisionNotFoundError", lambda: api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo, revision="nope"))
    api.create_branch(repo, branch="old", revision=first)
    api.delete_branch(repo, branch="old")
    api.create_tag(repo, tag="v2")
    api.delete_tag(repo, tag="v2")
    raises("RevisionNotFoundError", lambda: api.delete_tag(repo, tag="v2"), 404)
    ran("create_tag", "delete_tag", "create_branch", "delete_branch")


def last():
    snapshot = hub.snapshot_download(repo, revision="v1")
    api.create_repo(repo + "-gone")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo + "-gone")
    api.delete_repo(repo + "-gone")
    assert not api.repo_exists(repo + "-gone")
    raises("RepositoryNotFoundError", lambda: api.delete_repo(repo + "-gone"), 404)
    api.delete_repo(repo + "-gone", missing_ok=True)
    ran("delete_repo")
    return snapshot


create()
first = folders()
single(first)
refs(first)
tell(version=hub.__version__, snapshot=last(), commit=first)
