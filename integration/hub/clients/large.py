"""Asks for a file of 60 GB with a client that may not use Xet: it refuses by itself."""

import huggingface_hub as hub

from told import raises, ran, tell

said = raises("ValueError", lambda: hub.hf_hub_download("acme/large", "large.gguf"))
assert "too large" in str(said) and "hf_xet" in str(said), said
meta = hub.get_hf_file_metadata(hub.hf_hub_url("acme/large", "large.gguf"))
assert meta.size == 60_000_000_000, meta
ran("ValueError of a file of more than 50 GB")
tell(version=hub.__version__)
