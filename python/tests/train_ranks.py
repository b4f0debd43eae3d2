"""One rank that saves three checkpoints together with others, and loads the last.

usage: train_ranks.py REF RANKS RENDEZVOUS RANK
"""

import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from ingot.dcp import StorageReader, StorageWriter

ref, ranks, rendezvous, rank = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
dist.init_process_group("gloo", init_method=f"file://{rendezvous}", world_size=ranks, rank=rank)
mesh = init_device_mesh("cpu", (ranks,))


def spread(step):
    rows = torch.arange(6.0)[:, None].repeat(1, 3) + step
    return {
        "layer": {"weight": distribute_tensor(rows, mesh, [Shard(0)])},
        "optimizer": {"step": torch.tensor(float(step)), "lr": 0.1 * step, "name": "adam"},
        "bf16": distribute_tensor(torch.arange(8).to(torch.bfloat16), mesh, [Shard(0)]),
    }


for step in range(3):
    writer = StorageWriter(ref, step=step, run="ranks")
    dcp.save(spread(step), storage_writer=writer)
    assert (writer.receipt is None) == (rank != 0)

state = spread(0)
dcp.load(state, storage_reader=StorageReader(ref))
want = spread(2)
assert torch.equal(state["layer"]["weight"].full_tensor(), want["layer"]["weight"].full_tensor())
assert torch.equal(state["bf16"].full_tensor(), want["bf16"].full_tensor())
assert state["optimizer"] == want["optimizer"], state["optimizer"]
alone = {"layer": {"weight": torch.zeros(6, 3)}}  # and on another number of ranks
dcp.load(alone, storage_reader=StorageReader(ref), no_dist=True)
assert torch.equal(alone["layer"]["weight"], want["layer"]["weight"].full_tensor())
dist.destroy_process_group()
