"""Asks a registry where tokens say who may do what. argv: PUSH PULL

Both are tokens, for writing and for reading in the namespace acme.
"""

import os
import sys
import tempfile

import huggingface_hub as hub

from told import raises, ran, tell

push, pull = sys.argv[1:]
repo = "acme/private"
writer, reader = hub.HfApi(token=push), hub.HfApi(token=pull)
wrong = push[:-1] + ("a" if push[-1] != "a" else "b")


def get(file, token):
    return hub.hf_hub_download(repo, file, token=token, cache_dir=tempfile.mkdtemp(dir=os.environ["HF_HOME"]))


assert writer.whoami()["name"] == "writer", writer.whoami()
assert writer.whoami()["auth"]["accessToken"]["role"] == "write"
assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
ran("whoami")

# A small file goes inside its commit, a large one by LFS or Xet.
writer.create_repo(repo)
large = os.urandom(20 << 20)
writer.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo)
writer.upload_file(path_or_fileobj=large, path_in_repo="weights.bin", repo_id=repo)
ran("upload_file")

for token in (push, pull):
    assert open(get("config.json", token), "rb").read() == b"{}"
    assert open(get("weights.bin", token), "rb").read() == large
assert [m.id for m in reader.list_models()] == [repo]
ran("hf_hub_download")

# Who says nothing is told that there is no such model, who says it wrong that.
raises("RepositoryNotFoundError", lambda: get("config.json", False), 401)
raises("RepositoryNotFoundError", lambda: hub.HfApi(token=False).model_info(repo), 401)
assert list(hub.HfApi(token=False).list_models()) == []
e = raises("HfHubHTTPError", lambda: hub.HfApi(token=wrong).model_info(repo), 401)
assert "Invalid credentials in Authorization header" in str(e), e
assert type(e).__name__ != "RepositoryNotFoundError", e
raises("Exception", lambda: hub.HfApi(token=wrong).whoami(), 401)
ran("without a token, and with a wrong one")

# Who may read does not write, and nobody does in another namespace.
raises("HfHubHTTPError", lambda: reader.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo), 403)
raises("HfHubHTTPError", lambda: reader.upload_file(path_or_fileobj=large[1:], path_in_repo="x", repo_id=repo), 403)
raises("HfHubHTTPError", lambda: reader.create_tag(repo, tag="v1"), 403)
raises("HfHubHTTPError", lambda: writer.delete_repo(repo), 403)
raises("HfHubHTTPError", lambda: writer.create_repo("other/model"), 404)
writer.create_tag(repo, tag="v1")
writer.delete_tag(repo, tag="v1")
ran("what is not allowed")

tell(version=hub.__version__)
