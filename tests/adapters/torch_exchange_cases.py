"""More of what the ranks of test_torch.py do: arrays and tensors without DDP."""

from __future__ import annotations

import numpy as np
import pytest
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


def case_other_sizes() -> None:
    """Ranks that average tensors of other shapes are told so; no frame is called damaged."""
    rank = dist.get_rank()
    for algorithm in ("allgather", "sharded"):
        for dtype, pipeline in ((torch.float32, gw.QSGD(4)), (torch.float64, gw.Lossless())):
            communicator = gw.torch.Communicator(gw.Compressor(pipeline), algorithm=algorithm)
            with pytest.raises(ValueError, match=rf"rank {1 - rank} sent \d+ elements") as caught:
                communicator.step(torch.ones(4096 + 1024 * rank, dtype=dtype), "x")
            assert not isinstance(caught.value, gw.CorruptFrameError)


def case_clipping_knows_the_number_of_ranks() -> None:
    """Gradients are clipped to clip * sqrt(ranks), whatever the settings say of the world size."""
    settings = {"compressor": "topk", "density": 1.0, "memory": "dgc", "clip": 2.0}
    communicator = gw.torch.communicator_from_params({**settings, "world_size": 1})
    average = communicator.step(torch.ones(10_000), "x")  # whose norm is 100
    wanted = 2.0 * dist.get_world_size() ** 0.5
    assert torch.isclose(average.norm(), torch.tensor(wanted), rtol=1e-5)


def case_allgather() -> None:
    """Frames of any lengths, empty ones too, and around the length of a first message, 2^20."""
    rank, world = dist.get_rank(), dist.get_world_size()
    for size in (7, 2**20 - 9, 2**20 - 8, 2**20 - 7, 3 * 2**20):
        wanted = [np.random.default_rng(r).bytes(r * size) for r in range(world)]
        frames = gw.torch.allgather(np.frombuffer(wanted[rank], np.uint8))
        assert [f.numpy().tobytes() for f in frames] == wanted


def case_first_messages() -> None:
    """Other sizes for each rank, with and without data in the first messages."""
    rank, world = dist.get_rank(), dist.get_world_size()
    exchange = GroupExchange(dist.group.WORLD)
    for room in (exchange.room, 1000, 0):
        exchange.room = room
        for size in (0, 1, 999, 1000, 1001, 2**21):
            sent = [np.full(size + 3 * rank + r, 16 * rank + r, np.uint8) for r in range(world)]
            received = exchange.alltoall(sent, 2**22)
            for r, data in enumerate(received):
                assert data.tobytes() == bytes([16 * r + rank]) * (size + 3 * r + rank)


def case_messages_of_the_program() -> None:
    """They are not mistaken for frames."""
    rank = dist.get_rank()
    own = torch.zeros(3, dtype=torch.uint8)
    pending = dist.irecv(own, 1 - rank)
    frames = gw.torch.allgather(np.full(5, rank, np.uint8))
    dist.isend(torch.full((3,), 7 + rank, dtype=torch.uint8), 1 - rank).wait()
    pending.wait()
    assert own.tolist() == [8 - rank] * 3
    assert [f.tolist() for f in frames] == [[0] * 5, [1] * 5]


def case_too_much() -> None:
    """Who announces more than can be is named."""
    rank, limit = dist.get_rank(), 2**21
    exchange = GroupExchange(dist.group.WORLD)
    exchange.allgather(np.zeros(limit, np.uint8), limit)
    expect(
        gw.CorruptFrameError,
        [f"rank 1 announced a frame of {2**20 - 8} bytes, at most 1000"],
        lambda: exchange.allgather(np.zeros(rank * (2**20 - 8), np.uint8), 1000),
    )


def case_nan_in_any_tensor() -> None:
    """NaN on one rank is NaN on all, in tensors that NumPy cannot view too."""
    communicator = gw.torch.Communicator(gw.Compressor(gw.QSGD(4)))
    value = torch.nan if dist.get_rank() == 0 else 1.0
    leaf = torch.full((5000,), value, requires_grad=True)
    negative = torch.complex(leaf.detach(), leaf.detach()).conj().imag
    for name, given in (("leaf", leaf), ("negative", negative)):
        out = np.empty(5000, np.float32)
        communicator.averager.complete(communicator.averager.compress(given, name), name, out)
        assert np.isnan(out).all()
    communicator.close()
