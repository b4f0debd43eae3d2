"""Modules over a GPU of the fake driver, whose memory PyTorch of the CPU reads: a
double of what it does with a real one. Skipped where PyTorch is not."""

import ctypes
import gc

import pytest
from attached import OTHER, REF, attach, swapped, until
from conftest import same

import ingot

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402


class Net(torch.nn.Module):
    def __init__(self, width=64, layers=2):
        super().__init__()
        self.embed = torch.nn.Embedding(100, width)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(layers))
        self.norm = torch.nn.BatchNorm1d(width)
        self.head = torch.nn.Linear(width, 100, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("passing", torch.arange(3), persistent=False)

    def forward(self, tokens):
        x = self.embed(tokens)
        for layer in self.layers:
            x = x + layer(x)
        return self.head(self.norm(x))


def saved(folder, seed, **form):
    """Makes a module of its own and the folder of its tensors, tied ones once."""
    torch.manual_seed(seed)
    net = Net(**form).eval()
    net.norm.running_mean.normal_()
    folder.mkdir()
    save_file({k: v for k, v in net.state_dict().items() if k != "head.weight"}, folder / "model.safetensors")
    return net


@pytest.fixture
def double(monkeypatch):
    take_for_the_cpus(monkeypatch)


def take_for_the_cpus(monkeypatch):
    """Has PyTorch take the fake memory for the CPU's, as it is."""

    def over(device, address, size, token):
        memory = (ctypes.c_ubyte * size).from_address(address)
        memory.token = token
        return torch.frombuffer(memory, dtype=torch.uint8)

    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr("ingot.tensors.torch_bytes", over)


@pytest.fixture
def nets(tmp_path):
    return saved(tmp_path / "a", 1), saved(tmp_path / "b", 2), saved(tmp_path / "c", 3, width=96, layers=3)


TOKENS = torch.arange(20)


def agrees(hot, net):
    with torch.no_grad():
        return torch.equal(hot(TOKENS), net(TOKENS))


def start(gpu, tmp_path):
    return gpu((REF, tmp_path / "a"), (OTHER, tmp_path / "b"), ("acme/wide:x", tmp_path / "c"))


def test_tensors_are_the_files(gpu, double, weights):
    agent = gpu((REF, weights[0]))
    model = attach(agent, framework="torch")
    for name, want in weights[1].items():
        got = model[name]
        assert got.dtype == getattr(torch, want.dtype.name)
        assert tuple(got.shape) == want.shape
        assert got.reshape(-1).view(torch.uint8).numpy().tobytes() == want.tobytes()
    assert model["wide"].dtype == torch.bfloat16
    assert model["big"] is model["big"]
    assert model["big"].data_ptr() == model.address("big")
    assert not model["big"].requires_grad
    part = model["big"][1]
    del model, got
    gc.collect()
    assert same(part.numpy(), weights[1]["big"][1])  # it keeps the lease
    del part
    agent.expect("end")


def test_clones_are_private(gpu, double, weights):
    model = attach(gpu((REF, weights[0])), framework="torch")
    copy = model.clone("half")
    copy += 1
    model.close()
    assert same(copy.numpy(), weights[1]["half"] + 1)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_module_follows(gpu, double, nets, tmp_path, device):
    """Swaps in place need nothing, and others bind what has moved."""
    agent = start(gpu, tmp_path)
    model = attach(agent, framework="torch")
    with torch.device(device):
        module = Net()
    module.passing = torch.arange(3)
    hot = ingot.HotModule(module.eval(), model)
    assert agrees(hot, nets[0])
    assert hot.missing == hot.unexpected == []
    assert module.head.weight is module.embed.weight
    assert [p.requires_grad for p in module.parameters()] == [False] * 7
    before = {name: p.data_ptr() for name, p in module.state_dict().items()}
    assert before["embed.weight"] == model.address("embed.weight")
    assert swapped(agent, f"swap {REF} {OTHER} 60 place")["ok"]
    assert agrees(hot, nets[1])
    assert {name: p.data_ptr() for name, p in module.state_dict().items()} == before
    model.detach()
    assert agrees(hot, nets[1])  # which has it come again


def test_buffers_are_the_modules_own(gpu, double, nets, tmp_path):
    agent = start(gpu, tmp_path)
    model = attach(agent, framework="torch")
    hot = ingot.HotModule(Net(), model, writes=["layers.*.bias"])
    with torch.no_grad():
        hot(TOKENS)  # in training, it writes what it has seen
        hot.module.layers[0].bias.add_(1)
    assert hot.module.norm.num_batches_tracked == 1
    assert model["norm.num_batches_tracked"] == 0
    assert torch.equal(model["layers.0.bias"] + 1, hot.module.layers[0].bias)
    place = hot.module.norm.running_mean.data_ptr()
    swapped(agent, f"swap {REF} {OTHER} 60 place")
    hot.module.eval()
    assert agrees(hot, nets[1])
    assert hot.module.norm.running_mean.data_ptr() == place


def test_a_model_that_does_not_fit(gpu, double, nets, tmp_path):
    agent = start(gpu, tmp_path)
    model = attach(agent, framework="torch")
    hot = ingot.HotModule(Net().eval(), model)
    assert swapped(agent, f"swap {REF} acme/wide:x 60")["ok"]
    for _ in range(2):
        with pytest.raises(ingot.Stale, match=r"does not fit the module: embed.weight is .*\(100, 64\)"):
            hot(TOKENS)
    assert swapped(agent, f"swap {REF} {OTHER} 60")["ok"]
    until(lambda: model.mapped)
    assert agrees(hot, nets[1])
    assert swapped(agent, f"swap {REF} acme/wide:x 60")["ok"]
    until(lambda: model.mapped)
    hot.unbind()
    assert agrees(ingot.HotModule(Net(width=96, layers=3).eval(), model), nets[2])


def test_what_is_said_of_a_module(gpu, double, nets, tmp_path):
    agent = start(gpu, tmp_path)
    model = attach(agent, framework="torch")
    with pytest.raises(ValueError, match="layers.2.weight is not in the image; layers.2.bias is not in the image"):
        ingot.HotModule(Net(layers=3), model)
    with pytest.raises(ValueError, match="layers.1.bias is not in the module"):
        ingot.HotModule(Net(layers=1), model)
    with pytest.raises(
        ValueError, match=r"embed.weight is \('float32', \(100, 32\)\), \('float32', \(100, 64\)\) in the image"
    ):
        ingot.HotModule(Net(width=32), model, strict=False)
    with pytest.raises(ValueError, match="embed.weight is .'float16'"):
        ingot.HotModule(Net().half(), model, strict=False)
    with torch.device("meta"), pytest.raises(ValueError, match="layers.2.weight has no memory"):
        ingot.HotModule(Net(layers=3), model, strict=False)
    with torch.device("meta"):
        forgetful = Net()
    with pytest.raises(ValueError, match="module: passing has no memory"):
        ingot.HotModule(forgetful, model)
    loose = ingot.HotModule(Net(layers=3), model, strict=False)
    assert (loose.missing, loose.unexpected) == (["layers.2.weight", "layers.2.bias"], [])
    swap = {"layers.0": "layers.1", "layers.1": "layers.0"}

    def crossed(name):
        head, _, last = name.rpartition(".")
        return f"{swap.get(head, head)}.{last}"

    hot = ingot.HotModule(Net().eval(), model, names=crossed)
    assert torch.equal(hot.module.layers[0].weight, nets[0].layers[1].weight)
    named = ingot.HotModule(Net(), model, names={"layers.0.weight": "layers.1.weight"}, strict=False)
    assert named.unexpected == ["layers.0.weight"]


def test_without_a_gpu(gpu, weights):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    agent = gpu((REF, weights[0]))
    with pytest.raises((AssertionError, RuntimeError), match="CUDA|NVIDIA"):
        attach(agent, framework="torch")
    assert isinstance(attach(agent)["big"], ingot.DeviceArray)
