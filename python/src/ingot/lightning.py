"""Checkpoints of PyTorch Lightning as versions.

    trainer = Trainer(plugins=[CheckpointIO("acme/run")])

Each checkpoint is a version of the reference, and has a tag of its own that is made of
the name of its file: epoch=1-step=200.ckpt is acme/run:epoch-1-step-200. The weights are
in model.safetensors, other tensors in training.safetensors, and the rest in
checkpoint.pt, which PyTorch's pickle reads.
"""

from __future__ import annotations

import copy
import io
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Mapping
from typing import Any, Callable

import torch

from . import reference, state
from .model import Form
from .program import Program
from .publisher import WEIGHTS, Publication, Publisher
from .weights import Weights

TRAINING, REST = "training.safetensors", "checkpoint.pt"

_MARK = "\0ingot:"  # of a string in the place of a tensor
_SCHEME = "ingot://"


def _bases() -> tuple[type, ...]:
    """Returns the class of that name of each Lightning that the program uses: there are two."""
    packages = [name for name in ("lightning.fabric", "lightning_fabric") if name in sys.modules]
    if not packages:
        try:
            import lightning.fabric  # noqa: F401

            packages = ["lightning.fabric"]
        except ImportError:
            import lightning_fabric  # noqa: F401

            packages = ["lightning_fabric"]
    return tuple(getattr(sys.modules[name], "plugins").CheckpointIO for name in packages)


class CheckpointIO(*_bases()):  # type: ignore[misc]
    """Saves checkpoints as versions of a reference, and loads what it, or another, has saved.

    Args:
        ref: Where to, such as "acme/run".
        run: The annotation ingot.run of each version.
        registry, spool_dir: As ingot.publish has them.
    """

    def __init__(
        self,
        ref: str,
        *,
        run: str | None = None,
        registry: str | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
    ):
        self.last: Publication | None = None
        self._run = run
        self._publisher = Publisher(ref, registry=registry, spool_dir=spool_dir)
        self._program = Program(registry)
        self._main = reference.parse(ref).revision

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Returns after a snapshot. If the checkpoint before was not published, that is raised."""
        if storage_options is not None:
            raise TypeError("storage_options are nothing that ingot knows")
        weights, training = _Taken(WEIGHTS), _Taken(TRAINING)
        rest = {key: (weights if key == "state_dict" else training).take(value, "" if key == "state_dict" else key)
                for key, value in checkpoint.items()}  # fmt: skip
        pickled = io.BytesIO()
        torch.save(rest, pickled)
        loss, scores = _scores(checkpoint)
        tag = tag_of(path)
        self.last = self._publisher.publish(
            weights.tensors,
            step=checkpoint.get("global_step"),
            loss=loss,
            run=self._run,
            annotations=scores,
            files={TRAINING: training.tensors, REST: pickled.getvalue()},
            tags=[tag] if tag != self._main else [],
        )

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Loads a checkpoint by the name that it was saved as, or by a reference behind ingot://.

        What is not a tensor is read with weights_only unless that is False: a checkpoint
        of others may not run code here.
        """
        self._publisher.wait()
        with tempfile.TemporaryDirectory(prefix="ingot") as folder:
            self._program("pull", self.ref_of(path), folder)
            device = map_location if isinstance(map_location, (str, torch.device)) else "cpu"
            files = [name for name in (WEIGHTS, TRAINING) if os.path.exists(os.path.join(folder, name))]
            tensors = {name: Weights(folder, Form("torch", device), name) for name in files}
            rest = torch.load(os.path.join(folder, REST), weights_only=weights_only is not False, map_location="cpu")
        return _put_back(rest, tensors)

    def remove_checkpoint(self, path: Any) -> None:
        """Removes the tag; how long the version stays is a matter of the registry's retention."""
        if (tag := tag_of(path)) != self._main:
            self._publisher.remove_tag(tag)

    def teardown(self) -> None:
        self._publisher.wait()

    def ref_of(self, path: Any) -> str:
        """Returns the reference of what was saved as path."""
        text = os.fspath(path)
        return text[len(_SCHEME) :] if text.startswith(_SCHEME) else f"{self._publisher.repo}:{tag_of(path)}"


def tag_of(path: Any) -> str:
    """Returns the tag that is made of the name of a file."""
    name = os.fspath(path)
    stem = pathlib.PurePath(name).name.removesuffix(".ckpt")
    tag = re.sub("[^A-Za-z0-9._-]+", "-", stem).strip("-.")[:128]
    if not tag:
        raise ValueError(f"{name!r} has no letter or digit to make a tag of")
    return tag


class _Taken:
    """Tensors that were taken out of a structure, for a file."""

    def __init__(self, file: str):
        self.file = file
        self.tensors: dict[str, torch.Tensor] = {}

    def take(self, value: Any, name: str) -> Any:
        """Returns a value with marks in the place of tensors."""
        if isinstance(value, torch.Tensor) and type(value) in (torch.Tensor, torch.nn.Parameter) and _dense(value):
            while name in self.tensors:
                name += "'"
            self.tensors[name] = value
            return f"{_MARK}{self.file}:{name}"
        if isinstance(value, str) and value.startswith(_MARK):
            raise ValueError(f"a checkpoint has the text {value[:40]!r}, which ingot needs for itself")
        return _each(value, lambda key, v: self.take(v, f"{name}.{key}" if name else str(key)))


def _put_back(value: Any, tensors: Mapping[str, Weights]) -> Any:
    """Returns a value with tensors in the place of marks."""
    if isinstance(value, str) and value.startswith(_MARK):
        file, _, name = value[len(_MARK) :].partition(":")
        return tensors[file][name]
    return _each(value, lambda _, v: _put_back(v, tensors))


def _each(value: Any, change: Callable[[Any, Any], Any]) -> Any:
    """Rebuilds dicts, lists and tuples; what else there is stays."""
    if isinstance(value, dict):
        changed = {key: change(key, v) for key, v in value.items()}
        return changed if type(value) is dict else _like(value, changed)
    if type(value) in (list, tuple):
        return type(value)(change(n, v) for n, v in enumerate(value))
    return value


def _like(value: dict[Any, Any], changed: dict[Any, Any]) -> Any:
    """Returns a copy of a dict of another class, such as an OrderedDict, with other values."""
    like = copy.copy(value)
    for key, v in changed.items():
        like[key] = v
    return like


def _dense(value: torch.Tensor) -> bool:
    try:
        state.source("", value)
    except TypeError:
        return False
    return True


def _scores(checkpoint: dict[str, Any]) -> tuple[float | None, dict[str, str]]:
    """Returns the loss and the scores that callbacks have monitored."""
    loss, scores = None, {}
    for said in (checkpoint.get("callbacks") or {}).values():
        name, score = (said.get("monitor"), said.get("current_score")) if isinstance(said, dict) else (None, None)
        if isinstance(name, str) and "=" not in name and isinstance(score, (int, float, torch.Tensor)):
            scores[name] = str(float(score))
            loss = float(score) if "loss" in name else loss
    return loss, scores
