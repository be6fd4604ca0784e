"""Models, data and pipelines that the tests of PyTorch's adapter train with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import gradwire as gw

PIPELINES: dict[str, Callable[[], gw.Compressor]] = {
    "qsgd": lambda: gw.Compressor(gw.QSGD(4)),
    "qsgd-residual": lambda: gw.Compressor(gw.QSGD(4), memory=gw.Residual()),
    "terngrad-huffman": lambda: gw.Compressor(gw.TernGrad(), codec="huffman"),
    "topk-residual": lambda: gw.Compressor(gw.TopK(0.05), memory=gw.Residual()),
    "topk-dgc": lambda: gw.Compressor(gw.TopK(0.05), memory=gw.DGCMomentum()),
    "randomk": lambda: gw.Compressor(gw.RandomK(0.05), memory=gw.Residual()),
    "sidco": lambda: gw.Compressor(gw.SIDCoExponential(0.05), memory=gw.Residual()),
    "signsgd": lambda: gw.Compressor(gw.SignSGD()),
    "signum": lambda: gw.Compressor(gw.Signum()),
    "efsign": lambda: gw.Compressor(gw.EFSignSGD(), memory=gw.EFSign(0.01)),
    "natural": lambda: gw.Compressor(gw.Natural()),
    "lossless": lambda: gw.Compressor(gw.Lossless()),
}
ALGORITHMS = ("allgather", "sharded")


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    """Some 37,000 parameters, alike on all ranks."""
    torch.manual_seed(1)
    sizes = (100, 150, 100, 60, 10)
    layers = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.Tanh()))).to(dtype)


class Forked(nn.Module):
    """Uses one of two branches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.branches = nn.ModuleList([nn.Linear(100, 100), nn.Linear(100, 100)])
        self.last = nn.Linear(100, 10)
        self.turn = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.turn += 1
        return self.last(self.branches[self.turn % 2](x))


class ToDouble(nn.Module):
    """Goes on in float64."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.double()


def data(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of this rank."""
    generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
    x = torch.randn(32, 100, generator=generator)
    return x, (x[:, 0] > 0).long()


def wrap(model: nn.Module, **options: Any) -> DistributedDataParallel:
    """Under DDP, with several buckets."""
    return DistributedDataParallel(model, bucket_cap_mb=0.04, **options)


def hooked(
    model: nn.Module,
    compressor: gw.Compressor,
    algorithm: str = "auto",
    fallback: bool = False,
    **options: Any,
) -> tuple[DistributedDataParallel, gw.torch.CompressionState]:
    """Under DDP with the hook."""
    ddp = wrap(model, **options)
    state = gw.torch.CompressionState(None, compressor, algorithm, fallback=fallback)
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    return ddp, state


def train(ddp: DistributedDataParallel, steps: int, first: int = 0) -> None:
    """Some steps of SGD."""
    optimizer = torch.optim.SGD(ddp.parameters(), 0.01)
    dtype = next(ddp.parameters()).dtype
    for step in range(first, first + steps):
        x, y = data(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(ddp(x.to(dtype)), y).backward()
        optimizer.step()


def held_by_parameter(state: gw.torch.CompressionState) -> dict[str, torch.Tensor]:
    """What is still to be sent, without loss scale; an average stands for all ranks."""
    held = {}
    for name, tensor in state.state_dict()["tensors"].items():
        kinds = tensor["arrays"]
        first = kinds[state.compressor.memory.unsent]
        whole = first.double() + dist.get_world_size() * kinds.get("second stage", 0)
        held[name] = whole / tensor["loss_scale"]
    return held


def flat(model: nn.Module) -> torch.Tensor:
    """All parameters."""
    return torch.cat([p.detach().reshape(-1).double() for p in model.parameters()])


def assert_same_on_all_ranks(model: nn.Module) -> None:
    """Bit for bit."""
    mine = flat(model)
    everyone = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(everyone, mine)
    assert all(torch.equal(mine, other) for other in everyone)
    assert torch.isfinite(mine).all()


def given_gradients(step: int, count: int) -> torch.Tensor:
    """Of this rank."""
    generator = torch.Generator().manual_seed(7919 * step + dist.get_rank())
    return torch.randn(count, generator=generator) * torch.rand(count, generator=generator) ** 4


def expect(kind: type[Exception], texts: list[str], work: Callable[[], None]) -> None:
    """That ``work`` raises, and says all this."""
    try:
        work()
    except kind as error:
        assert all(text in str(error) for text in texts), str(error)
    else:
        raise AssertionError(f"no {kind.__name__}")
