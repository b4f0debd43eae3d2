"""The plug-in for vLLM, against a double of vLLM's interface. Skipped where PyTorch is not."""

import gc
import pathlib

import pytest

torch = pytest.importorskip("torch")
import vllm_double as vllm  # noqa: E402
from attached import until  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import ingot  # noqa: E402
from ingot import vllm_plugin  # noqa: E402

REF, NEXT, SIZE = "acme/tiny:prod", "acme/next:prod", 512


def make(folder, change=()):
    torch.manual_seed(1)
    members = ["q_proj", "k_proj", "v_proj"]
    names = [f"layers.{n}.{m}.weight" for n in range(2) for m in members] + ["left.weight", "right.weight"]
    tensors = {name: torch.randn(SIZE, SIZE) for name in names}
    tensors["norm"] = torch.randn(SIZE)
    for name in change:
        tensors[name][0] += 1
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    return folder, tensors


@pytest.fixture
def engine(monkeypatch, fake, tmp_path):
    """Makes agents with versions, and workers of an engine that uses them."""
    vllm.install(monkeypatch)
    vllm_plugin._loader.cache_clear()
    vllm_plugin.register()
    vllm_plugin.register()  # as each process of vLLM may
    changed = ["layers.1.k_proj.weight", "left.weight"]
    versions = {REF: make(tmp_path / "a"), NEXT: make(tmp_path / "b", changed)}
    agent = fake(*((ref, folder) for ref, (folder, _) in versions.items()))

    def worker(rank=0, ranks=1, ref=REF, model="/some/folder", quantization=None, layers=2, **more):
        options = {"agent": agent.socket, "ref": ref, **more}
        config = vllm.VllmConfig(
            vllm.ModelConfig(model, quantization),
            vllm.LoadConfig("ingot", {k: v for k, v in options.items() if v is not None}),
            lambda: vllm.Model(SIZE, rank, ranks, layers),
        )
        return vllm.extended(vllm_plugin.WorkerExtension)(config)

    worker.agent, worker.tensors = agent, {ref: t for ref, (_, t) in versions.items()}
    return worker


def is_whole(worker, tensors, rank=0, ranks=1):
    def part(name):
        return tensors[name].chunk(ranks)[rank]

    def fused(*names):
        return torch.cat([part(name) for name in names])

    model = worker.model_runner.model
    layers = [[f"layers.{n}.{m}.weight" for m in ("q_proj", "k_proj", "v_proj")] for n in range(2)]
    return (
        all(torch.equal(layer.qkv_proj.weight, fused(*names)) for layer, names in zip(model.layers, layers))
        and torch.equal(model.both.weight, fused("left.weight", "right.weight"))
        and torch.equal(model.norm, tensors["norm"])
    )


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_each_rank_has_its_part(engine, ranks):
    for rank in range(ranks):
        worker = engine(rank, ranks)
        assert is_whole(worker, engine.tensors[REF], rank, ranks)
        assert worker.ingot_status() == {"version": ingot.load(REF, agent=engine.agent.socket).version, "whole": True}


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_reload_takes_what_differs(engine, ranks):
    """And what is fused with it, and nothing else."""
    for rank in range(ranks):
        worker = engine(rank, ranks)
        place = worker.model_runner.model.both.weight.data_ptr()
        told = worker.ingot_reload(NEXT, timeout=60)
        assert is_whole(worker, engine.tensors[NEXT], rank, ranks)
        fused = [f"layers.1.{m}.weight" for m in ("q_proj", "k_proj", "v_proj")] + ["left.weight", "right.weight"]
        assert sorted(worker.model_runner.model.asked) == sorted(fused)
        assert (told["tensors"], told["bytes"]) == (5, 5 * SIZE * SIZE * 4)
        assert told["bytes_total"] == (8 * SIZE + 1) * SIZE * 4
        assert worker.ingot_status()["version"] == told["version"]
        assert worker.ingot_reload(NEXT)["tensors"] == 0
        worker.ingot_reload(REF)
        assert is_whole(worker, engine.tensors[REF], rank, ranks)
        assert worker.model_runner.model.both.weight.data_ptr() == place


