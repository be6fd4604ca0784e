"""Sparse gradients as frames: more of what the ranks of test_torch.py do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import expect

import gradwire as gw


class Table(nn.Module):
    """A table of which each rank uses other rows, before a dense layer."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.table = nn.Embedding(1000, 16, sparse=True, dtype=dtype)
        self.last = nn.Linear(16, 10, dtype=dtype)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.last(self.table(rows).mean(1))


def pair(
    compressor: gw.Compressor, dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[DistributedDataParallel, DistributedDataParallel, gw.torch.CompressionState]:
    """The same model without and with the hook."""
    plain, ddp = DistributedDataParallel(Table(dtype)), DistributedDataParallel(Table(dtype))
    state = gw.torch.CompressionState(compressor=compressor, fallback=False, **options)
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    return plain, ddp, state


def gradient(ddp: DistributedDataParallel, rows: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
    """Of the table, after one backward pass."""
    ddp.zero_grad()
    (factor * ddp(rows).square().sum()).backward()
    return ddp.module.table.weight.grad


def rows_of(step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(10 * step + dist.get_rank())
    return torch.randint(0, 1000, (32, 5), generator=generator)


def case_sparse_rows_without_loss() -> None:
    """As without gradwire on two ranks, in fewer bytes; pipelines with a memory lose nothing."""
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        for compressor in (
            gw.Compressor(gw.Lossless()),
            gw.Compressor(gw.TopK(0.1), memory=gw.Residual()),
        ):
            plain, ddp, state = pair(compressor, dtype)
            for step in range(3):
                wanted, found = gradient(plain, rows_of(step)), gradient(ddp, rows_of(step))
                assert found.is_sparse and found.dtype == dtype
                wanted, found = wanted.coalesce(), found.coalesce()
                if dtype == torch.bfloat16:  # a plain sum rounds twice
                    assert torch.allclose(wanted.to_dense(), found.to_dense(), rtol=0.01)
                else:
                    assert torch.equal(wanted.indices(), found.indices())
                    assert torch.equal(wanted.values(), found.values())
            (row,) = [b for b in state.report()["buckets"] if b["elements"] is None]
            assert row["sent"] == "compressed" and "sparse rows" in state.summary()


def case_sparse_rows_quantized() -> None:
    """All ranks get the same unbiased average, in a tenth of the bytes."""
    plain, ddp, state = pair(gw.Compressor(gw.QSGD(4)))
    wanted = gradient(plain, rows_of(0)).to_dense()
    total = torch.zeros_like(wanted)
    for _ in range(200):
        found = gradient(ddp, rows_of(0)).coalesce()
        everyone = [torch.empty_like(found.values()) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, found.values())
        assert all(torch.equal(one, everyone[0]) for one in everyone)
        total += found.to_dense()
    assert (total / 200 - wanted).norm() < 0.2 * wanted.norm()
    report = state.report()
    assert report["compressed_raw_bytes"] > 10 * report["compressed_sent_bytes"]


def case_sparse_rows_of_no_rank() -> None:
    """A rank without rows, and rows that are infinite."""
    plain, ddp, _ = pair(gw.Compressor(gw.QSGD(4)))
    empty = torch.zeros((0, 5), dtype=torch.long)
    rows = rows_of(0) if dist.get_rank() == 0 else empty
    gradient(plain, rows)
    assert gradient(ddp, rows).coalesce().indices().numel() > 0
    assert gradient(ddp, empty).coalesce().indices().numel() == 0
    found = gradient(ddp, rows_of(1), float("inf") if dist.get_rank() == 0 else 1.0)
    assert not found.coalesce().values().isfinite().all()


def case_sparse_rows_resume() -> None:
    """A run goes on bit for bit, with the same random numbers."""

    def make() -> tuple[DistributedDataParallel, gw.torch.CompressionState]:
        return pair(gw.Compressor(gw.QSGD(4), memory=gw.Residual()))[1:]

    ddp, state = make()
    for step in range(3):
        gradient(ddp, rows_of(step))
    saved = state.state_dict()
    wanted = [gradient(ddp, rows_of(step)).to_dense() for step in (3, 4)]
    again, resumed = make()
    resumed.load_state_dict(saved)
    found = [gradient(again, rows_of(step)).to_dense() for step in (3, 4)]
    assert all(torch.equal(one, other) for one, other in zip(wanted, found))


def case_sparse_rows_excluded() -> None:
    """They are sent plainly if their parameter is excluded, or no step is compressed yet."""
    for options in ({"exclude": "table.*"}, {"start_step": 9}):
        plain, ddp, state = pair(gw.Compressor(gw.QSGD(4)), **options)
        wanted, found = gradient(plain, rows_of(0)), gradient(ddp, rows_of(0))
        assert torch.equal(wanted.to_dense(), found.to_dense())
        report = state.report()
        assert report["compressed_sent_bytes"] == 0 and report["sent_bytes"] < 16_000


def case_sparse_rows_damaged() -> None:
    """A frame that cannot be right is refused, and its sender named."""
    damages = {
        "it has 3 bytes": lambda data: data[:3],
        "its first part has": lambda data: np.concatenate([np.full(8, 255, np.uint8), data[8:]]),
        "row 4999 of 1000": lambda data: frame(np.array([4999]), np.zeros((1, 16))),
        "do not ascend": lambda data: frame(np.array([3, 3]), np.zeros((2, 16))),
        "16 values for 2 rows": lambda data: frame(np.array([3, 4]), np.zeros((1, 16))),
        "max_size": lambda data: frame(np.array([3]), np.zeros((999, 999))),
    }
    for told, damage in damages.items():
        _, ddp, state = pair(gw.Compressor(gw.QSGD(4)))
        exchange = state.averager.exchange
        allgather = exchange.allgather

        def damaged(data: Any, limit: int, damage: Any = damage, send: Any = allgather) -> Any:
            return send(damage(data) if dist.get_rank() == 1 else data, limit)

        exchange.allgather = damaged
        expect(
            gw.CorruptFrameError, ["rank 1 sent", told], lambda ddp=ddp: gradient(ddp, rows_of(0))
        )


def frame(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """As a rank sends it."""
    of_rows = gw.compress(np.diff(rows.astype(np.int64), prepend=np.int64(0)))
    of_values = gw.Compressor(gw.Lossless()).compress(values.astype(np.float32))
    return np.concatenate([np.array([of_rows.size]).view(np.uint8), of_rows, of_values])
