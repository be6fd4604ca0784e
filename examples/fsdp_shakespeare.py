"""Trains a small GPT on Shakespeare's characters under FSDP2, with compressed gradients.

torchrun --standalone --nproc_per_node=2 examples/fsdp_shakespeare.py
torchrun --standalone --nproc_per_node=4 examples/fsdp_shakespeare.py --replicas 2
"""

from __future__ import annotations

from pathlib import Path

import common
import torch
import torch.distributed as dist
from ddp_shakespeare import read_text, word_batches
from diloco_shakespeare import (
    BATCH,
    GPT,
    HELD_OUT,
    LAYERS,
    LENGTH,
    WIDTH,
    character_ids,
    held_out_loss,
    next_loss,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import gradwire as gw


def main() -> None:
    """Runs the command line."""
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="file, or folder of .txt files")
    parser.add_argument("--replicas", type=int, default=1, help="of the sharded model (default 1)")
    options = parser.parse_args()
    common.start(options.seed)
    ids = character_ids(read_text(options.text))
    model = GPT(int(ids.max()) + 1, WIDTH, LAYERS, LENGTH)
    shards = dist.get_world_size() // options.replicas
    sizes, names = (options.replicas, shards), ("replicate", "shard")
    mesh = init_device_mesh("cpu", sizes, mesh_dim_names=names)
    mesh = mesh if options.replicas > 1 else mesh["shard"]
    for layer in model.layers.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    state = None
    if options.compressor != "plain":
        state = gw.torch.CompressionState(
            compressor=common.chosen_compressor(options), algorithm=options.algorithm
        )
        gw.torch.compress_fsdp(model, state)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    share = ids[:-HELD_OUT].chunk(dist.get_world_size())[dist.get_rank()]
    batches = word_batches(share, BATCH, LENGTH)
    progress = common.Progress(options.steps)
    for step in range(1, options.steps + 1):
        loss = next_loss(model, *next(batches))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.show(step, loss.item())
    common.finish(f"held-out loss {held_out_loss(model, ids[-HELD_OUT:]):.4f}", state)


if __name__ == "__main__":
    main()
