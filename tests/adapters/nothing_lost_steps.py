"""Where steps end: several backward passes, skips and errors in a step.

Cases of test_nothing_lost.py, on all ranks.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from nothing_lost_training import LOST, Count, Weights, closed, gradients_of, top_k, wrapped
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import ALGORITHMS, data, expect, hooked, network, train, wrap

import gradwire as gw

Case = Callable[[], float]


def pair(algorithm: str) -> tuple[list[Any], list[DistributedDataParallel], Any]:
    """The same weights under plain DDP and with the hook."""
    models = [Weights(), Weights()]
    state = gw.torch.CompressionState(None, top_k(), algorithm, fallback=False)
    both = [wrapped(model, 0.04) for model in models]
    both[1].register_comm_hook(state, gw.torch.compressed_allreduce)
    return models, both, state


def case_two_passes(algorithm: str, fused: bool) -> float:
    """Two backward passes before each update, as of a GAN; overflow in one skips both.

    Fused optimizers leave no trace in the versions of parameters.
    """
    models, both, state = pair(algorithm)
    optimizers = [torch.optim.SGD(model.parameters(), 1e-3, fused=fused) for model in models]
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(40):
        for ddp in both:
            ddp.zero_grad()
        for part in range(2):
            gradients = gradients_of(2 * step + part, 1.0)
            if step > 2 and step % 5 == 2 + part and dist.get_rank() == 0:
                gradients["head"][3, 4] = torch.inf
            for ddp in both:
                ddp(gradients).backward()
        finite = all(p.grad is None or p.grad.isfinite().all() for p in models[1].parameters())
        assert finite == (step <= 2 or step % 5 not in (2, 3))
        if finite:
            count.add(*models, 1.0)
            for optimizer in optimizers:
                optimizer.step()
    return closed(state, count)


def case_new_buckets_in_a_step(algorithm: str) -> float:
    """DDP rebuilds its buckets between two passes of the first step; the second one overflows.

    A step before it, in another process so to speak, has left memory in the checkpoint.
    """
    ddp, state = hooked(network(), top_k(), algorithm)
    x = data(dist.get_rank())[0]
    ddp(x).square().sum().backward()
    saved = state.state_dict()
    state.close()
    for loads in (False, True):
        ddp, state = hooked(network(), top_k(), algorithm)
        if loads:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # memory is redistributed
                state.load_state_dict([saved], strict=False)
        before = copy.deepcopy(state.state_dict()["tensors"])
        optimizer = torch.optim.SGD(ddp.parameters(), 1e-3)
        layouts = []
        for part in range(2):
            loss = ddp(x).square().sum()
            (loss * torch.inf if part == 1 and dist.get_rank() == 0 else loss).backward()
            layouts.append(state._session.lanes[0].buckets.layouts())
        assert layouts[0] != layouts[1], "DDP has not rebuilt its buckets"
        after = state.state_dict()["tensors"]
        assert before.keys() == after.keys(), (before.keys(), after.keys())
        for name, tensor in before.items():
            for kind, array in tensor["arrays"].items():
                assert torch.equal(array, after[name]["arrays"][kind]), name
        optimizer.zero_grad()
        state.close()
    return 0.0


def case_skips_by_hand(algorithm: str) -> float:
    """With a look at the memory before; whether an optimizer updates parameters, or nobody."""
    worst = 0.0
    for updates in (False, True):
        models, both, state = pair(algorithm)
        count = Count([name for name, _ in models[0].named_parameters()])
        for step in range(30):
            for ddp in both:
                ddp.zero_grad()
                ddp(gradients_of(step, 1.0)).backward()
            if step % 4 == 3:
                state.state_dict()
                state.skip_step()
                continue
            count.add(*models, 1.0)
            if updates:
                torch.optim.SGD(models[1].parameters(), 1e-3).step()
        worst = max(worst, count.lost(state, 1.0))
        state.close()
    assert worst < LOST, worst
    return worst


def case_updates_that_do_not_show() -> float:
    """By way of parameter.data: each pass is a step, also after one change that shows."""
    models, both, state = pair("allgather")
    count = Count([name for name, _ in models[0].named_parameters()])
    for step in range(40):
        gradients = gradients_of(step, 1.0)
        if step % 10 == 9 and dist.get_rank() == 0:
            gradients["head"][3, 4] = torch.inf
        for ddp in both:
            ddp.zero_grad()
            ddp(gradients).backward()
        if step % 10 == 9:
            continue
        count.add(*models, 1.0)
        for p in models[1].parameters():
            p.data -= 1e-3 * (0 if p.grad is None else p.grad)
        if step == 10:
            with torch.no_grad():
                models[1].small.clamp_(-5, 5)
    return closed(state, count)


class Failing(torch.autograd.Function):
    """Raises in the backward pass when it is told to."""

    fails = False

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        if Failing.fails:
            raise RuntimeError("out of memory")
        return gradient


def case_an_error_in_the_backward_pass() -> float:
    """Memory is as before the step, also that of buckets that have been averaged."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(100, 100), nn.Linear(100, 100)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(Failing.apply(self.first(x)))

    ddp, state = hooked(Model(), top_k())
    optimizer = torch.optim.SGD(ddp.parameters(), 1e-3)
    for _ in range(4):
        optimizer.zero_grad()
        ddp(data(dist.get_rank())[0]).square().sum().backward()
        optimizer.step()
    before = copy.deepcopy(state.state_dict())
    Failing.fails = True
    expect(
        RuntimeError,
        ["out of memory"],
        lambda: ddp(data(dist.get_rank())[0]).square().sum().backward(),
    )
    Failing.fails = False
    after = state.state_dict()
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor["arrays"][""], after["tensors"][name]["arrays"][""]), name
    state.close()
    return 0.0


