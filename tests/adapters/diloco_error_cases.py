"""Local steps that go wrong: more of what the ranks of test_diloco.py do."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from diloco_training import DiLoCoRun, nesterov
from torch import nn
from torch_training import PIPELINES, assert_same_on_all_ranks, expect, flat, network, wrap

import gradwire as gw

Case = Callable[[], None]


def make(**options: Any) -> DiLoCoRun:
    """A run whose rounds have two steps."""
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    return DiLoCoRun(network(), compressor, **{"every": 2, **options})


def case_not_finite() -> None:
    """NaN on one rank is an error on all ranks, and changes neither weights nor memory."""
    run = make()
    run.train(2)
    before, wanted = run.diloco.state_dict(), flat(run.model)
    bad = dist.get_world_size() - 1
    run.train(1)
    if dist.get_rank() == bad:
        with torch.no_grad():
            run.model[2].weight[3, 4] = torch.nan
    told = [f"weights of rank {bad} are not finite (parameter 2.weight)", "checkpoint"]
    expect(RuntimeError, told, run.diloco.step)
    after = run.diloco.state_dict()
    for name, weight in before["weights"].items():
        assert torch.equal(weight, after["weights"][name])
        arrays = [one["tensors"][name]["arrays"][""] for one in (before, after)]
        assert torch.equal(*arrays)
    run.diloco.load_state_dict(before)
    assert torch.equal(flat(run.model), wanted)
    run.train(2)
    assert_same_on_all_ranks(run.model)
    run.close()


def case_other_numbers_of_steps() -> None:
    """Ranks that have made other numbers of steps are named on all ranks."""
    run = make(every=10)
    run.train(3 + dist.get_rank())
    told = ["rank 0 has called finish() after 3 steps", "rank 1 finish() after 4", "same number"]
    expect(RuntimeError, told, run.diloco.finish)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.close()
    told = f"{3 + dist.get_rank()} steps after its last outer step"
    assert told in str(caught[0].message) and len(caught) == 1
    run = make(every=3)
    run.train(2)
    step = run.diloco.finish if dist.get_rank() == 1 else run.diloco.step
    told = ["rank 0 has called step() after 3 steps", "rank 1 finish() after 2"]
    expect(RuntimeError, told, step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.close()


def case_other_outer_weights() -> None:
    """An outer schedule on one rank alone is noticed at the next round."""
    run = make()
    if dist.get_rank() == 1:
        run.diloco.outer.param_groups[0]["lr"] = 0.1
    run.train(2)
    expect(RuntimeError, ["outer weights of rank 0 and rank 1 differ"], lambda: run.train(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.close()


def case_frozen_on_the_way() -> None:
    """Freezing a parameter needs a new object; the old one says so on all ranks."""
    run = make()
    run.train(2)
    if dist.get_rank() == 0:
        run.model[0].bias.requires_grad_(False)
    told = ["on rank 0, parameters were added, removed or frozen", "(0.bias)", "finish()"]
    expect(RuntimeError, told, lambda: run.train(2))
    run.model[0].bias.requires_grad_(True)
    run.diloco.finish()
    run.model[0].bias.requires_grad_(False)
    run.close()
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    again = gw.torch.DiLoCo(run.model, None, nesterov, compressor, every=2)
    assert "0.bias" not in again.state_dict()["weights"]
    again.close()


def case_damage() -> None:
    """A damaged frame names its sender; the round can be tried again from where it was."""
    run = make(algorithm="allgather")
    run.train(2)
    before = run.diloco.state_dict()
    allgather = run.diloco.averager.exchange.allgather
    calls = []

    def damage(frame: Any, limit: int) -> Any:
        received = [np.array(one) for one in allgather(frame, limit)]
        calls.append(limit)
        if len(calls) == 3:  # the second frame; words come first
            received[1][received[1].size // 2] ^= 1
        return received

    run.diloco.averager.exchange.allgather = damage
    text = "the frame that rank 1 sent cannot be decoded"
    expect(gw.CorruptFrameError, [text], lambda: run.train(2))
    after = run.diloco.state_dict()
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor["arrays"][""], after["tensors"][name]["arrays"][""])
        assert torch.equal(before["weights"][name], after["weights"][name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.close()
    dist.barrier()


def case_lost_connection() -> None:
    """The error of a collective says where to look."""
    run = make()

    def fail(frame: Any, limit: int) -> Any:
        raise RuntimeError("Connection closed by peer")

    run.train(1)
    run.diloco.averager.exchange.allgather = fail
    told = [f"rank {dist.get_rank()} could not exchange frames", "Connection closed", "other ranks"]
    expect(RuntimeError, told, run.diloco.step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.close()
    dist.barrier()


def case_other_settings() -> None:
    """Ranks that are configured differently are told what differs."""
    rank = dist.get_rank()
    expect(ValueError, ["different settings", "every: 2 and 3"], lambda: make(every=2 + (rank > 0)))
    outer = partial(torch.optim.SGD, lr=0.7 if rank == 0 else 0.5)
    expect(ValueError, ["outer:", "'lr': 0.5"], lambda: make(outer=outer))
    model = nn.Linear(10, 3 + (rank > 0))
    compressor = gw.Compressor(gw.QSGD(4))
    text = ["model:", "2 tensors, 33 elements", "2 tensors, 44 elements"]
    expect(ValueError, text, lambda: DiLoCoRun(model, compressor, every=2))


def case_wrong_use() -> None:
    """Errors that say what to write."""
    model = network()
    diloco = gw.torch.DiLoCo
    good = gw.Compressor(gw.QSGD(4))
    inner = torch.optim.AdamW(model.parameters())
    expect(TypeError, ["gw.Compressor, got"], lambda: diloco(model, None, nesterov, inner, every=2))
    expect(TypeError, ["inner must be"], lambda: diloco(model, nesterov, inner, good, every=2))
    expect(ValueError, ["not be the outer"], lambda: diloco(model, inner, inner, good, every=2))
    expect(
        ValueError, ["every must be at least 1"], lambda: diloco(model, None, inner, good, every=0)
    )
    of_another = torch.optim.AdamW(network().parameters())
    told = ["no parameter of the model", "model.parameters()"]
    expect(ValueError, told, lambda: diloco(model, of_another, nesterov, good, every=2))
    told = ["under DistributedDataParallel", "model.module"]
    expect(TypeError, told, lambda: diloco(wrap(network()), None, nesterov, good, every=2))
    for name in ("signsgd", "efsign", "topk-dgc"):
        told = ["another kind of update", "gw.QSGD(16)"]
        bad = PIPELINES[name]()
        expect(ValueError, told, lambda bad=bad: diloco(model, None, nesterov, bad, every=2))
    scaled = gw.Compressor(gw.QSGD(4), loss_scale=lambda: 2.0)
    expect(
        ValueError, ["without loss_scale"], lambda: diloco(model, None, nesterov, scaled, every=2)
    )
    expect(
        TypeError, ["outer must be an optimizer"], lambda: diloco(model, None, 0.7, good, every=2)
    )
    few = nesterov(list(model.parameters())[:-1])
    expect(
        ValueError,
        ["lacks parameter 6.bias (1 in all)"],
        lambda: diloco(model, None, few, good, every=2),
    )
    model(torch.ones(2, 100)).sum().backward()
    inner.step()
    expect(ValueError, ["has made steps"], lambda: diloco(model, None, inner, good, every=2))
    frozen = nn.Linear(3, 3).requires_grad_(False)
    expect(ValueError, ["no parameter"], lambda: diloco(frozen, None, nesterov, good, every=2))
    expect(ValueError, ["take one of: auto"], lambda: make(algorithm="ring"))


def case_inner_optimizer_as_outer() -> None:
    """An inner optimizer that was passed as the outer one no longer changes the model."""
    model = network()
    inner = torch.optim.AdamW(model.parameters())
    diloco = gw.torch.DiLoCo(model, None, inner, gw.Compressor(gw.QSGD(4)), every=1)
    model(torch.ones(2, 100)).sum().backward()
    inner.step()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        diloco.step()
    assert "pass the inner optimizer" in str(caught[0].message)
    assert caught[0].filename == __file__
    diloco.close()


def case_end() -> None:
    """The end of a block, close() and garbage collection end the threads."""
    before = set(threading.enumerate())
    with make().diloco as diloco:
        assert set(threading.enumerate()) == before  # they begin with the first round
    expect(RuntimeError, ["closed"], diloco.step)
    expect(RuntimeError, ["closed"], diloco.finish)
    expect(RuntimeError, ["closed"], diloco.state_dict)
    diloco.close()
    run = make()
    run.train(2)
    compressor = run.diloco.averager.compressor
    assert len(set(threading.enumerate()) - before) == 2
    run.close()
    assert set(threading.enumerate()) == before
    run = DiLoCoRun(network(), compressor, every=2)  # close() has released it
    run.train(2)
    threads = set(threading.enumerate()) - before
    del run
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    dist.barrier()


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    return {name: case for name, case in globals().items() if name.startswith("case_")}
