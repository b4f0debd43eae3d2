"""Has every failure raise its own class of huggingface_hub. argv: REPO COMMIT CLOSED

CLOSED is an address where nobody listens.
"""

import os
import pathlib
import sys
import tempfile

import huggingface_hub as hub

from told import raises, ran, tell

repo, commit, closed = sys.argv[1:]
api = hub.HfApi()
TOKEN = "hf_" + "x" * 34


def get(repo=repo, file="config.json", **options):
    options.setdefault("cache_dir", tempfile.mkdtemp(dir=os.environ["HF_HOME"]))
    return hub.hf_hub_download(repo, file, **options)


# Without a token one is told to say who one is, with one that there is nothing.
for token, status in ((False, 401), (TOKEN, 404)):
    raises("RepositoryNotFoundError", lambda: get("nobody/nothing", token=token), status)
    raises("RepositoryNotFoundError", lambda: get("acme/nothing", token=token), status)
    raises("RepositoryNotFoundError", lambda: api.model_info("nobody/nothing", token=token), status)
    raises("RepositoryNotFoundError", lambda: api.list_repo_files("nobody/nothing", token=token), status)
    raises("RepositoryNotFoundError", lambda: api.list_repo_refs("nobody/nothing", token=token), status)
    raises("RepositoryNotFoundError", lambda: hub.snapshot_download("nobody/nothing", token=token), status)
raises("RepositoryNotFoundError", lambda: api.dataset_info(repo))
ran("RepositoryNotFoundError")

for revision in ("v9", "feature/x", "0" * 40, "refs/pr/1"):
    raises("RevisionNotFoundError", lambda: get(revision=revision), 404)
    raises("RevisionNotFoundError", lambda: api.model_info(repo, revision=revision), 404)
    raises("RevisionNotFoundError", lambda: list(api.list_repo_tree(repo, revision=revision)), 404)
raises("RevisionNotFoundError", lambda: hub.snapshot_download(repo, revision="v9"), 404)
raises("RevisionNotFoundError", lambda: api.get_paths_info(repo, ["config.json"], revision="v9"), 404)
ran("RevisionNotFoundError")

cache = tempfile.mkdtemp(dir=os.environ["HF_HOME"])
raises("EntryNotFoundError", lambda: get(file="generation_config.json", cache_dir=cache), 404)
raises("EntryNotFoundError", lambda: get(file="additional_chat_templates"), 404)  # a folder
raises("EntryNotFoundError", lambda: list(api.list_repo_tree(repo, path_in_repo="nope")), 404)
# It is remembered that the file is not there, so nobody asks again.
noted = pathlib.Path(cache, "models--" + repo.replace("/", "--"), ".no_exist", commit, "generation_config.json")
assert noted.exists(), noted
missing = hub.try_to_load_from_cache(repo, "generation_config.json", cache_dir=cache)
assert missing is hub.file_download._CACHED_NO_EXIST, missing
ran("EntryNotFoundError", ".no_exist")

raises("FileNotFoundError", lambda: hub.HfFileSystem().info(f"{repo}/nope"))
raises("FileNotFoundError", lambda: hub.HfFileSystem().open(f"{repo}@v9/config.json"))
ran("FileNotFoundError of HfFileSystem")

raises("LocalEntryNotFoundError", lambda: get(local_files_only=True))
# A server that is away; a first download of one file would wait for it for long.
raises("LocalEntryNotFoundError", lambda: hub.snapshot_download(repo, endpoint=closed, cache_dir=cache))
ran("LocalEntryNotFoundError")
tell(version=hub.__version__)