def case_overflow_after_a_flush() -> float:
    """Two plain passes: the first takes along what memory holds, the second overflows."""
    model = nn.Linear(100, 100, bias=False)
    state = gw.torch.CompressionState(None, top_k())
    compressed = [True]
    state.tuner.compresses = lambda bucket: compressed[0]
    ddp = wrap(model)
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    x = data(dist.get_rank())[0]
    for _ in range(4):
        optimizer.zero_grad()
        ddp(x).square().sum().backward()
        optimizer.step()
    before = copy.deepcopy(state.state_dict()["tensors"]["weight"]["arrays"][""])
    compressed[0] = False
    for factor in (1.0, torch.inf):
        (factor * ddp(x).square().sum()).backward()
    after = state.state_dict()["tensors"]["weight"]["arrays"][""]
    state.close()
    assert torch.equal(before, after)
    return 0.0


def case_an_error_in_a_bucket() -> float:
    """Memory is as before the step, also that of buckets that were through."""
    ddp, state = hooked(network(), top_k())
    train(ddp, 4)
    before = copy.deepcopy(state.state_dict())
    run_step = state.compressor.run_step
    pipeline = state._session.lanes[0].pipeline

    def failing(work: Any, name: str, *others: Any) -> Any:
        if name == "1":
            pipeline._pending[0].wait()  # otherwise the other rank may see this one leave first
            raise MemoryError("no room")
        return run_step(work, name, *others)

    state.compressor.run_step = failing
    expect(MemoryError, ["no room"], lambda: train(ddp, 1, first=4))
    after = state.state_dict()
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor["arrays"][""], after["tensors"][name]["arrays"][""]), name
    state.close()
    return 0.0


def case_a_refused_checkpoint() -> float:
    """A run goes on as if there had been no such attempt."""
    digests = []
    for attempts in (False, True):
        model = network()
        ddp, state = hooked(model, top_k())
        train(ddp, 4)
        saved = state.state_dict()
        if attempts:
            other = copy.deepcopy(saved)
            other["compressors"][0]["steps"] = {}
            other["tensors"]["9.weight"] = other["tensors"].pop("0.weight")
            load = partial(state.load_state_dict, other)
            expect(ValueError, ["which is not a parameter of this model"], load)
            load = partial(state.load_state_dict, model.state_dict())
            expect(ValueError, ["not a gradwire checkpoint"], load)
        train(ddp, 4, first=4)
        digests.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
        state.close()
    assert torch.equal(*digests)
    return 0.0


def case_votes_and_loss_scale(algorithm: str) -> float:
    """Under a scaler, votes are -1, 0 and 1 once it has divided."""
    worst = 0.0
    for quantizer in (gw.SignSGD(), gw.Signum(momentum=0.0)):
        found = []
        for scaled in (False, True):
            model = network()
            scaler = torch.amp.GradScaler("cpu", init_scale=4096.0, enabled=scaled)
            state = gw.torch.CompressionState(
                None, gw.Compressor(quantizer), algorithm, loss_scale=scaler.get_scale
            )
            ddp = wrap(model)
            ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
            optimizer = torch.optim.SGD(model.parameters(), 1e-3)
            x, y = data(0)
            scaler.scale(nn.functional.cross_entropy(ddp(x), y)).backward()
            scaler.unscale_(optimizer)
            found.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
            assert set(found[-1].unique().tolist()) <= {-1.0, 0.0, 1.0}
            state.close()
        # A scale that is a power of 2 changes no sign.
        worst = max(worst, float((found[0] - found[1]).abs().max()))
        assert worst == 0
    return worst


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    if world != 2:
        return {}
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS:
        cases[f"new-buckets-in-a-step-{algorithm}"] = partial(case_new_buckets_in_a_step, algorithm)
        cases[f"two-passes-{algorithm}"] = partial(case_two_passes, algorithm, False)
        cases[f"fused-two-passes-{algorithm}"] = partial(case_two_passes, algorithm, True)
        cases[f"skips-by-hand-{algorithm}"] = partial(case_skips_by_hand, algorithm)
        cases[f"votes-and-loss-scale-{algorithm}"] = partial(case_votes_and_loss_scale, algorithm)
    cases["updates-that-do-not-show"] = case_updates_that_do_not_show
    cases["error-in-the-backward-pass"] = case_an_error_in_the_backward_pass
    cases["overflow-after-a-flush"] = case_overflow_after_a_flush
    cases["error-in-a-bucket"] = case_an_error_in_a_bucket
    cases["refused-checkpoint"] = case_a_refused_checkpoint
    return cases
