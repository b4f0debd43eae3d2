"""Publishing from transformers, Lightning and torch.distributed.checkpoint, with the real
libraries and a real registry. It runs where they are: make test-torch.
"""

import json
import os
import pathlib
import pickle
import subprocess
import sys

import pytest
from test_publish_real import REGISTRY, places  # noqa: F401

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("lightning")

import ingot  # noqa: E402
from ingot.program import Program  # noqa: E402
from ingot.weights import Weights  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not (REGISTRY and os.environ.get("INGOT_PROGRAM")), reason="no registry was started for the tests"),
    pytest.mark.filterwarnings("ignore"),
]

HERE = pathlib.Path(__file__).parent


def shown(ref):
    return Program(REGISTRY)("show", ref)


def history(ref):
    """Returns the annotations of the versions of a reference, the newest first."""
    found, repo = [], ref.partition(":")[0]
    while ref:
        said = shown(ref)
        found.append(said["annotations"])
        ref = f"{repo}@{said['parent']}" if said.get("parent") else ""
    return found


def pulled(ref, folder):
    Program(REGISTRY)("pull", ref, str(folder), "--no-cache")
    return folder


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def tiny():
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=16,
    )  # fmt: skip
    return BertForMaskedLM(config)


class Words(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, n):
        ids = torch.arange(n, n + 8) % 64
        return {"input_ids": ids, "labels": ids}


def train(folder, callback, **more):
    from transformers import Trainer, TrainingArguments

    model = tiny()
    args = TrainingArguments(
        str(folder), max_steps=4, per_device_train_batch_size=4, logging_steps=1, report_to=[], use_cpu=True,
        disable_tqdm=True, run_name="bert", **more,
    )  # fmt: skip
    Trainer(model, args, train_dataset=Words(), callbacks=[callback]).train()
    return model


def test_a_trainer_that_saves(tmp_path):
    from ingot.trainer import PublishCallback
    from transformers import BertForMaskedLM

    ref = "python/trainer-saves"
    callback = PublishCallback(ref)
    model = train(tmp_path / "out", callback, save_steps=2, save_total_limit=1)
    assert callback.last.done()
    steps = history(ref)
    assert [s["ingot.step"] for s in steps] == ["4", "2"]
    assert {s["ingot.run"] for s in steps} == {"bert"}
    assert all(float(s["ingot.loss"]) > 0 for s in steps)
    folder = pulled(ref, tmp_path / "back")
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert equal(BertForMaskedLM.from_pretrained(folder).state_dict(), model.state_dict())


def test_a_trainer_every_few_steps(tmp_path):
    from ingot.trainer import PublishCallback
    from transformers import BertForMaskedLM

    ref = "python/trainer-steps"
    callback = PublishCallback(ref, every=1, annotations={"who": "me"})
    model = train(tmp_path / "out", callback, save_strategy="no")
    assert [s["ingot.step"] for s in history(ref)] == ["4", "3", "2", "1"]
    folder = pulled(ref, tmp_path / "back")
    assert equal(BertForMaskedLM.from_pretrained(folder).state_dict(), model.state_dict())


def test_a_trainer_hears_of_a_failure(tmp_path):
    from ingot.trainer import PublishCallback

    with pytest.raises(ingot.ProgramError):
        train(tmp_path / "out", PublishCallback("python/trainer:main", every=4, annotations={"a" * 9999: "b"}))


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning(package, tmp_path):
    """In a process of its own, for each of the two is a world for itself."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "train_lightning.py", package, f"python/{package}"],
        env={**os.environ, "PYTHONPATH": str(HERE.parent / "src")}, cwd=tmp_path, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"resumed_at": 8, "same": True, "removed": True}
    assert [s["ingot.step"] for s in history(f"python/{package}")] == ["8", "6", "4", "2"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_distributed(ranks, tmp_path):
    """Ranks with a part of each tensor upload under one push, and the first commits."""
    ref = f"python/ranks-{ranks}"
    command = [sys.executable, "-W", "ignore", HERE / "train_ranks.py", ref, str(ranks), str(tmp_path / "rendezvous")]
    env = {**os.environ, "PYTHONPATH": str(HERE.parent / "src"), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([*command, str(rank)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(ranks)
    ]
    said = [p.communicate() for p in processes]
    assert [p.returncode for p in processes] == [0] * ranks, said
    assert [s["ingot.step"] for s in history(ref)] == ["2", "1", "0"]
    folder = pulled(ref, tmp_path / "back")
    parts = sorted(p.name for p in folder.glob("*.safetensors"))
    assert len(parts) == ranks
    from ingot.model import Form

    whole = [Weights(folder, Form("torch", "cpu"), name) for name in parts]
    assert torch.cat([part["layer.weight"] for part in whole]).tolist() == [[n + 2.0] * 3 for n in range(6)]


def test_parts_that_are_missing(tmp_path):
    """A rank that has not uploaded makes no version."""
    program = Program(REGISTRY)
    ref = "python/half"
    push = program("push", "--begin", ref)["push"]
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "weights.bin").write_bytes(os.urandom(99))
    fragment = str(tmp_path / "fragment")
    program("push", str(tmp_path / "part"), ref, "--part-of", push, "--fragment", fragment)
    with pytest.raises(ingot.ProgramError) as refused:
        program("push", "--commit", push, ref, "--fragment", fragment, "--fragment", fragment)
    assert refused.value.code == "input"
    with pytest.raises(ingot.ProgramError):
        program("show", ref)
    program("push", "--commit", push, ref, "--fragment", fragment)
    assert shown(ref)["size"] == 99


class Harm:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a checkpoint was run')",)


def test_a_checkpoint_that_would_run_code(tmp_path):
    from ingot.lightning import REST, CheckpointIO

    (tmp_path / "bad").mkdir()
    torch.save({"epoch": 1, "harm": Harm()}, tmp_path / "bad" / REST)
    ref = "python/harmful"
    ingot.publish(tmp_path / "bad", ref).result()
    with pytest.raises(pickle.UnpicklingError):
        CheckpointIO(ref).load_checkpoint("ingot://" + ref)
