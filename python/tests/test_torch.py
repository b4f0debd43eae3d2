"""PyTorch tensors over the memory of an agent. Skipped where PyTorch is not."""

import pytest
from conftest import mapping_of
from safetensors import safe_open

import ingot

torch = pytest.importorskip("torch")

REF = "acme/tiny:prod"


@pytest.fixture
def original(weights):
    with safe_open(weights[0] / "model.safetensors", framework="pt") as f:
        return {name: f.get_tensor(name) for name in f.keys()}


def bits(tensor):
    return tensor.dtype, tensor.shape, tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("way", ["together", "scattered", "crooked"])
def test_tensors_are_the_files(fake, weights, original, way):
    agent = fake((REF, weights[0]), way=way)
    model = ingot.load(REF, agent=agent.socket, framework="torch")
    assert model.keys() == original.keys()
    assert [name for name in model if bits(model[name]) != bits(original[name])] == []
    got = dict(ingot.stream(REF, agent=agent.socket, framework="torch"))
    assert [name for name in original if bits(got[name]) != bits(original[name])] == []
    with ingot.open(REF, "pt", agent=agent.socket) as f:
        assert torch.equal(f.get_slice("wide")[3:5, 1:], original["wide"][3:5, 1:])


def test_nothing_is_copied(fake, weights, original):
    agent = fake((REF, weights[0]), way="scattered")
    model = ingot.load(REF, agent=agent.socket, framework="torch")
    wide = model["wide"]
    assert wide.dtype == torch.bfloat16
    assert torch.equal(wide, original["wide"])
    assert model["wide"].data_ptr() == wide.data_ptr()
    assert mapping_of(wide.view(torch.uint8).numpy())["Anonymous"] == "0"
    assert model.stats.copied == 0
    del model
    assert torch.equal(wide, original["wide"])  # it keeps the lease
    del wide
    agent.expect("end")


def test_a_module_may_train_on_it(fake, weights, original):
    agent = fake((REF, weights[0]))
    model = ingot.load(REF, agent=agent.socket, framework="torch")
    layer = torch.nn.Linear(400, 400, bias=False, dtype=torch.float16)
    layer.load_state_dict({"weight": model["half"]}, assign=True)
    with torch.no_grad():
        layer.weight.add_(1)
    assert torch.equal(layer.weight, original["half"] + 1)
    again = ingot.load(REF, agent=agent.socket, framework="torch")
    assert torch.equal(again["half"], original["half"])
