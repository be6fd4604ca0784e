"""Models under DDP, with the hook on a chosen path or without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import gradwire as gw
from gradwire.torch import paths

ON_DEVICE, THROUGH_HOST = paths.ON_DEVICE, paths.THROUGH_HOST_MEMORY
PIPELINES: dict[str, Callable[..., gw.Compressor]] = {
    "QSGD(16)": lambda **o: gw.Compressor(gw.QSGD(16), **o),
    "QSGD(4) with Residual()": lambda **o: gw.Compressor(gw.QSGD(4), memory=gw.Residual(), **o),
    "TopK(0.01) with Residual()": lambda **o: gw.Compressor(
        gw.TopK(0.01), memory=gw.Residual(), **o
    ),
}


@contextmanager
def forced(path: str) -> Iterator[None]:
    """All buckets take this path, on the CPU as well, where both copy from and to host memory."""
    kept = paths.is_on_device, paths.hindrance
    paths.is_on_device = lambda buffer: True
    if path == THROUGH_HOST:
        paths.hindrance = lambda compressor: "this path is chosen here"
    try:
        yield
    finally:
        paths.is_on_device, paths.hindrance = kept


def wrap(
    model: nn.Module, compressor: gw.Compressor | None, bucket_mb: float = 25
) -> tuple[DistributedDataParallel, gw.torch.CompressionState | None]:
    """Under DDP, with the hook unless ``compressor`` is None."""
    ddp = DistributedDataParallel(model, bucket_cap_mb=bucket_mb)
    if compressor is None:
        return ddp, None
    state = gw.torch.CompressionState(None, compressor, fallback=False)
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    return ddp, state


def network(device: torch.device, sizes: list[int]) -> nn.Module:
    """Linear layers; the same on all ranks."""
    torch.manual_seed(1)
    layers = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh()))).to(device)


def batch(device: torch.device, step: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs of this rank, and classes to learn."""
    generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
    x = torch.randn(64, width, generator=generator)
    return x.to(device), (x[:, 0] > 0).long().to(device)


def train(ddp: DistributedDataParallel, device: torch.device, steps: int, width: int) -> float:
    """Some steps of SGD; returns the loss over batches that were not trained with."""
    optimizer = torch.optim.SGD(ddp.parameters(), 0.1)
    for step in range(steps):
        x, y = batch(device, step, width)
        optimizer.zero_grad()
        nn.functional.cross_entropy(ddp(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        tests = [batch(device, 10_000 + 2 * step, width) for step in range(10)]
        losses = [nn.functional.cross_entropy(ddp.module(x), y) for x, y in tests]
    return float(torch.stack(losses).mean())


def flat(model: nn.Module) -> torch.Tensor:
    """All parameters, in host memory."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).cpu()


def are_alike(model: nn.Module) -> bool:
    """Whether all ranks have the same bits."""
    mine = flat(model).view(torch.int32)
    everyone = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(everyone, mine)
    return all(torch.equal(mine, other) for other in everyone)
