"""Passes that are unlike others: more of what the ranks of test_torch.py do."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import assert_same_on_all_ranks, expect, flat, network, train, wrap

import gradwire as gw
from gradwire.torch import groups

HOOK = gw.torch.compressed_allreduce


def residual() -> gw.Compressor:
    return gw.Compressor(gw.QSGD(4), memory=gw.Residual())


class Mixed(nn.Module):
    """Parameters of two dtypes, which DDP puts into different buckets."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Linear(100, 100)
        self.second = nn.Linear(100, 10, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).double())


def case_static_graphs_of_two_dtypes() -> None:
    """In their first pass, DDP says of each bucket that it is the first and not the last."""

    def with_rule() -> dict[str, Any]:
        return {"rules": {"second.*": gw.Compressor(gw.Lossless())}}

    for make in (dict, lambda: {"exclude": "second.*"}, with_rule):
        ddp = DistributedDataParallel(Mixed(), static_graph=True)
        state = gw.torch.CompressionState(compressor=residual(), fallback=False, **make())
        ddp.register_comm_hook(state, HOOK)
        train(ddp, 3)  # so that the buckets are those of all later passes
        saved = [copy.deepcopy(ddp.module.state_dict()), state.state_dict()]
        train(ddp, 3, first=3)
        assert state.steps == 6
        assert_same_on_all_ranks(ddp.module)
        again = DistributedDataParallel(Mixed(), static_graph=True)
        resumed = gw.torch.CompressionState(compressor=residual(), fallback=False, **make())
        again.register_comm_hook(resumed, HOOK)
        again.module.load_state_dict(saved[0])
        resumed.load_state_dict(saved[1])
        train(again, 3, first=3)
        assert torch.equal(flat(ddp.module), flat(again.module)), make


def case_functions_that_differ() -> None:
    """Ranks whose functions decide differently are told so; parameters are not mixed up."""
    rank = dist.get_rank()
    ddp = wrap(network())
    state = gw.torch.CompressionState(
        fallback=False, exclude=lambda name, p: name == f"{2 * rank}.weight"
    )
    ddp.register_comm_hook(state, HOOK)
    told = ["different rules", "decide alike", "0.weight"]
    expect(ValueError, told, lambda: ddp(torch.ones(2, 100)).sum().backward())


def case_fused_optimizer_and_rules() -> None:
    """A step that a scaler has a fused optimizer skip is undone in all lanes."""
    rules = {"2.*": gw.Compressor(gw.TopK(0.1), memory=gw.Residual())}
    ddp = wrap(network())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    state = gw.torch.CompressionState(
        compressor=residual(), fallback=False, rules=rules, loss_scale=scaler.get_scale
    )
    ddp.register_comm_hook(state, HOOK)
    optimizer = torch.optim.Adam(ddp.parameters(), fused=True)
    x = torch.randn(8, 100, generator=torch.Generator().manual_seed(dist.get_rank()))
    for step in range(4):
        before = state.state_dict()
        optimizer.zero_grad()
        loss = ddp(x).square().sum()
        if step == 3:
            loss = loss + next(ddp.parameters()).sum() * float("inf")
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    after = state.state_dict()
    for first, second in zip([before, *before["lanes"]], [after, *after["lanes"]]):
        for name, tensor in first["tensors"].items():
            now = second["tensors"][name]["arrays"][""]
            assert torch.equal(tensor["arrays"][""], now), name


class Chosen(nn.Module):
    """Uses some of eight layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.ModuleList([nn.Linear(30, 30, bias=False) for _ in range(8)])

    def forward(self, x: torch.Tensor, used: str) -> torch.Tensor:
        return sum(layer(x) for layer, mark in zip(self.layers, used) if mark == "1")


def case_marks_are_no_weights() -> None:
    """An overflow is NaN whatever parameters were used: eight marks may look like a letter."""
    for used in ("01010111", "11101010", "11010111"):
        ddp = DistributedDataParallel(Chosen(), find_unused_parameters=True)
        state = gw.torch.CompressionState(compressor=residual(), fallback=False)
        ddp.register_comm_hook(state, HOOK)
        ddp(torch.ones(2, 30), "1" * 8).sum().backward()
        ddp.zero_grad()
        factor = float("inf") if dist.get_rank() == 0 else 1.0
        (factor * ddp(torch.ones(2, 30), used).sum()).backward()
        grads = [p.grad for p in ddp.parameters() if p.grad is not None]
        assert any(not grad.isfinite().all() for grad in grads)


def case_a_copied_state_has_the_same_scaler() -> None:
    """A lazy state that is copied reads the scale of the scaler that is updated."""
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    state = gw.torch.CompressionState(loss_scale=scaler.get_scale)
    settings = copy.deepcopy(state._settings)
    assert settings.loss_scale.__self__ is scaler
    assert pickle.loads(pickle.dumps(settings)).loss_scale() == 8.0


def case_garbage_while_ranks_meet() -> None:
    """Garbage collection may end a state while another one is made, in the same thread."""
    holder: list[Any] = [gw.torch.CompressionState()]
    holder.append(holder)
    meet = groups.exchange_words

    def collects(*arguments: Any) -> list[str]:
        gc.collect()
        return meet(*arguments)

    groups.exchange_words = collects
    del holder
    try:
        states = [gw.torch.CompressionState(fallback=False) for _ in range(2)]
    finally:
        groups.exchange_words = meet
    for state in states:
        ddp = wrap(network())
        ddp.register_comm_hook(state, HOOK)
        train(ddp, 2)
        assert_same_on_all_ranks(ddp.module)


def case_switched_back() -> None:
    """Switching ``enabled`` on and off between two passes is nothing to wait for."""
    ddp = wrap(network())
    state = gw.torch.CompressionState(fallback=False)
    ddp.register_comm_hook(state, HOOK)
    train(ddp, 1)
    if dist.get_rank() == 0:
        state.enabled = False
        state.enabled = True
    train(ddp, 1, first=1)
    assert_same_on_all_ranks(ddp.module)