def test_a_reload_that_fails_is_made_whole(engine, monkeypatch):
    worker = engine()
    kept = vllm.Model.load_weights

    def fails(self, weights):
        kept(self, iter([next(weights)]))
        raise RuntimeError("the GPU is full")

    monkeypatch.setattr(vllm.Model, "load_weights", fails)
    with pytest.raises(RuntimeError, match="full"):
        worker.ingot_reload(NEXT)
    assert not worker.ingot_status()["whole"]
    monkeypatch.setattr(vllm.Model, "load_weights", kept)
    assert worker.ingot_reload(NEXT)["tensors"] == 9
    assert is_whole(worker, engine.tensors[NEXT])


def test_leases_end_with_the_model(engine):
    worker = engine()
    gc.collect()
    assert ingot.status(agent=engine.agent.socket)["leases"] == 1
    worker.ingot_reload(NEXT)
    gc.collect()
    assert ingot.status(agent=engine.agent.socket)["leases"] == 1
    del worker
    gc.collect()
    until(lambda: ingot.status(agent=engine.agent.socket)["leases"] == 0)


def test_the_models_name_is_the_reference(engine):
    assert is_whole(engine(ref=None, model=REF), engine.tensors[REF])


def test_what_cannot_be_reloaded(engine):
    worker = engine(quantization="fp8")
    with pytest.raises(ValueError, match="quantised by fp8"):
        worker.ingot_reload(NEXT)
    worker = engine()
    worker.model_runner.model.both.quant_method = vllm.Fp8LinearMethod()
    with pytest.raises(ValueError, match=r"both \(Fused\) keeps something made of its weights"):
        worker.ingot_reload(NEXT)

    class MLAAttention(torch.nn.Module):
        pass

    worker = engine()
    worker.model_runner.model.attention = MLAAttention()
    with pytest.raises(ValueError, match="attention .MLAAttention. keeps"):
        worker.ingot_reload(NEXT)
    worker = engine()
    vllm_plugin._loaded.clear()
    with pytest.raises(ingot.AgentError, match="not loaded by ingot"):
        worker.ingot_reload(NEXT)


def test_versions_of_another_shape(engine, fake, tmp_path):
    folder, tensors = make(tmp_path / "c")
    save_file({**tensors, "extra": torch.zeros(1)}, folder / "model.safetensors")
    more, _ = make(tmp_path / "d")
    save_file({**tensors, "norm": torch.zeros(SIZE + 1)}, more / "model.safetensors")
    agent = fake((REF, tmp_path / "a"), ("acme/extra:x", folder), ("acme/shape:x", more))
    worker = engine(agent=agent.socket)
    with pytest.raises(ValueError, match="other tensors than acme/tiny:prod, such as extra"):
        worker.ingot_reload("acme/extra:x")
    with pytest.raises(ValueError, match="norm of acme/shape:x is F32 .513,., of acme/tiny:prod F32 .512,."):
        worker.ingot_reload("acme/shape:x")
    assert is_whole(worker, engine.tensors[REF])


def test_what_is_refused(engine):
    with pytest.raises(ValueError, match="want an object with agent, file, ref, timeout"):
        engine(colour="red")
    with pytest.raises(ValueError, match="has nothing for layers.2.qkv_proj.weight"):
        engine(layers=3)
    with pytest.raises(ingot.AgentError, match="no such version"):
        engine(ref="acme/absent")


def test_fused():
    known = ["a.q_proj.weight", "a.k_proj.weight", "b.q_proj.weight", "a.norm"]
    groups = [("q_proj", "k_proj", "v_proj")]
    assert vllm_plugin.fused("a.q_proj.weight", known, groups) == {"a.q_proj.weight", "a.k_proj.weight"}
    assert vllm_plugin.fused("a.norm", known, groups) == {"a.norm"}


def test_the_entry_point():
    text = (pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '[project.entry-points."vllm.general_plugins"]\ningot = "ingot.vllm_plugin:register"' in text
