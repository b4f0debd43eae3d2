"""Reads a model from a folder with no server, as HF_HUB_OFFLINE=1 has clients do.
argv: REPO COMMIT ORIGINAL

It fails by the first answer that is not as it should be.
"""

import os
import pathlib
import sys

import huggingface_hub as hub

from told import raises, ran, tell

repo, commit, original = sys.argv[1:]
cache = os.environ["HF_HUB_CACHE"]
assert os.environ["HF_HUB_OFFLINE"] == "1"
files = [p.relative_to(original).as_posix() for p in pathlib.Path(original).rglob("*") if p.is_file()]

snapshot = hub.snapshot_download(repo)
for revision in ("main", "v1", commit):
    assert hub.snapshot_download(repo, revision=revision) == snapshot, revision
ran("snapshot_download")
for path in files:
    at = hub.hf_hub_download(repo, path)
    assert pathlib.Path(at).samefile(pathlib.Path(snapshot, path)), at
    assert hub.try_to_load_from_cache(repo, path, revision="v1") == at, path
ran("hf_hub_download", "try_to_load_from_cache")
raises("LocalEntryNotFoundError", lambda: hub.hf_hub_download(repo, "nope"))
raises("LocalEntryNotFoundError", lambda: hub.snapshot_download(repo, revision="v9"))
raises("LocalEntryNotFoundError", lambda: hub.snapshot_download("nobody/nothing"))
ran("LocalEntryNotFoundError")

scan = hub.scan_cache_dir(cache)
assert not scan.warnings, scan.warnings
(found,) = [r for r in scan.repos if r.repo_id == repo]
(revision,) = found.revisions
assert revision.commit_hash == commit and revision.refs == {"main", "v1"}, revision
assert {f.file_name for f in revision.files} == {f.rsplit("/", 1)[-1] for f in files}
ran("scan_cache_dir")
tell(version=hub.__version__, snapshot=snapshot, commit=commit)
