"""Single situations of test_nothing_lost.py, on all ranks."""

from __future__ import annotations

import copy
import gc
import os
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from nothing_lost_training import Count, Weights, gradients_of
from torch import nn
from torch.distributed.algorithms.join import Join
from torch.nn.parallel import DistributedDataParallel
from torch_training import ALGORITHMS, expect, held_by_parameter, hooked, network, train, wrap

import gradwire as gw

Case = Callable[[], float]


def case_votes(algorithm: str) -> float:
    """Noise has no drift, elements that are always zero stay 0; all arrive as signs of the sum."""
    count, steps, world = 20_000, 100, dist.get_world_size()
    communicator = gw.torch.Communicator(gw.Compressor(gw.SignSGD()), algorithm=algorithm)
    total = torch.zeros(count)
    for step in range(steps):
        given = []
        for rank in range(world):
            generator = torch.Generator().manual_seed(1000 * step + rank)
            given.append(torch.randn(count, generator=generator))
            given[-1][:1000] = 0
        arrived = communicator.step(given[dist.get_rank()], "x")
        assert torch.equal(arrived, torch.stack(given).sign().sum(0).sign())
        total += arrived
    assert not total[:1000].any()
    communicator.close()
    deviation = 1 / (count * steps) ** 0.5
    drift = abs(float(total.mean())) / steps / deviation
    assert drift < 3, drift
    return drift


def case_one_compressor_one_user() -> float:
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    first = gw.torch.CompressionState(None, compressor)
    expect(ValueError, ["in use already"], lambda: gw.torch.CompressionState(None, compressor))
    expect(ValueError, ["in use already"], lambda: gw.torch.Communicator(compressor))
    first.close()
    ddp, state = hooked(network(), compressor)
    train(ddp, 3)
    state.close()
    assert not compressor.memory.names()
    expect(RuntimeError, ["was closed"], lambda: train(ddp, 1))
    return 0.0


def case_shared_parameters() -> float:
    """Names are those of the model that has the hook, also if another one has its parameters."""
    backbone = nn.Linear(100, 100)
    others = [wrap(backbone), wrap(nn.Sequential(nn.Identity(), nn.Identity(), backbone))]
    model = nn.Sequential(backbone, nn.Linear(100, 10))
    ddp, state = hooked(model, gw.Compressor(gw.TopK(0.05), memory=gw.Residual()))
    train(ddp, 2)
    names = {n for layout in state._session.lanes[0].buckets.layouts().values() for n in layout}
    assert names == {n for n, _ in model.named_parameters()} and len(others) == 2
    state.close()
    return 0.0


def case_one_state_one_model() -> float:
    ddp, state = hooked(network(), gw.Compressor(gw.QSGD(4), memory=gw.Residual()))
    second = wrap(network())
    second.register_comm_hook(state, gw.torch.compressed_allreduce)
    train(ddp, 3)
    text = "does not belong to the model that this state has served"
    try:
        train(second, 1)
    except (ValueError, RuntimeError) as error:
        assert text in str(error), error
    else:
        raise AssertionError("the bucket of a second model was taken")
    train(ddp, 1)
    state.close()
    return 0.0


def case_finite_stays_finite() -> float:
    """Large float16 gradients; a real overflow still arrives as one."""
    counted = 0
    for compressor in (gw.Compressor(gw.QSGD(4)), gw.Compressor(gw.QSGD(4), memory=gw.Residual())):
        for algorithm in ALGORITHMS:
            model = Weights(torch.float16)
            ddp, state = hooked(model, copy.deepcopy(compressor), algorithm)
            full = {name: torch.full(p.shape, 6e4) for name, p in model.named_parameters()}
            for _ in range(3):
                ddp.zero_grad()
                ddp(full).backward()
                assert all(p.grad.isfinite().all() for p in model.parameters())
            counted += state.saturated
            assert (state.saturated > 0) == ("too large for their dtype" in state.summary())
            ddp.zero_grad()
            for gradient in full.values():
                gradient[..., -1] = torch.inf if dist.get_rank() == 1 else 0.0
            ddp(full).backward()
            assert all(not p.grad.isfinite().all() for p in model.parameters())
            state.close()
    assert counted > 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        zeroing = gw.Compressor(gw.QSGD(4), nonfinite="zero")
        gw.torch.CompressionState(None, zeroing, loss_scale=lambda: 1.0).close()
    assert any("loss scaler" in str(warning.message) for warning in caught)
    return 0.0


def sparse_state(algorithm: str) -> tuple[DistributedDataParallel, gw.torch.CompressionState]:
    compressor = gw.Compressor(gw.TopK(0.05), memory=gw.Residual())
    return hooked(Weights(), compressor, algorithm, find_unused_parameters=True)


