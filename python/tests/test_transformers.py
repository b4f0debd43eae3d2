"""The example of transformers, with a real model from a real agent and no network.

It runs where the test of the whole program has made an agent, and where PyTorch and
transformers are: make test-torch.
"""

import os
import pathlib
import subprocess
import sys

import pytest
from test_real import MODELS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.skipif(not MODELS, reason="no agent was started for the tests")

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "transformers_model.py"
REF, SENTENCE = "python/minilm-bf16:test", "a model comes from the machine that it runs on"


def alone():
    """Returns what starts a program in a network that has nothing, not even itself."""
    command = ["unshare", "--map-root-user", "--net"]
    return command if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0 else []


def expected():
    folder = MODELS[REF]
    model = transformers.AutoModel.from_pretrained(folder).eval()
    words = transformers.AutoTokenizer.from_pretrained(folder)(SENTENCE, return_tensors="pt")
    with torch.no_grad():
        return model(**words).last_hidden_state.float().mean(1)[0].tolist()


@pytest.mark.parametrize("way", [[], ["--files"]], ids=["memory", "files"])
def test_the_example(way, tmp_path):
    env = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(EXAMPLE.parents[1] / "src")}
    command = [*alone(), sys.executable, EXAMPLE, REF, SENTENCE, *way]
    done = subprocess.run(command, env=env, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [float(line) for line in done.stdout.split()] == expected()
    assert not list(tmp_path.rglob("*.safetensors"))  # the agent has them, in one way or the other
