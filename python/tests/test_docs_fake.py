"""The examples of docs/python.md, as they are there: on GPUs on the fake driver, of files
on a registry that is one too."""

import pathlib
import re

import pytest
from conftest import HERE

import ingot

REF = "acme/llama:prod"


def examples(heading):
    """Returns the Python code below a heading, up to the next of its kind."""
    page = (HERE.parents[1] / "docs" / "python.md").read_text()
    part = re.split(rf"^{re.escape(heading)}\n", page, flags=re.MULTILINE)[1]
    part = re.split(rf"^#{{1,{heading.count('#')}}} ", part, flags=re.MULTILINE)[0]
    return re.findall(r"```python\n(.*?)```", part, re.DOTALL)


def test_examples(gpu, weights, monkeypatch):
    agent = gpu((REF, weights[0]))
    monkeypatch.setenv("INGOT_AGENT", agent.socket)
    seen, steps = {}, iter([True, True, False])
    names = {
        "infer": lambda model: model["one"].numpy().item(),
        "requests": [1, 2],
        "reply": seen.__setitem__,
        "step": lambda model: next(steps),
        "drain": lambda: None,
        "consume": seen.__setitem__,
    }
    code = [e for e in examples("## On a GPU") if "import torch" not in e]
    assert len(code) == 4
    for example in code:
        exec(example.replace("lm_head.weight", "one"), names)
    assert names["answer"] == 2.5
    assert seen[1] == seen[2] == 2.5
    assert set(weights[1]) <= set(seen)


def test_the_example_of_publishing(told):
    import numpy as np

    class Model:
        def state_dict(self):
            return {"weight": np.zeros(9)}

    names = {"train": lambda model, step: 1 / (step + 1), "model": Model()}
    exec(examples("## Publishing from a training")[0], names)
    names["ingot"].publish({}, "acme/policy", asynchronously=False)
    calls = told.calls()
    assert len(calls) == 11
    assert "--annotation=ingot.step=900" in calls[9]


def test_the_example_of_following(fake, weights, variant, monkeypatch):
    torch = pytest.importorskip("torch")
    agent = fake(("acme/policy:main", weights[0]))
    monkeypatch.setenv("INGOT_AGENT", agent.socket)
    policy = {name: torch.zeros(t.shape, dtype=t.dtype) for name, t in ingot.load("acme/policy:main", framework="torch").items()}
    seen = []

    class Policy:
        def state_dict(self):
            return policy

    class Enough(Exception):
        pass

    def rollout(_):
        seen.append(policy["one"].item())
        if seen[-1] == 2.5 and len(seen) == 1:
            agent.command(f"put acme/policy:main {variant[0]}")
        if seen[-1] == -7.5:
            raise Enough

    with pytest.raises(Enough):
        exec(examples("## Following")[0], {"build": Policy, "rollout": rollout})


def test_the_examples_of_files(fake_hub, tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    from ingot.fs import IngotFileSystem

    fsspec.register_implementation("ingot", IngotFileSystem, clobber=True)
    hub = fake_hub()
    hub.push("acme/llama", {"config.json": b"{}", "model.safetensors": b"0" * 99}, "main", "prod")
    monkeypatch.setenv("INGOT_REGISTRY", hub.address)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("INGOT_AGENT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "weights").write_bytes(b"1" * 99)
    IngotFileSystem.clear_instance_cache()
    names = {}
    code = [e for e in examples("## Files") if "transformers" not in e]
    assert len(code) == 3
    for example in code:
        exec(example, names)
    assert sorted(p.name for p in pathlib.Path(names["folder"]).iterdir()) == ["config.json", "model.safetensors"]
    assert names["config"] == b"{}" == (tmp_path / "llama" / "config.json").read_bytes()
    assert hub.files("acme/llama", "step-100") == {"weights": b"1" * 99, "README.md": b"100 steps"}
    assert len(hub.titles) == 2
    IngotFileSystem.clear_instance_cache()


def test_the_example_of_a_module(gpu, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    from test_hot_fake import TOKENS, Net, saved, take_for_the_cpus

    net = saved(tmp_path / "a", 1)
    agent = gpu((REF, tmp_path / "a"))
    monkeypatch.setenv("INGOT_AGENT", agent.socket)
    take_for_the_cpus(monkeypatch)
    attach = ingot.attach
    monkeypatch.setattr(ingot, "attach", lambda *a, **more: attach(*a, framework="torch", **more))

    def build():
        built = Net().eval()
        del built.passing
        return built

    [code] = [e for e in examples("### Modules") if "import torch" in e]
    names = {"build": build, "prompt": TOKENS}
    exec(code, names)
    assert torch.equal(names["answer"], net(TOKENS))