def case_shared_out(algorithm: str) -> float:
    """A checkpoint of another rank or world size is refused, or shared out on request."""
    rank, world = dist.get_rank(), dist.get_world_size()
    ddp, state = sparse_state(algorithm)
    for step in range(6):
        ddp(gradients_of(step, 1.0)).backward()
    saved: list[Any] = [None] * world
    dist.all_gather_object(saved, state.state_dict())
    text = ["the checkpoint has rank", "strict=False"]
    expect(ValueError, text, lambda: state.load_state_dict(saved[(rank + 1) % world]))
    other = {**saved[rank], "world_size": world + 1}
    expect(ValueError, ["has world size"], lambda: state.load_state_dict(other))
    text = [f"no rank has passed the checkpoint of rank {world}"]
    expect(ValueError, text, lambda: state.load_state_dict([other], strict=False))
    state.close()
    # As if twice as many ranks had saved: each rank of this run reads two of them.
    numbered = enumerate(one for one in saved for _ in range(2))
    doubled = [{**one, "rank": number, "world_size": 2 * world} for number, one in numbered]
    ddp, state = sparse_state(algorithm)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state.load_state_dict(doubled[2 * rank : 2 * rank + 2], strict=False)
    assert any("redistributed" in str(warning.message) for warning in caught)
    now = state.state_dict()["tensors"]
    worst = 0.0
    for name in saved[0]["tensors"]:
        wanted = torch.zeros(now[name]["arrays"][""].shape)
        for one in doubled:
            kinds = one["tensors"][name]["arrays"]
            wanted += kinds[""] / (2 * world) + kinds.get("second stage", 0)
        worst = max(worst, float((now[name]["arrays"][""] - wanted).abs().max()))
    assert worst < 1e-5, worst
    ddp(gradients_of(7, 1.0)).backward()
    state.close()
    return worst


def case_checkpoints_by_name() -> float:
    """Other buckets, layers that are trained from now on, a graph without unused parameters."""
    compressor = partial(gw.Compressor, gw.TopK(0.05))

    def start(frozen: bool, cap: float, **options: Any) -> tuple[Any, Any, nn.Module]:
        model = network()
        model[0].requires_grad_(not frozen)
        ddp = DistributedDataParallel(model, bucket_cap_mb=cap, **options)
        memory = gw.Residual()
        state = gw.torch.CompressionState(None, compressor(memory=memory), fallback=False)
        ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
        return ddp, state, model

    ddp, state, _ = start(True, 0.04, find_unused_parameters=True)
    train(ddp, 4)
    saved = state.state_dict()
    assert set(saved["tensors"]) == {f"{n}.{k}" for n in (2, 4, 6) for k in ("weight", "bias")}
    state.close()
    for options in ({"frozen": False, "cap": 0.1}, {"frozen": False, "cap": 0.001}):
        ddp, state, model = start(**options)
        state.load_state_dict(copy.deepcopy(saved))
        again = state.state_dict()
        for _ in range(3):  # zeros leave memories as they are, in whichever buckets
            ddp.zero_grad()
            (0.0 * ddp(torch.ones(2, 100)).sum()).backward()
        now = state.state_dict()
        for name, tensor in saved["tensors"].items():
            shape = dict(model.named_parameters())[name].shape
            for other in (again, now):
                kept = other["tensors"][name]["arrays"][""]
                assert kept.shape == shape and torch.equal(kept, tensor["arrays"][""])
        train(ddp, 2)
        state.close()
    for name, text in (("2.weight", "has shape"), ("9.weight", "which is not a parameter")):
        ddp, state, _ = start(False, 0.04)
        other = copy.deepcopy(saved)
        other["tensors"][name] = {"loss_scale": 1.0, "arrays": {"": torch.zeros(3, 3)}}
        load = partial(state.load_state_dict, other)
        expect(ValueError, [text], load)
        state.close()
        unregistered = gw.torch.CompressionState(None, compressor(memory=gw.Residual()))
        unregistered.load_state_dict(other)
        ddp = wrap(network())
        ddp.register_comm_hook(unregistered, gw.torch.compressed_allreduce)
        try:
            train(ddp, 1)
        except (ValueError, RuntimeError) as error:
            assert text in str(error), error
        else:
            raise AssertionError("a checkpoint of another model was taken")
        unregistered.close()
    return 0.0


