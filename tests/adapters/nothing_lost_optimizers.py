"""Which parameters a step was applied to: optimizers that step apart, and passes without a step.

Cases of test_nothing_lost.py, on all ranks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from nothing_lost_steps import Failing, pair
from nothing_lost_training import Count, closed, gradients_of, top_k, wrapped
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch_training import ALGORITHMS, data, expect, hooked

import gradwire as gw

Case = Callable[[], float]


class Parts(nn.Module):
    """Three parameters, two of them in one bucket; the gradient of the third can overflow."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.other = nn.Parameter(torch.randn(3600))
        self.second = nn.Parameter(torch.randn(3600))
        self.first = nn.Parameter(torch.randn(10_000))

    def forward(self, x: torch.Tensor, factor: float) -> torch.Tensor:
        pieces = x.split([3600, 3600, 10_000])
        others = (self.other * pieces[0]).sum() + (self.second * pieces[1]).sum()
        return others + (self.first * pieces[2]).sum() * factor


def case_optimizers_that_skip_apart(algorithm: str, fused: bool) -> float:
    """A GradScaler skips one of two optimizers; parameters of both lie in one bucket."""
    models = [Parts(), Parts()]
    both = [wrapped(model, 0.02) for model in models]
    scalers = [torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=5) for _ in models]
    state = gw.torch.CompressionState(
        None, top_k(), algorithm, fallback=False, loss_scale=scalers[1].get_scale
    )
    both[1].register_comm_hook(state, gw.torch.compressed_allreduce)
    parts = (("first", "second"), ("other",))
    optimizers = [
        [torch.optim.SGD([getattr(m, n) for n in names], 1e-6, fused=fused) for names in parts]
        for m in models
    ]
    count = Count(["first", "second", "other"])
    for step in range(30):
        factor = torch.inf if step % 5 == 3 and dist.get_rank() == 0 else 1.0
        generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
        x = torch.randn(17_200, generator=generator)
        for ddp, scaler in zip(both, scalers):
            ddp.zero_grad()
            scaler.scale(ddp(x, factor)).backward()
        scale = scalers[1].get_scale()
        for names in parts:
            if all(getattr(models[1], name).grad.isfinite().all() for name in names):
                count.add(*models, scale, names)
        for scaler, own in zip(scalers, optimizers):
            for optimizer in own:
                scaler.step(optimizer)
            scaler.update()
    assert ["other", "second"] in [
        sorted(names) for names in state._session.lanes[0].buckets.layouts().values()
    ]
    return closed(state, count)


def case_many_passes(algorithm: str) -> float:
    """More averaged passes before an update than a model without a known optimizer may have."""
    models, both, state = pair(algorithm)
    optimizers = [torch.optim.SGD(model.parameters(), 1e-3) for model in models]
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(6):
        for ddp in both:
            ddp.zero_grad()
        for part in range(11):
            gradients = gradients_of(11 * step + part, 1.0)
            if step in (2, 4) and part == 10 and dist.get_rank() == 0:
                gradients["head"][3, 4] = torch.inf
            for ddp in both:
                ddp(gradients).backward()
        if step not in (2, 4):
            count.add(*models, 1.0)
            for optimizer in optimizers:
                optimizer.step()
    return closed(state, count)


def case_skips_without_a_pass(algorithm: str) -> float:
    """skip_step() before the backward pass: the step before it was applied."""
    models, both, state = pair(algorithm)
    optimizer = torch.optim.SGD(models[1].parameters(), 1e-6)
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(20):
        if step % 5 == 3:
            state.skip_step()
            continue
        for ddp in both:
            ddp.zero_grad()
            ddp(gradients_of(step, 1.0)).backward()
        count.add(*models, 1.0)
        optimizer.step()
    return closed(state, count)


def case_an_error_under_checkpointing() -> float:
    """Reentrant checkpoints have backward passes of their own, which end before the last bucket."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(100, 100) for _ in range(4)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for i, layer in enumerate(self.layers):
                x = checkpoint(layer, Failing.apply(x) if i == 1 else x, use_reentrant=True)
            return x

    def loss() -> torch.Tensor:
        return ddp(data(dist.get_rank())[0].requires_grad_()).square().sum()

    ddp, state = hooked(Model(), top_k())
    optimizer = torch.optim.SGD(ddp.parameters(), 1e-3)
    for _ in range(4):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    before = copy.deepcopy(state.state_dict()["tensors"])
    Failing.fails = True
    expect(RuntimeError, ["out of memory"], lambda: loss().backward())
    Failing.fails = False
    after = state.state_dict()["tensors"]
    state.close()
    for name, tensor in before.items():
        assert torch.equal(tensor["arrays"][""], after[name]["arrays"][""]), name
    return 0.0


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {}
    if world != 2:
        return cases
    for algorithm in ALGORITHMS:
        for fused in (False, True):
            name = f"{'fused-' if fused else ''}optimizers-that-skip-apart-{algorithm}"
            cases[name] = partial(case_optimizers_that_skip_apart, algorithm, fused)
        cases[f"many-passes-{algorithm}"] = partial(case_many_passes, algorithm)
        cases[f"skips-without-a-pass-{algorithm}"] = partial(case_skips_without_a_pass, algorithm)
    cases["error-under-checkpointing"] = case_an_error_under_checkpointing
    return cases
