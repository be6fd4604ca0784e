"""Where states end, and what they refuse. Cases of test_nothing_lost.py, on all ranks."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from nothing_lost_training import top_k
from torch import nn
from torch_training import expect, hooked, wrap

import gradwire as gw

Case = Callable[[], float]


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
            name: {**held, "arrays": {k: a.numpy() for k, a in held["arrays"].items()}}
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
    return {
        "closed": case_closed,
        "largest-numbers": case_largest_numbers_by_fallback,
        "users-of-communicators": case_users_of_communicators,
    }
