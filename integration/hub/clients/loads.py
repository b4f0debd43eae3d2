"""Loads a model's configuration and tokenizer with transformers. argv: REPO ORIGINAL [PUSHED]

What is loaded by name is held to what is loaded from the folder ORIGINAL. With PUSHED
it is pushed to a model of that name too, and loaded from there.
"""

import sys

import transformers
from transformers import AutoConfig, AutoTokenizer

from told import raises, ran, tell

repo, original, *pushed = sys.argv[1:]
TEXT = "What a node has cut need not be sent again."


def same(name):
    config, want = AutoConfig.from_pretrained(name), AutoConfig.from_pretrained(original)
    assert config.hidden_size == want.hidden_size and config.model_type == want.model_type, config
    tokenizer, known = AutoTokenizer.from_pretrained(name), AutoTokenizer.from_pretrained(original)
    assert tokenizer(TEXT)["input_ids"] == known(TEXT)["input_ids"]
    return config, tokenizer


config, tokenizer = same(repo)
ran("AutoConfig.from_pretrained", "AutoTokenizer.from_pretrained")
raises("OSError", lambda: AutoConfig.from_pretrained("nobody/nothing"))
raises("OSError", lambda: AutoConfig.from_pretrained(repo, revision="v9"))
ran("OSError for what is not there")
if pushed:
    config.push_to_hub(pushed[0])
    tokenizer.push_to_hub(pushed[0], commit_message="with its tokenizer")
    same(pushed[0])
    ran("push_to_hub")
tell(version=transformers.__version__)
