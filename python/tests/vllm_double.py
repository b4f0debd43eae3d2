"""A small strict double of the interface that vLLM publishes for loaders and worker
extensions. It is no vLLM: what passes here has not run on one."""

import abc
import dataclasses
import sys
import types

import torch

LOADERS = {}


class BaseModelLoader(abc.ABC):
    """As vllm.model_executor.model_loader.base_loader has it."""

    def __init__(self, load_config):
        self.load_config = load_config

    @abc.abstractmethod
    def download_model(self, model_config): ...

    @abc.abstractmethod
    def load_weights(self, model, model_config): ...

    def load_model(self, vllm_config, model_config, prefix=""):
        model = vllm_config.build()
        self.load_weights(model, model_config)
        return model.eval()


def register_model_loader(load_format):
    def register(loader):
        assert load_format not in LOADERS, "registered twice"
        assert issubclass(loader, BaseModelLoader)
        LOADERS[load_format] = loader
        return loader

    return register


@dataclasses.dataclass
class LoadConfig:
    load_format: str = "ingot"
    model_loader_extra_config: object = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ModelConfig:
    model: str
    quantization: object = None


@dataclasses.dataclass
class VllmConfig:
    model_config: ModelConfig
    load_config: LoadConfig
    build: object  # makes the model with its memory and without its weights


class UnquantizedLinearMethod:
    def process_weights_after_loading(self, layer):
        pass


class Fp8LinearMethod(UnquantizedLinearMethod):
    pass


class Fused(torch.nn.Module):
    """A linear layer of several that are one, of which each rank has a part of the rows."""

    def __init__(self, members, rows, columns, rank, ranks):
        super().__init__()
        self.members, self.rows, self.rank = members, rows // ranks, rank
        self.quant_method = UnquantizedLinearMethod()
        self.weight = torch.nn.Parameter(torch.full((len(members) * self.rows, columns), torch.nan), requires_grad=False)
        self.weight.weight_loader = self.load

    def load(self, parameter, weight, member):
        assert weight.device.type == "cpu"
        part = weight.narrow(0, self.rank * self.rows, self.rows)
        at = self.members.index(member) * self.rows
        parameter.data[at : at + self.rows].copy_(part)


class Attention(torch.nn.Module):
    def __init__(self, size, rank, ranks):
        super().__init__()
        self.qkv_proj = Fused(["q_proj", "k_proj", "v_proj"], size, size, rank, ranks)


class Model(torch.nn.Module):
    """A model as those of vLLM are: it names what it fuses, and loads what it is given."""

    packed_modules_mapping = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "both": ["left", "right"]}

    def __init__(self, size, rank=0, ranks=1, layers=2):
        super().__init__()
        self.layers = torch.nn.ModuleList(Attention(size, rank, ranks) for _ in range(layers))
        self.both = Fused(["left", "right"], size, size, rank, ranks)
        self.norm = torch.nn.Parameter(torch.full((size,), torch.nan), requires_grad=False)
        self.asked = []

    def load_weights(self, weights):
        assert iter(weights) is weights, "the weights are to come one after another"
        self.asked, loaded = [], set()
        parameters = dict(self.named_parameters())
        for name, weight in weights:
            self.asked.append(name)
            for fused, members in self.packed_modules_mapping.items():
                member = next((m for m in members if f".{m}." in f".{name}"), None)
                if member:
                    whole = name.replace(member, fused)
                    parameters[whole].weight_loader(parameters[whole], weight, member)
                    break
            else:
                whole = name
                parameters[whole].data.copy_(weight)
            loaded.add(whole)
        return loaded


class Worker:
    """A worker with what extensions may use."""

    def __init__(self, config):
        loader = LOADERS[config.load_config.load_format](config.load_config)
        loader.download_model(config.model_config)
        self.vllm_config = config
        self.model_runner = types.SimpleNamespace(model=loader.load_model(config, config.model_config))


def extended(extension):
    """Returns the class of workers with an extension, as --worker-extension-cls makes it."""
    for name in dir(extension):
        assert name.startswith("__") or not hasattr(Worker, name), f"{name} is the worker's own"
    return type("Worker", (Worker, extension), {})


def install(monkeypatch):
    """Has imports of vllm find this."""
    names = [
        "vllm",
        "vllm.model_executor",
        "vllm.model_executor.model_loader",
        "vllm.model_executor.model_loader.base_loader",
    ]
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[names[2]].register_model_loader = register_model_loader
    sys.modules[names[3]].BaseModelLoader = BaseModelLoader
    LOADERS.clear()
