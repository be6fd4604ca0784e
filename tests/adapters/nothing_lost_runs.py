"""Training runs of test_nothing_lost.py that end where they should, on all ranks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import ALGORITHMS, network, wrap

import gradwire as gw

Case = Callable[[], float]
DELAYED = {"allgather": 0.02, "sharded": 0.1}
"""How much farther off a run may end because memories wait until a parameter is used again; with
shards there are two of them, one behind the other. Nothing is lost: the other cases count it."""


class Experts(nn.Module):
    """A mixture of experts, each step with one of them; ``touch_all`` gives all a gradient."""

    def __init__(self, touch_all: bool) -> None:
        super().__init__()
        self.experts = nn.ParameterList([torch.zeros(4000) for _ in range(4)])
        self.shared = nn.Parameter(torch.zeros(6000))
        self.touch_all = touch_all

    def forward(self, turn: int, noise: torch.Tensor) -> torch.Tensor:
        used = torch.cat([self.experts[turn], self.shared])
        loss = 0.5 * (used - targets(turn) + noise).square().sum()
        if self.touch_all:
            loss = loss + 1e-30 * sum(expert.sum() for expert in self.experts)
        return loss


def targets(turn: int) -> torch.Tensor:
    """What an expert and the shared part should become."""
    expert = torch.randn(4000, generator=torch.Generator().manual_seed(turn))
    return torch.cat([expert, torch.randn(6000, generator=torch.Generator().manual_seed(9))])


def distance(touch_all: bool, compressor: gw.Compressor | None, algorithm: str) -> float:
    """Root mean square of what separates a run from its targets in its last steps."""
    model = Experts(touch_all)
    ddp = DistributedDataParallel(model, bucket_cap_mb=0.05, find_unused_parameters=True)
    if compressor is not None:
        state = gw.torch.CompressionState(None, compressor, algorithm, fallback=False)
        ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    optimizer = torch.optim.SGD(ddp.parameters(), 0.02)
    squares = []
    for step in range(1200):
        generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
        optimizer.zero_grad()
        ddp(step % 4, torch.randn(10_000, generator=generator)).backward()
        optimizer.step()
        if step >= 900:
            with torch.no_grad():
                for turn in range(4):
                    own = torch.cat([model.experts[turn], model.shared])
                    squares.append((own - targets(turn)).square().mean())
    if compressor is not None:
        state.close()
    return float(torch.stack(squares).mean() ** 0.5)


def case_mixture_of_experts(algorithm: str) -> float:
    """The distance in relation to that of a run in which all parameters are touched."""

    def make() -> gw.Compressor:
        return gw.Compressor(gw.QSGD(4), memory=gw.Residual())

    plain = distance(False, None, algorithm)
    own, touched = (distance(touch_all, make(), algorithm) for touch_all in (False, True))
    if dist.get_rank() == 0:
        print(f"experts: {own:.4f}, all touched {touched:.4f}, plain DDP {plain:.4f}", flush=True)
    assert abs(own / touched - 1) < DELAYED[algorithm], (own, touched, plain)
    return own / touched


def scaled_loss(
    make: Callable[[], gw.Compressor], scaling: bool, told: bool, algorithm: str
) -> float:
    """The loss of a run under a GradScaler that falls and grows, or without."""
    model = network()
    ddp = wrap(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0, growth_interval=8, enabled=scaling)
    state = gw.torch.CompressionState(
        None, make(), algorithm, fallback=False, loss_scale=scaler.get_scale if told else None
    )
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    optimizer = torch.optim.SGD(ddp.parameters(), 0.5)
    target = torch.randn(100, 10, generator=torch.Generator().manual_seed(4))
    losses = []
    for step in range(160):
        generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
        x = torch.randn(32, 100, generator=generator)
        # Falls by 2^-6 at once, and grows in between.
        overflows = scaling and step in (40, 41, 42, 43, 44, 45, 100, 101, 102)
        for attempt in range(2 if overflows else 1):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(ddp(x), (x @ target).argmax(1))
            bad = overflows and attempt == 0 and dist.get_rank() == 0
            scaler.scale(loss * (torch.inf if bad else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
        losses.append(loss.detach())
    state.close()
    mean = torch.stack(losses[-40:]).mean()
    dist.all_reduce(mean)
    return float(mean) / dist.get_world_size()


def case_grad_scaler(algorithm: str) -> float:
    """The largest distance from the loss without scaling."""
    worst = 0.0
    for make in (
        lambda: gw.Compressor(gw.QSGD(4), memory=gw.Residual()),
        lambda: gw.Compressor(gw.TopK(0.02), memory=gw.Residual()),
        lambda: gw.Compressor(gw.TopK(0.02), memory=gw.DGCMomentum(0.5)),
    ):
        plain = scaled_loss(make, False, False, algorithm)
        scaled = scaled_loss(make, True, True, algorithm)
        worst = max(worst, abs(scaled / plain - 1))
        if dist.get_rank() == 0:
            name = f"{make().pipeline!r}, {type(make().memory).__name__}"
            print(f"scaler, {name}, {algorithm}: {scaled:.4f}, without {plain:.4f}", flush=True)
        assert abs(scaled / plain - 1) < 0.02, (make().pipeline, scaled, plain)
    untold = scaled_loss(make, True, False, algorithm)
    assert untold > 1.1 * plain, "this run would not notice memories in other units"
    return worst


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS if world == 2 else ():
        cases[f"mixture-of-experts-{algorithm}"] = partial(case_mixture_of_experts, algorithm)
        cases[f"grad-scaler-{algorithm}"] = partial(case_grad_scaler, algorithm)
    return cases
