"""Old gradients of parameters that a step does not use. Cases of test_nothing_lost.py."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from nothing_lost_training import Count, Weights, closed, gradients_of, top_k, wrapped
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import ALGORITHMS

import gradwire as gw

Case = Callable[[], float]


def compressed(
    ddp: DistributedDataParallel,
    algorithm: str,
    fallback: bool,
    loss_scale: Callable[[], float] | None = None,
) -> gw.torch.CompressionState:
    """The state of a model. With ``fallback``, each bucket goes now compressed, now plain."""
    state = gw.torch.CompressionState(
        None, top_k(), algorithm, fallback=fallback, loss_scale=loss_scale
    )
    if fallback:
        state.tuner.compresses = lambda bucket: (5 * bucket + 3 * state.steps) % 7 < 4
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    return state


def case_old_gradients(algorithm: str, views: bool, fallback: bool) -> float:
    """Each parameter has an optimizer, which steps and clears its gradient if a rank has used it.

    "rare" is never cleared: ranks that have not used it add its old gradient. Unused parameters are
    frozen in some steps, and so not seen by DDP.
    """
    models = [Weights(), Weights()]
    both = [wrapped(model, 0.04, views) for model in models]
    state = compressed(both[1], algorithm, fallback)
    parameters = [dict(model.named_parameters()) for model in models]
    optimizers = {n: torch.optim.SGD([p], 1e-6) for n, p in parameters[1].items()}
    count = Count(list(parameters[0]))
    for step in range(36):
        unused = [f"expert_{step % 2}", *(["rare"] if step % 3 == 2 else [])]
        used = [name for name in parameters[0] if name not in unused]
        before = [p[n].grad.clone() for n in unused for p in parameters if p[n].grad is not None]
        for ddp, own in zip(both, parameters):
            for name, parameter in own.items():
                parameter.requires_grad_(name in used or step % 4 < 2)
                if name in used and name != "rare":
                    parameter.grad = None
            ddp(gradients_of(step, 1.0)).backward()
        after = [p[n].grad for n in unused for p in parameters if p[n].grad is not None]
        assert len(before) == len(after), step
        assert all(torch.equal(*pair) for pair in zip(before, after)), step
        count.add(*models, 1.0, [name for name in used if name != "rare"])
        for name in used:
            optimizers[name].step()
    count.add(*models, 1.0, ["rare"])
    return closed(state, count)


def case_old_overflows(algorithm: str, views: bool, fallback: bool) -> float:
    """Two optimizers take turns, and clear their gradients only; one leaves an overflow behind."""
    models = [Weights(), Weights()]
    both = [wrapped(model, 0.04, views) for model in models]
    scalers = [torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=5) for _ in models]
    state = compressed(both[1], algorithm, fallback, scalers[1].get_scale)
    turns = (("expert_0", "expert_1", "head"), ("shared", "masked", "rare", "small"))
    optimizers = [
        [torch.optim.SGD([getattr(m, n) for n in names], 1e-6) for names in turns] for m in models
    ]
    count = Count([name for names in turns for name in names])
    for step in range(36):
        turn = step // 2 % 2
        gradients = {n: g for n, g in gradients_of(step, 1.0).items() if n in turns[turn]}
        overflows = step % 7 == 4
        if overflows and dist.get_rank() == 0:
            gradients[turns[turn][-1]].view(-1)[3] = torch.inf
        for ddp, scaler, own in zip(both, scalers, optimizers):
            own[turn].zero_grad()
            scaler.scale(ddp(gradients)).backward()
        fresh = [p.grad for p in optimizers[1][turn].param_groups[0]["params"]]
        finite = all(gradient is None or gradient.isfinite().all() for gradient in fresh)
        assert finite == (not overflows), step
        if finite:
            count.add(*models, scalers[1].get_scale(), turns[turn])
        for scaler, own in zip(scalers, optimizers):
            scaler.step(own[turn])
            scaler.update()
    return closed(state, count)


def case_overflow_before_a_pass_without_it(algorithm: str, views: bool, fallback: bool) -> float:
    """The first of two passes overflows, and the second does not use that parameter: no update."""
    models = [Weights(), Weights()]
    both = [wrapped(model, 0.04, views) for model in models]
    state = compressed(both[1], algorithm, fallback)
    optimizers = [torch.optim.SGD(model.parameters(), 1e-6) for model in models]
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(20):
        first, second = gradients_of(2 * step, 1.0), gradients_of(2 * step + 1, 1.0)
        del second["head"]
        overflows = step % 5 == 3
        if overflows and dist.get_rank() == 0:
            first["head"][3, 4] = torch.inf
        for ddp in both:
            ddp.zero_grad()
            ddp(first).backward()
            ddp(second).backward()
        finite = all(p.grad is None or p.grad.isfinite().all() for p in models[1].parameters())
        assert finite == (not overflows), step
        if finite:
            count.add(*models, 1.0)
            for optimizer in optimizers:
                optimizer.step()
    return closed(state, count)


class TwoHeads(nn.Module):
    """Its outputs are a tuple, and the loss may leave one of them out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Parameter(torch.randn(7000))
        self.second = nn.Parameter(torch.randn(7000))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (self.first * x).sum(), (self.second * x).sum()


