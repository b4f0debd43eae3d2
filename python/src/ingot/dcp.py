"""Checkpoints of torch.distributed.checkpoint as versions: every rank sends its part.

    dcp.save(state, storage_writer=StorageWriter("acme/run", step=100))
    dcp.load(state, storage_reader=StorageReader("acme/run"))

Laws:
  - Each rank writes its tensors into a safetensors file of its own and uploads that.
    Only the coordinator commits, when all have: a version has the parts of all ranks.
  - The names of tensors and their place in the whole are those that PyTorch's own
    safetensors writer gives, and its reader understands.
"""

from __future__ import annotations

import base64
import io
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, LoadPlanner, SavePlan, SavePlanner, WriteItemType
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from . import reference, spool, state, tags
from .model import Form
from .program import Program
from .publisher import ANY, WEIGHTS, annotated
from .snapshot import snapshot_download
from .weights import Weights

_PLACES = "DCP_SHARDING_INFO"  # of PyTorch: where in the whole each tensor of a file is
_FRAGMENT = MetadataIndex("ingot.fragment")
_OBJECTS = "objects-{}.json"

_spools: dict[tuple[int, str, str, int], spool.Spool] = {}
_digests: dict[tuple[str, str], str] = {}  # what this process has committed last, by registry and reference


class StorageWriter(dcp.StorageWriter):
    """Writes a checkpoint as a version.

    Args:
        ref: Where to, such as "acme/run"; a checkpoint_id of dcp.save comes before it.

    The others are those of ingot.publish, of the coordinator.
    """

    def __init__(
        self,
        ref: str,
        *,
        base: str | None = None,
        step: int | None = None,
        loss: float | None = None,
        run: str | None = None,
        annotations: Mapping[str, str] | None = None,
        expect: str | None = None,
        registry: str | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
    ):
        super().__init__()
        self.receipt: dict[str, Any] | None = None  # of the coordinator
        self._ref = _parsed(ref)
        self._base, self._expect = base, expect
        self._facts = annotated(step, loss, run, annotations)
        self._program = Program(registry)
        self._root = pathlib.Path(spool_dir) if spool_dir else spool.default()
        self._rank = 0

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        if checkpoint_id:
            self._ref = _parsed(os.fspath(checkpoint_id))

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        rank = kwargs.get("rank")
        self._rank = rank if rank is not None else _rank()

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Starts the push that all ranks upload to; called of the coordinator alone."""
        base = self._base
        if base is None:
            digest = self._committed() or tags.now(self._program.registry, self._ref.repo, self._ref.revision)
            base = f"{self._ref.repo}@{digest}" if digest else ""
        push = self._program("push", "--begin", str(self._ref))["push"]
        self._begun = _Begun(push, base, len(plans))
        return [replace(plan, storage_data=self._begun) for plan in plans]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        written: Future[list[WriteResult]] = Future()
        written.set_result([self._part(plan, planner)] if plan.items else [])
        return written

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Makes a version of all parts; called of the coordinator alone."""
        expected = self._committed() if self._expect is None else self._expect
        arguments = ["push", "--commit", self._begun.push, str(self._ref), *self._facts, *self._begun.based]
        if expected not in ("", ANY):
            arguments += ["--expect", expected]
        with tempfile.TemporaryDirectory(prefix="ingot") as folder:
            for n, fragment in enumerate(r.storage_data for part in results for r in part if r.index == _FRAGMENT):
                path = pathlib.Path(folder, str(n))
                path.write_bytes(fragment)
                arguments += ["--fragment", str(path)]
            self.receipt = self._program(*arguments)
        _digests[self._program.registry, str(self._ref)] = self.receipt["digest"]

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return _valid(checkpoint_id)

    def _part(self, plan: SavePlan, planner: SavePlanner) -> WriteResult:
        """Writes and uploads what this rank has, and returns its fragment of the version."""
        begun: _Begun = plan.storage_data
        kept = _spool(self._root, str(self._ref), self._rank)
        folder = kept.new()
        try:
            _write(folder, plan, planner, self._rank, begun.ranks)
            fragment = folder.with_name("fragment")
            self._program(
                "push", str(folder), str(self._ref), "--part-of", begun.push, "--fragment", str(fragment), *begun.based,
                held=[kept.lock],
            )  # fmt: skip
            content = fragment.read_bytes()
        except BaseException:
            kept.drop(folder)
            raise
        kept.published(folder, "")
        return WriteResult(_FRAGMENT, len(content), content)

    def _committed(self) -> str:
        return _digests.get((self._program.registry, str(self._ref)), "")


class _Begun(NamedTuple):
    """A push that the ranks upload to."""

    push: str
    base: str
    ranks: int

    @property
    def based(self) -> list[str]:
        return ["--base", self.base] if self.base else []


