"""Modules of PyTorch whose parameters are the tensors of an image.

Laws:
  - A parameter is a view of the image, and follows it. It is never copied, and never
    written: it wants no gradient.
  - What a module writes is its own: a copy, in memory that stays at its place.
  - A module is bound whole or not at all. When an image comes that does not fit, every
    use fails until one does.
"""

from __future__ import annotations

import fnmatch
from typing import Any, Callable, Iterable, Mapping, NamedTuple

from .attach import Attached, Use


class _Slot(NamedTuple):
    """Where a module has a tensor."""

    owner: Any  # the module, or one within
    kind: str  # "_parameters" or "_buffers"
    key: str

    def get(self) -> Any:
        return getattr(self.owner, self.kind)[self.key]

    def set(self, tensor: Any) -> None:
        getattr(self.owner, self.kind)[self.key] = tensor


class HotModule:
    """Binds the parameters of a module to an image, and binds them anew when another
    comes with another layout.

    Args:
        module: Of torch.nn. It may be on the device "meta".
        model: What ingot.attach has returned.
        names: The tensor's name for the module's own, as a mapping or a function;
            otherwise they are the same.
        writes: Names of the module, with wildcards, of parameters that it writes.
            They are copies, as its buffers are.
        strict: Every parameter and persistent buffer has to be in the image, and
            every tensor of the image in the module.

    Raises:
        ValueError: Names, shapes or types do not fit; it says which.
    """

    def __init__(
        self,
        module: Any,
        model: Attached,
        *,
        names: Mapping[str, str] | Callable[[str], str] | None = None,
        writes: Iterable[str] = (),
        strict: bool = True,
    ):
        self.module, self.model = module, model
        self.missing: list[str] = []  # of the module's names, in the image
        self.unexpected: list[str] = []  # of the image's names, in the module
        self._names = names
        self._writes = tuple(writes)
        self._strict = strict
        self._own: dict[str, Any] = {}  # copies by the module's name
        with model.use():
            self.bind()
            model.bind(self.bind)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Calls the module within a use."""
        with self.model.use():
            return self.module(*arguments, **more)

    def use(self, *, priority: int | None = None, timeout: float | None = None) -> Use:
        return self.model.use(priority=priority, timeout=timeout)

    def unbind(self) -> None:
        """Has the module follow no more. It must not be called then until it is bound to
        another image."""
        self.model.unbind(self.bind)

    def bind(self) -> None:
        """Gives the module what the image has now."""
        slots = _slots(self.module)
        found = self._match(slots)
        self._refuse(slots, found)
        made: dict[int, Any] = {}  # by what the module had, so that what it ties stays tied
        for name, tensor in found.items():
            slot = slots[name]
            before = slot.get()
            if id(before) not in made:
                if slot.kind == "_buffers" or any(fnmatch.fnmatchcase(name, w) for w in self._writes):
                    tensor = self._copy(name, tensor)
                made[id(before)] = before, _fitted(before, tensor, slot.kind == "_parameters")
            slot.set(made[id(before)][1])

    def _match(self, slots: dict[str, _Slot]) -> dict[str, Any]:
        """Finds a tensor for each name of the module. What it ties is one tensor."""
        tied: dict[int, str] = {}
        found: dict[str, Any] = {}
        for name, slot in slots.items():
            told = self._told(name)
            if told in self.model:
                found[name] = self.model[told]
                tied.setdefault(id(slot.get()), name)
        for name, slot in slots.items():
            first = tied.get(id(slot.get()))
            if first is not None:
                found[name] = found[first]
        self.missing = [name for name in slots if name not in found]
        used = {self._told(name) for name in slots}
        self.unexpected = [name for name in self.model if name not in used]
        return found

    def _told(self, name: str) -> str:
        if self._names is None:
            return name
        return self._names(name) if callable(self._names) else self._names.get(name, name)

    def _refuse(self, slots: dict[str, _Slot], found: dict[str, Any]) -> None:
        wrong = [
            f"{name} is {_form(slots[name].get())}, {_form(tensor)} in the image"
            for name, tensor in found.items()
            if _form(slots[name].get()) != _form(tensor)
        ]
        if self._strict:
            wrong += [f"{name} is not in the image" for name in self.missing]
            wrong += [f"{name} is not in the module" for name in self.unexpected]
        wrong += [f"{name} has no memory" for name in _without_memory(self.module) if name not in found]
        if wrong:
            rest = f", and {len(wrong) - 10} more" if len(wrong) > 10 else ""
            raise ValueError(f"{self.model.ref} does not fit the module: {'; '.join(wrong[:10])}{rest}")

    def _copy(self, name: str, tensor: Any) -> Any:
        own = self._own.get(name)
        if own is None or _form(own) != _form(tensor):
            own = self._own[name] = tensor.clone()
        else:
            own.copy_(tensor)
        return own


def _slots(module: Any) -> dict[str, _Slot]:
    """Returns the parameters and persistent buffers of a module by name."""
    found = {}
    for prefix, owner in module.named_modules(remove_duplicate=False):
        lead = f"{prefix}." if prefix else ""
        for kind, passing in (("_parameters", ()), ("_buffers", owner._non_persistent_buffers_set)):
            for key, tensor in getattr(owner, kind).items():
                if tensor is not None and key not in passing:
                    found[lead + key] = _Slot(owner, kind, key)
    return found


def _without_memory(module: Any) -> list[str]:
    every = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return [name for name, tensor in every if tensor.device.type == "meta"]


def _fitted(old: Any, tensor: Any, parameter: bool) -> Any:
    """Returns what a module is to have for what it had. A parameter with memory stays
    the object that it is, so that whoever has it follows too."""
    import torch

    if not parameter:
        return tensor
    if old.device.type == "meta":
        return torch.nn.Parameter(tensor, requires_grad=False)
    old.requires_grad_(False)
    if old.data_ptr() != tensor.data_ptr() or old.stride() != tensor.stride():
        old.data = tensor
    return old


def _form(tensor: Any) -> tuple[Any, tuple[int, ...]]:
    return str(tensor.dtype).rpartition(".")[2], tuple(tensor.shape)