def case_wrapped_anew(algorithm: str, views: bool, fallback: bool) -> float:
    """A model is wrapped anew with the same state, once a layer that was frozen is thawed."""
    models = [Weights(), Weights()]
    for model in models:
        model.head.requires_grad_(False)
    both = [wrapped(model, 0.04, views) for model in models]
    state = compressed(both[1], algorithm, fallback)
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(20):
        if step == 6:
            for model in models:
                model.head.requires_grad_(True)
        if step in (8, 14):
            both.clear()
            gc.collect()
            both = [wrapped(model, 0.04, views) for model in models]
            both[1].register_comm_hook(state, gw.torch.compressed_allreduce)
        for ddp in both:
            ddp.zero_grad()
            ddp(gradients_of(step, 1.0)).backward()
        count.add(*models, 1.0, [n for n in count.given if n != "head" or step >= 8])
    return closed(state, count)


def case_outputs_left_out(algorithm: str, views: bool, fallback: bool) -> float:
    """DDP counts the parameters of an output that is not in the loss as used if they have an old
    gradient: it is averaged again, even if it differs among ranks."""
    models = [TwoHeads(), TwoHeads()]
    both = [wrapped(model, 0.02, views) for model in models]
    state = compressed(both[1], algorithm, fallback)
    count = Count(["first", "second"])
    for step in range(20):
        generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
        x = torch.randn(7000, generator=generator)
        for ddp in both:
            first, second = ddp(x)
            ddp.module.first.grad = None  # and "second" is never cleared
            if step % 3 == 1:
                ddp.module.second.grad += dist.get_rank()
            (first + second if step % 3 == 0 else first).backward()
        count.add(*models, 1.0, ["first"])
        one = models[1].second.grad.clone()
        dist.broadcast(one, 0)
        assert torch.equal(one, models[1].second.grad), step
    count.add(*models, 1.0, ["second"])
    return closed(state, count)


def case_a_new_state_over_old_gradients(algorithm: str, views: bool, fallback: bool) -> float:
    """A state goes on from a checkpoint while the model still has old gradients."""
    models = [Weights(), Weights()]
    both = [wrapped(model, 0.04, views) for model in models]
    state = compressed(both[1], algorithm, fallback)
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(20):
        if step % 6 == 5:
            saved = state.state_dict()
            state.close()
            both[1] = wrapped(models[1], 0.04, views)
            state = compressed(both[1], algorithm, fallback)
            state.load_state_dict(saved)
        gradients = gradients_of(step, 1.0)
        used = [name for name in gradients if name != "rare"]
        for ddp, model in zip(both, models):
            for name, parameter in model.named_parameters():
                if name in used:
                    parameter.grad = None
            ddp({name: gradients[name] for name in used}).backward()
        count.add(*models, 1.0, used)
    return closed(state, count)


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {}
    kinds = {
        "old-gradients": case_old_gradients,
        "old-overflows": case_old_overflows,
        "overflow-before-a-pass-without-it": case_overflow_before_a_pass_without_it,
        "outputs-left-out": case_outputs_left_out,
        "wrapped-anew": case_wrapped_anew,
        "new-state-over-old-gradients": case_a_new_state_over_old_gradients,
    }
    variants = (("", False, False), ("-in-views", True, False), ("-with-fallback", False, True))
    for algorithm in ALGORITHMS if world == 2 else ():
        for variant, views, fallback in variants:
            for name, case in kinds.items():
                whole_name = f"{name}{variant}-{algorithm}"
                cases[whole_name] = partial(case, algorithm, views, fallback)
    return cases
