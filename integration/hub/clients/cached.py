"""Reads a model that is in the folder of a client already, with a server at hand.
argv: REPO COMMIT ORIGINAL"""

import pathlib
import sys

import huggingface_hub as hub

from told import ran, tell

repo, commit, original = sys.argv[1:]
snapshot = hub.snapshot_download(repo)
assert snapshot.endswith(commit), snapshot
for p in pathlib.Path(original).rglob("*"):
    if p.is_file():
        path = p.relative_to(original).as_posix()
        assert pathlib.Path(hub.hf_hub_download(repo, path)) == pathlib.Path(snapshot, path), path
ran("snapshot_download", "hf_hub_download")
tell(version=hub.__version__, snapshot=snapshot, commit=commit)
