"""Asks for models that the caller may not read, or with a token that is none.

The server has acme/gated, which nobody here may read, and knows no token that begins
with hf_bad.
"""

import os
import tempfile

import huggingface_hub as hub

from told import raises, ran, tell

api = hub.HfApi()
TOKEN, BAD = "hf_" + "x" * 34, "hf_bad" + "x" * 34


def get(repo, token):
    return hub.hf_hub_download(repo, "config.json", token=token, cache_dir=tempfile.mkdtemp(dir=os.environ["HF_HOME"]))


for token, status in ((False, 401), (TOKEN, 403)):
    raises("GatedRepoError", lambda: get("acme/gated", token), status)
    raises("GatedRepoError", lambda: api.model_info("acme/gated", token=token), status)
    raises("GatedRepoError", lambda: list(api.list_repo_tree("acme/gated", token=token)), status)
    raises("GatedRepoError", lambda: hub.snapshot_download("acme/gated", token=token), status)
ran("GatedRepoError")

said = raises("HfHubHTTPError", lambda: api.model_info("acme/tiny", token=BAD), 401)
assert "Invalid credentials" in str(said), said
assert type(said).__name__ != "RepositoryNotFoundError", said  # it is the token that is not known
ran("HfHubHTTPError of a token that is not known")
tell(version=hub.__version__)
