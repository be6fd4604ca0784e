"""Where steps end: several backward passes, skips and errors in a step; and where states end.

Cases of test_nothing_lost.py, on all ranks.
"""

from __future__ import annotations

import copy
import gc
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from nothing_lost_training import LOST, Count, Weights, gradients_of, wrapped
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import ALGORITHMS, data, expect, hooked, network, train, wrap

import gradwire as gw

Case = Callable[[], float]


def top_k() -> gw.Compressor:
    return gw.Compressor(gw.TopK(0.05), memory=gw.Residual())


def pair(algorithm: str) -> tuple[list[Any], list[DistributedDataParallel], Any]:
    """The same weights under plain DDP and with the hook."""
    models = [Weights(), Weights()]
    state = gw.torch.CompressionState(None, top_k(), algorithm, fallback=False)
    both = [wrapped(model, 0.04) for model in models]
    both[1].register_comm_hook(state, gw.torch.compressed_allreduce)
    return models, both, state


def case_two_passes(algorithm: str) -> float:
    """Two backward passes before each update, as of a GAN; overflow in one skips both."""
    models, both, state = pair(algorithm)
    optimizers = [torch.optim.SGD(model.parameters(), 1e-3) for model in models]
    count = Count([name for name, _ in models[0].named_parameters()])
    unused = {name: 0.01 * p.detach() for name, p in models[0].named_parameters()}
    for step in range(40):
        for ddp in both:
            ddp.zero_grad()
        for part in range(2):
            gradients = {**unused, **gradients_of(2 * step + part, 1.0)}
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
    lost = count.lost(state, 1.0)
    state.close()
    assert lost < LOST, lost
    return lost


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


def case_an_error_in_a_bucket() -> float:
    """Memory is as before the step, also that of buckets that were through."""
    ddp, state = hooked(network(), top_k())
    train(ddp, 4)
    before = copy.deepcopy(state.state_dict())
    compress = state.compressor.compress

    def failing(x: Any, name: str, untouched: Any) -> Any:
        if name == "1":
            raise MemoryError("no room")
        return compress(x, name, untouched)

    state.compressor.compress = failing
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


def case_closed() -> float:
    """What is closed says so, and keeps neither threads nor descriptors."""

    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    kept: list[Any] = []

    def use() -> None:
        ddp, state = hooked(nn.Linear(70, 70), top_k())
        ddp(torch.ones(3, 70)).sum().backward()
        communicator = gw.torch.Communicator(top_k())
        communicator.step(torch.ones(9), "x")
        for one in (state, communicator):
            one.close()
            one.close()
        kept.extend([ddp, state, communicator])

    use()
    before = descriptors()
    for _ in range(30):
        use()
    assert descriptors() <= before, (descriptors(), before)
    _, state, communicator = kept[:3]
    for work in (
        state.state_dict,
        state.skip_step,
        communicator.state_dict,
        lambda: communicator.step(torch.ones(9), "x"),
        lambda: communicator.skip_step(["x"]),
        lambda: communicator.load_state_dict({"tensors": {}}),
    ):
        expect(RuntimeError, ["was closed"], work)
    return 0.0


def case_largest_numbers_by_fallback() -> float:
    """What memory adds to a plain bucket does not make it infinite."""
    model = nn.Linear(100, 100, bias=False)
    state = gw.torch.CompressionState(None, top_k())
    choice = [True]
    state.tuner.compresses = lambda bucket: choice[0]
    ddp = wrap(model)
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    x = torch.eye(100)
    for compressed in (True, True, False):
        choice[0] = compressed
        ddp.zero_grad()
        ddp(x).backward(torch.full((100, 100), 3e38))
        assert model.weight.grad.isfinite().all()
    assert state.saturated > 0
    state.close()
    return 0.0


def case_users_of_communicators() -> float:
    """Tensors that are none, ranks that have no part, compressors that have been used."""
    used = top_k()
    used.compress(np.ones(100, np.float32))
    expect(ValueError, ["in use already", "reset()"], lambda: gw.torch.Communicator(used))
    used.reset()
    group = dist.new_group([0])
    if dist.get_rank() > 0:
        expect(
            ValueError, ["not in this process group"], lambda: gw.torch.Communicator(used, group)
        )
    with gw.torch.Communicator(used) as communicator:
        for tensor, text in (
            (torch.eye(50).to_sparse(), "to_dense()"),
            (torch.empty(5, device="meta"), "no elements"),
        ):
            expect(TypeError, [text], partial(communicator.step, tensor, "x"))
        expect(TypeError, ["pass ['x']"], lambda: communicator.skip_step("x"))
        communicator.step(torch.ones(100), "x")
        saved = communicator.state_dict()
        tensors = {
            name: {**held, "arrays": {k: torch.from_numpy(a) for k, a in held["arrays"].items()}}
            for name, held in saved["tensors"].items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            communicator.load_state_dict({**saved, "tensors": tensors})
    return 0.0


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    if world != 2:
        return {}
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS:
        cases[f"two-passes-{algorithm}"] = partial(case_two_passes, algorithm)
        cases[f"skips-by-hand-{algorithm}"] = partial(case_skips_by_hand, algorithm)
        cases[f"votes-and-loss-scale-{algorithm}"] = partial(case_votes_and_loss_scale, algorithm)
    cases["error-in-a-bucket"] = case_an_error_in_a_bucket
    cases["refused-checkpoint"] = case_a_refused_checkpoint
    cases["closed"] = case_closed
    cases["largest-numbers"] = case_largest_numbers_by_fallback
    cases["users-of-communicators"] = case_users_of_communicators
    return cases
