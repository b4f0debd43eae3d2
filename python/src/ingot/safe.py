"""Single tensors and parts of them, as safetensors.safe_open gives them."""

from __future__ import annotations

import json
import os
from typing import Any, Iterable

from .agent import Agent
from .lease import Progress
from .model import Model, load

_HEADER = 100_000_000  # bytes; safetensors itself reads no longer header


class Slice:
    """A tensor of which parts can be taken, such as s[:, 128:256]."""

    def __init__(self, model: Model, name: str):
        self._model = model
        self._name = name

    def get_shape(self) -> list[int]:
        return list(self._model.info(self._name).shape)

    def get_dtype(self) -> str:
        """Returns the element type as the file spells it."""
        return self._model.info(self._name).dtype

    def __getitem__(self, part: Any) -> Any:
        return self._model.form(self._model.array(self._name)[part])


class SafeOpen:
    """A version with the methods of safetensors.safe_open."""

    def __init__(self, model: Model):
        self.model = model

    def __enter__(self) -> SafeOpen:
        return self

    def __exit__(self, *_: object) -> None:
        self.model.close()

    def keys(self) -> list[str]:
        return sorted(self.model)

    def offset_keys(self) -> list[str]:
        """Returns the names as the tensors lie in their files."""
        return self.model.in_file_order()

    def get_tensor(self, name: str) -> Any:
        return self.model[name]

    def get_slice(self, name: str) -> Slice:
        self.model.info(name)  # it is there
        return Slice(self.model, name)

    def metadata(self) -> dict[str, str]:
        """Returns what the headers of the safetensors files say beside their tensors; of
        files that contradict each other, what the first says."""
        merged: dict[str, str] = {}
        for file in self.model.files:
            if file.format == "safetensors":
                for key, value in self._header(file.path).get("__metadata__", {}).items():
                    merged.setdefault(key, value)
        return merged

    def _header(self, path: str) -> dict[str, Any]:
        size = int.from_bytes(self.model.read_file(path, 0, 8), "little")
        return json.loads(self.model.read_file(path, 8, min(size, _HEADER)))


def open(  # noqa: A001  it opens a model as safe_open does
    ref: str,
    framework: str = "numpy",
    device: Any = "cpu",
    *,
    agent: str | os.PathLike[str] | Agent | None = None,
    file: str | Iterable[str] | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> SafeOpen:
    """Opens a version as safetensors.safe_open opens a file; see load for the arguments."""
    return SafeOpen(load(ref, agent=agent, framework=framework, device=device, file=file, timeout=timeout, progress=progress))