class Words(nn.Module):
    """A sparse table before a dense layer: after the first step its bucket comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 100, sparse=True)
        self.dense = nn.Linear(100, 100)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.dense(self.table(words))


def case_sparse_bucket_takes_an_index() -> float:
    """The memory of the dense bucket that had the index before goes on with its parameters."""
    compressor = gw.Compressor(gw.TopK(0.05), memory=gw.Residual())
    ddp, state = hooked(Words(), compressor)
    seen = DistributedDataParallel(copy.deepcopy(ddp.module), bucket_cap_mb=0.04)
    given, arrived = torch.zeros(100, 100), torch.zeros(100, 100)
    for step in range(5):
        generator = torch.Generator().manual_seed(10 * step + dist.get_rank())
        words = torch.randint(50, (16,), generator=generator)
        for model, total in ((seen, given), (ddp, arrived)):
            model.zero_grad()
            model(words).square().sum().backward()
            total += model.module.dense.weight.grad
    held = held_by_parameter(state)["dense.weight"]
    dist.all_reduce(held)
    lost = float((given - arrived - held / dist.get_world_size()).abs().max() / given.abs().max())
    names = [
        name for layout in state._session.lanes[0].buckets.layouts().values() for name in layout
    ]
    assert len(names) == len(set(names)), names
    assert lost < 1e-5, lost
    state.close()
    return lost


def case_states_end() -> float:
    """A thousand states, of all kinds, leave no thread and no file descriptor."""

    def usage() -> tuple[int, int, int]:
        gc.collect()
        tasks = len(list(Path("/proc/self/task").iterdir()))
        return threading.active_count(), tasks, len(os.listdir("/proc/self/fd"))

    def use(number: int, end: str) -> None:
        ddp, state = hooked(nn.Linear(70, 70), gw.Compressor(gw.QSGD(4)))
        if number % 20 == 0:
            ddp(torch.ones(3, 70)).sum().backward()
        if end == "close":
            state.close()

    use(0, "close")
    before = usage()
    for number in range(500):
        use(number, "close")
    for number in range(300):
        use(number, "garbage")
        if number % 7 == dist.get_rank():
            gc.collect()  # states end at different times on different ranks
    gc.collect()
    dist.barrier()
    living = [gw.torch.Communicator(gw.Compressor(gw.QSGD(4))) for _ in range(200)]
    average = living[-1].step(torch.full((10,), float(dist.get_rank())), "x")
    assert torch.allclose(average.mean(), torch.tensor((dist.get_world_size() - 1) / 2), atol=0.6)
    del living
    until = time.monotonic() + 30  # threads of what was garbage end soon, but on their own
    after = usage()
    while any(a > b for a, b in zip(after, before)):
        assert time.monotonic() < until, (before, after)
        time.sleep(0.05)
        after = usage()
    return 0.0


def case_uneven_inputs_with_memory() -> float:
    """A rank that has joined sends zeros, and keeps what it holds."""
    worst = 0.0
    for algorithm in ALGORITHMS:
        models = [Weights(), Weights()]
        plain = wrap(models[0])
        ddp, state = hooked(models[1], gw.Compressor(gw.TopK(0.1), memory=gw.Residual()), algorithm)
        count = Count([name for name, _ in models[0].named_parameters()])
        full = [
            {
                n: gradients_of(2 * s, 1.0).get(n, torch.ones(p.shape))
                for n, p in models[0].named_parameters()
            }
            for s in range(6 + 2 * dist.get_rank())
        ]
        with Join([plain, ddp]):
            for gradients in full:
                for one in (plain, ddp):
                    one.zero_grad()
                    one(gradients).backward()
                count.add(*models, 1.0)
        # Ranks that have joined see no averages: the last one has seen all.
        figure = torch.zeros(1, dtype=torch.float64)
        lost = count.lost(state, 1.0)
        figure[0] = lost if dist.get_rank() == dist.get_world_size() - 1 else 0
        dist.all_reduce(figure)
        worst = max(worst, float(figure))
        assert worst < 1e-5, worst
        state.close()
    return worst


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS:
        cases[f"votes-{algorithm}"] = partial(case_votes, algorithm)
    if world == 3:
        return cases
    cases["finite-stays-finite"] = case_finite_stays_finite
    for algorithm in ALGORITHMS:
        cases[f"shared-out-{algorithm}"] = partial(case_shared_out, algorithm)
    if world == 4:
        return cases
    cases["states-end"] = case_states_end
    cases["shared-parameters"] = case_shared_parameters
    cases["sparse-bucket"] = case_sparse_bucket_takes_an_index
    cases["checkpoints-by-name"] = case_checkpoints_by_name
    cases["one-compressor-one-user"] = case_one_compressor_one_user
    cases["one-state-one-model"] = case_one_state_one_model
    cases["uneven-inputs"] = case_uneven_inputs_with_memory
    return cases
