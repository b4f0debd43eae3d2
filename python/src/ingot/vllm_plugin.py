"""A loader and a worker extension for vLLM.

The loader gives vLLM the tensors of a version as views of the agent's memory, one
after another, so that vLLM's own loaders take their slice of each before it goes to
the GPU. Nothing of a version is on the GPU twice, and no process has a copy of it in
its own memory, whatever the tensor parallelism.

The extension loads another version into a running worker: what differs, and what is
fused with it.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any, Iterable, Iterator, Mapping

from .errors import AgentError
from .model import Model, load

FORMAT = "ingot"
_OPTIONS = {"ref", "agent", "file", "timeout"}

# What vLLM commonly fuses, beside what a model says of itself.
_FUSED = [
    ("q_proj", "k_proj", "v_proj"),
    ("gate_proj", "up_proj"),
    ("query", "key", "value"),
    ("w1", "w3"),
]
# Methods whose parameters are what was loaded into them, and nothing made of it.
_PLAIN = {"UnquantizedLinearMethod", "UnquantizedEmbeddingMethod"}


class _Loaded:
    """What a model of vLLM was loaded from. The lease keeps it in the agent's memory,
    so that the next version can be compared with it."""

    def __init__(self, source: Model, options: dict[str, Any]):
        self.source: Model | None = source  # none once a load has failed half way
        self.options = options
        self.version = source.version


_loaded: weakref.WeakKeyDictionary[Any, _Loaded] = weakref.WeakKeyDictionary()


def register() -> None:
    """Makes the loader known to vLLM, for --load-format ingot: the entry point of the
    group vllm.general_plugins, which each process of vLLM calls."""
    _loader()


@functools.lru_cache(maxsize=None)
def _loader() -> type:
    from vllm.model_executor.model_loader import register_model_loader
    from vllm.model_executor.model_loader.base_loader import BaseModelLoader

    @register_model_loader(FORMAT)
    class IngotModelLoader(BaseModelLoader):
        """Loads versions from the memory of an ingot agent."""

        def __init__(self, load_config: Any):
            super().__init__(load_config)
            self._options = options_of(load_config)

        def download_model(self, model_config: Any) -> None:
            """Has the agent bring the version into memory."""
            self._open(model_config)

        def load_weights(self, model: Any, model_config: Any) -> None:
            if getattr(model, "secondary_weights", ()):
                raise ValueError(f"{type(model).__name__} takes weights from several models, which ingot has in one")
            source = self._open(model_config)
            loaded = model.load_weights(tensors(source))
            if loaded is not None and model_config.quantization is None:
                _refuse_holes(model, loaded, source)
            _loaded[model] = _Loaded(source, self._options)

        def _open(self, model_config: Any) -> Model:
            return open_version(self._options.get("ref") or model_config.model, self._options)

    return IngotModelLoader


def options_of(load_config: Any) -> dict[str, Any]:
    """Reads --model-loader-extra-config."""
    options = load_config.model_loader_extra_config or {}
    if not isinstance(options, dict) or set(options) - _OPTIONS:
        raise ValueError(f"model_loader_extra_config {options!r:.200}: want an object with {', '.join(sorted(_OPTIONS))}")
    return dict(options)


def open_version(ref: str, options: dict[str, Any]) -> Model:
    more = {key: options[key] for key in ("agent", "file", "timeout") if key in options}
    return load(ref, framework="torch", **more)


def tensors(source: Model, names: Iterable[str] | None = None) -> Iterator[tuple[str, Any]]:
    """Yields tensors one after another, as they lie in their files."""
    wanted = None if names is None else set(names)
    for name in source.in_file_order():
        if wanted is None or name in wanted:
            yield name, source[name]


def fused(name: str, known: Iterable[str], groups: Iterable[Iterable[str]]) -> set[str]:
    """Returns a tensor and those that are parts of one parameter with it."""
    parts = name.split(".")
    found = {name}
    for group in groups:
        members = list(group)
        for n, part in enumerate(parts):
            if part in members:
                found |= {".".join([*parts[:n], other, *parts[n + 1 :]]) for other in members}
    return found & set(known)


class WorkerExtension:
    """Methods of vLLM's workers: --worker-extension-cls ingot.vllm_plugin.WorkerExtension.

    They are called by collective_rpc, between two steps of the engine.
    """

    def ingot_status(self) -> dict[str, Any]:
        """Tells what the worker's model was loaded from."""
        known = _known(self)
        return {"version": known.version, "whole": known.source is not None}

    def ingot_reload(self, ref: str, timeout: float | None = None) -> dict[str, Any]:
        """Loads what differs in another version, and tells what that was.

        Afterwards the engine's prefix cache is of another model: reset it.
        """
        model, known = self.model_runner.model, _known(self)
        config = self.vllm_config.model_config
        refuse_processed(model, config.quantization)
        options = {**known.options, **({} if timeout is None else {"timeout": timeout})}
        source = open_version(ref, options)
        names = list(source) if known.source is None else changes(model, known.source, source)
        known.source, known.version = None, source.version
        loaded = sum(source.info(name).nbytes for name in names)
        model.load_weights(tensors(source, names))
        known.source = source
        return {"version": source.version, "tensors": len(names), "bytes": loaded, "bytes_total": _size(source)}


