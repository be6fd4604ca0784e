"""More of what the ranks of test_torch.py do: arrays and tensors without DDP."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch_training import expect

import gradwire as gw
from gradwire.torch.collectives import GroupExchange


def case_communicator() -> None:
    """GRACE's interface: settings by name, and averages of single tensors."""
    rank, world = dist.get_rank(), dist.get_world_size()
    settings = {"compressor": "qsgd", "quantum_num": 127, "communicator": "allreduce"}
    communicator = gw.torch.communicator_from_params({**settings, "world_size": world})
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        x = torch.full((3, 1000), 1.0 + rank, dtype=dtype)
        average = communicator.step(x, "x")
        assert average.shape == x.shape and average.dtype == dtype
        assert torch.isclose(average.float().mean(), torch.tensor((1 + world) / 2), rtol=0.02)


def case_allgather() -> None:
    """Frames of any lengths, empty ones too, and around the length of a first message, 2^20."""
    rank, world = dist.get_rank(), dist.get_world_size()
    for size in (7, 2**20 - 9, 2**20 - 8, 2**20 - 7, 3 * 2**20):
        wanted = [np.random.default_rng(r).bytes(r * size) for r in range(world)]
        frames = gw.torch.allgather(np.frombuffer(wanted[rank], np.uint8))
        assert [f.numpy().tobytes() for f in frames] == wanted


def case_too_much() -> None:
    """Who announces more than can be is named."""
    rank, limit = dist.get_rank(), 2**21
    exchange = GroupExchange(dist.group.WORLD)
    exchange.allgather(np.zeros(limit, np.uint8), limit)
    expect(
        gw.CorruptFrameError,
        [f"rank 1 announces a frame of {2**20 - 8} bytes, at most 1000"],
        lambda: exchange.allgather(np.zeros(rank * (2**20 - 8), np.uint8), 1000),
    )
