"""Runs in which what was given, what arrived and what is held are counted, parameter by parameter.

The gradients of each step are chosen: the loss is the sum of their products with the parameters.
Beside each model with the hook, one under plain DDP gets the same gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import held_by_parameter

import gradwire as gw

LOST = 1e-5
"""Share of a parameter's gradients that may be missing: rounding of float32."""
SIZES = {
    "shared": (90, 70),
    "expert.0": (60, 80),
    "expert.1": (60, 80),
    "rare": (5000,),
    "masked": (70, 71),
    "small": (9,),
    "head": (33, 150),
}
PIPELINES: dict[str, Callable[[], gw.Compressor]] = {
    "QSGD(4), Residual": lambda: gw.Compressor(gw.QSGD(4), memory=gw.Residual()),
    "Uniform(4), Residual": lambda: gw.Compressor(gw.Uniform(4), memory=gw.Residual()),
    "TernGrad, Residual": lambda: gw.Compressor(gw.TernGrad(), memory=gw.Residual()),
    "Natural, Residual": lambda: gw.Compressor(gw.Natural(), memory=gw.Residual()),
    "OneBit, Residual": lambda: gw.Compressor(gw.OneBit(), memory=gw.Residual()),
    "EFSignSGD, EFSign(0.5)": lambda: gw.Compressor(gw.EFSignSGD(), memory=gw.EFSign(0.5)),
    "TopK, Residual": lambda: gw.Compressor(gw.TopK(0.05), memory=gw.Residual()),
    "TopK(QSGD), Residual": lambda: gw.Compressor(
        gw.TopK(0.05, values=gw.QSGD(16)), memory=gw.Residual()
    ),
    "RandomK, Residual": lambda: gw.Compressor(gw.RandomK(0.1), memory=gw.Residual()),
    "SIDCo, Residual": lambda: gw.Compressor(gw.SIDCoExponential(0.05), memory=gw.Residual()),
    # Without momentum, what it holds and sends adds up to the gradients.
    "TopK, DGCMomentum(0)": lambda: gw.Compressor(gw.TopK(0.05), memory=gw.DGCMomentum(0.0)),
}
Gradients = dict[str, torch.Tensor]


def top_k() -> gw.Compressor:
    """A compressor whose memory holds much."""
    return gw.Compressor(gw.TopK(0.05), memory=gw.Residual())


class Weights(nn.Module):
    """Parameters whose gradients are given to ``forward``; it does not use those that have none."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(5)
        for name, shape in SIZES.items():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(torch.randn(shape)))
        self.to(dtype)

    def forward(self, gradients: Gradients) -> torch.Tensor:
        named = dict(self.named_parameters())
        return sum((named[n] * g.to(named[n].dtype)).sum() for n, g in gradients.items())


def gradients_of(step: int, scale: float) -> Gradients:
    """Of this rank: some parameters are unused on all ranks, or on some; some elements always."""
    rank = dist.get_rank()
    generator = torch.Generator().manual_seed(104729 * step + rank)
    found = {}
    for name, shape in SIZES.items():
        size = torch.rand(shape, generator=generator) ** 3
        found[name.replace(".", "_")] = scale * size * torch.randn(shape, generator=generator)
    found["masked"][:, ::3] = 0
    del found[f"expert_{step % 2}"]  # by no rank
    if step % 3 != rank % 3:
        del found["rare"]  # by some ranks, or none
    return found


class Count:
    """Adds up what was given (by plain DDP) and what arrived."""

    def __init__(self, names: list[str]) -> None:
        self.given = {name: 0.0 for name in names}
        self.arrived = {name: 0.0 for name in names}

    def add(
        self, plain: nn.Module, compressed: nn.Module, scale: float, names: Sequence[str] = ()
    ) -> None:
        """Adds the gradients of all parameters, or of those with these names."""
        for totals, model in ((self.given, plain), (self.arrived, compressed)):
            for name, p in model.named_parameters():
                if p.grad is not None and (not names or name in names):
                    totals[name] = totals[name] + p.grad.double() / scale

    def lost(self, state: gw.torch.CompressionState, weight: float) -> float:
        """The largest share of a parameter that neither arrived nor is held."""
        held = held_by_parameter(state)
        worst = 0.0
        for name, given in self.given.items():
            if isinstance(given, float):
                continue
            left = held.get(name, torch.zeros(given.shape, dtype=torch.float64))
            dist.all_reduce(left)
            left /= dist.get_world_size()
            difference = weight * given - self.arrived[name] - left
            worst = max(worst, float(difference.abs().max() / given.abs().max()))
        return worst


def closed(state: gw.torch.CompressionState, count: Count) -> float:
    """Closes a state whose gradients were counted. Only rounding may be lost; returns its share."""
    lost = count.lost(state, 1.0)
    state.close()
    assert lost < LOST, lost
    return lost


def wrapped(model: nn.Module, bucket_cap_mb: float, views: bool = False) -> DistributedDataParallel:
    return DistributedDataParallel(
        model,
        bucket_cap_mb=bucket_cap_mb,
        find_unused_parameters=True,
        gradient_as_bucket_view=views,
    )


def backward(ddp: DistributedDataParallel, gradients: Gradients) -> None:
    ddp.zero_grad()
    ddp(gradients).backward()


def counted_run(
    pipeline: str, algorithm: str, fallback: bool, steps: int, events: bool = True
) -> float:
    """The share that is lost over a run with all that may happen: 0, up to rounding.

    Events: the loss scale changes up and down, steps are skipped because one rank overflows, and
    half way a checkpoint goes on in another model, with buckets of other sizes.
    """
    scale = [1024.0]
    models = [Weights(), Weights()]
    plain = wrapped(models[0], 0.04)

    def hooked(cap: float) -> tuple[DistributedDataParallel, gw.torch.CompressionState]:
        ddp = wrapped(models[1], cap)
        state = gw.torch.CompressionState(
            None,
            PIPELINES[pipeline](),
            algorithm,
            fallback=fallback,
            loss_scale=lambda: scale[0],
        )
        if fallback:  # each bucket goes now compressed, now plain: not as the clock decides
            state.tuner.compresses = lambda bucket: (5 * bucket + 3 * state.steps) % 7 < 4
        ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
        return ddp, state

    ddp, state = hooked(0.04)
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(steps):
        gradients = gradients_of(step, scale[0])
        overflows = events and step % 17 == 11
        if overflows and dist.get_rank() == step % dist.get_world_size():
            gradients["head"][3, 4] = torch.inf
        backward(plain, gradients)
        backward(ddp, gradients)
        finite = all(p.grad is None or p.grad.isfinite().all() for p in models[1].parameters())
        assert finite == (not overflows)
        if finite:
            count.add(*models, scale[0])
        if events and step == steps // 2:
            saved = state.state_dict()
            state.close()
            ddp, state = hooked(0.011)
            state.load_state_dict(saved)
        if events and step % 10 == 9:
            scale[0] *= (2.0, 0.25, 8.0, 0.0625)[step // 10 % 4]
    weight = 0.5 if "EFSign(" in pipeline else 1.0
    lost = count.lost(state, weight)
    state.close()
    return lost