def changes(model: Any, old: Model, new: Model) -> list[str]:
    """Returns which tensors to load into what has another version."""
    if old.keys() != new.keys():
        other = sorted(old.keys() ^ new.keys())
        raise ValueError(f"{new.ref} has other tensors than {old.ref}, such as {other[0]}: start a new engine for it")
    differing = new.differing(old)
    for name in differing:
        mine, theirs = new.info(name), old.info(name)
        if (mine.dtype, mine.shape) != (theirs.dtype, theirs.shape):
            raise ValueError(f"{name} of {new.ref} is {mine.dtype} {mine.shape}, of {old.ref} {theirs.dtype} {theirs.shape}")
    mapping: Mapping[str, list[str]] = getattr(model, "packed_modules_mapping", None) or {}
    groups = [*_FUSED, *mapping.values()]
    wanted: set[str] = set()
    for name in differing:
        wanted |= fused(name, new, groups)
    return [name for name in new.in_file_order() if name in wanted]


def refuse_processed(model: Any, quantization: Any) -> None:
    """Refuses a model whose parameters are not those of its files any more, so that a
    part cannot be loaded again."""
    if quantization is not None:
        raise ValueError(f"a model quantised by {quantization} cannot be loaded again in part: start a new engine")
    for name, module in model.named_modules():
        kind = type(module).__name__
        if not _is_plain(module) or "MLA" in kind:
            raise ValueError(f"{name or 'the model'} ({kind}) keeps something made of its weights: start a new engine")


def _is_plain(module: Any) -> bool:
    """Tells whether the parameters of a module are what was loaded into them."""
    method = getattr(module, "quant_method", None)
    return method is None or type(method).__name__ in _PLAIN


def _known(worker: Any) -> _Loaded:
    known = _loaded.get(worker.model_runner.model)
    if known is None:
        raise AgentError("not_found", "this worker's model was not loaded by ingot: use --load-format ingot")
    return known


def _refuse_holes(model: Any, loaded: set[str], source: Model) -> None:
    """Refuses a model with parameters that nothing was loaded into. Those that a method
    makes by itself do not count."""
    made = {id(p) for module in model.modules() if not _is_plain(module) for p in module.parameters(recurse=False)}
    holes = sorted(name for name, p in model.named_parameters() if name not in loaded and id(p) not in made)
    if holes:
        raise ValueError(f"{source.ref} has nothing for {', '.join(holes[:10])}")


def _size(source: Model) -> int:
    return sum(source.info(name).nbytes for name in source)