class StorageReader(dcp.StorageReader):
    """Reads a checkpoint that StorageWriter, or PyTorch's own safetensors writer, has made.

    Where others publish meanwhile, name a version by its digest: each rank looks what the
    reference names.

    Args:
        ref: What to read, such as "acme/run" or "acme/run@<digest>".
        agent, registry: Where to read from, as ingot.snapshot_download has them.
    """

    def __init__(self, ref: str, *, agent: str | os.PathLike[str] | None = None, registry: str | None = None):
        super().__init__()
        self._ref = str(reference.parse(ref))
        self._where = {"agent": agent, "registry": registry}
        self._folder: pathlib.Path | None = None
        self._weights: dict[str, Weights] = {}

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        self._folder = None
        if checkpoint_id:
            self._ref = str(reference.parse(os.fspath(checkpoint_id)))

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        files = self._files()
        entries: dict[str, Any] = {}
        places: dict[MetadataIndex, str] = {}
        for path, weights in files.items():
            offsets = json.loads(weights.metadata[path].get(_PLACES, "{}"))
            for name in weights:
                tensor = weights[name]
                at = torch.Size(offsets.get(name, {}).get("saved_offsets", [0] * tensor.dim()))
                entry = entries.setdefault(
                    name, TensorStorageMetadata(TensorProperties(dtype=tensor.dtype), torch.Size([0] * tensor.dim()), [])
                )
                entry.chunks.append(ChunkStorageMetadata(at, tensor.shape))
                entry.size = torch.Size(max(n, o + s) for n, o, s in zip(entry.size, at, tensor.shape))
                places[MetadataIndex(name, at)] = path
        for path, objects in self._objects().items():
            for name in objects:
                entries[name] = BytesStorageMetadata()
                places[MetadataIndex(name)] = path
        return Metadata(state_dict_metadata=entries, storage_data=places)

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        self._places: dict[MetadataIndex, str] = metadata.storage_data

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        files, objects = self._files(), self._objects()
        for item in plan.items:
            path = self._places[item.storage_index]
            if item.type == LoadItemType.BYTE_IO:
                planner.load_bytes(item, io.BytesIO(base64.b64decode(objects[path][item.storage_index.fqn])))
                continue
            part = tuple(slice(o, o + n) for o, n in zip(item.storage_offsets, item.lengths))
            target = planner.resolve_tensor(item).detach()
            target.copy_(files[path][item.storage_index.fqn][part])
            planner.commit_tensor(item, target)
        read: Future[None] = Future()
        read.set_result(None)
        return read

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return _valid(checkpoint_id)

    def _files(self) -> dict[str, Weights]:
        folder = self._here()
        if not self._weights:
            names = sorted(p.name for p in folder.glob("*.safetensors"))
            self._weights = {name: Weights(folder, Form("torch", "cpu"), name) for name in names}
        return self._weights

    def _objects(self) -> dict[str, dict[str, str]]:
        return {p.name: json.loads(p.read_text()) for p in sorted(self._here().glob(_OBJECTS.format("*")))}

    def _here(self) -> pathlib.Path:
        if self._folder is None:
            self._folder, self._weights = pathlib.Path(snapshot_download(self._ref, **self._where)), {}
        return self._folder


def _write(folder: pathlib.Path, plan: SavePlan, planner: SavePlanner, rank: int, ranks: int) -> None:
    """Writes what a rank has: a safetensors file, and what is no tensor beside it."""
    tensors: dict[str, Any] = {}
    offsets: dict[str, Any] = {}
    objects: dict[str, str] = {}
    for item in plan.items:
        name, value = item.index.fqn, planner.resolve_data(item)
        if name in tensors:
            raise ValueError(f"rank {rank} has two parts of the tensor {name!r}, and a safetensors file holds one")
        if item.type == WriteItemType.BYTE_IO:
            objects[name] = base64.b64encode(value.getvalue()).decode()
        else:
            tensors[name] = value.detach()
            offsets[name] = {"saved_offsets": list(item.tensor_data.chunk.offsets)}
    file = WEIGHTS if ranks == 1 else f"shard-{rank + 1:05}-model-00001-of-00001.safetensors"
    if tensors:
        state.write(folder / file, tensors, {_PLACES: json.dumps(offsets, sort_keys=True), "DCP_VERSION": "1.0"})
    if objects:
        (folder / _OBJECTS.format(f"{rank + 1:05}")).write_text(json.dumps(objects, sort_keys=True))


def _spool(root: pathlib.Path, ref: str, rank: int) -> spool.Spool:
    """Returns the place where this process keeps what it has uploaded last."""
    key = (os.getpid(), str(root), ref, rank)
    if key not in _spools:
        _spools[key] = spool.Spool(root, f"{ref}.rank{rank}")
    return _spools[key]


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_available() and torch.distributed.is_initialized() else 0


def _parsed(ref: str) -> reference.Reference:
    what = reference.parse(ref)
    if what.path or what.fixed:
        raise ValueError(f"{ref!r} cannot be published to: want namespace/model:tag")
    return what


def _valid(checkpoint_id: str | os.PathLike[str]) -> bool:
    try:
        reference.parse(os.fspath(checkpoint_id))
    except ValueError:
        return False
    return True
