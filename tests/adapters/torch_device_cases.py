"""What the ranks of test_torch_device.py do: the path for GPUs, with tensors in host memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch_training import (
    ALGORITHMS,
    assert_same_on_all_ranks,
    data,
    expect,
    flat,
    given_gradients,
    hooked,
    network,
    train,
)
from torch_worker import run_cases

import gradwire as gw
from gradwire.torch import paths
from gradwire.torch.device import TensorOutput

Case = Callable[[], None]

PIPELINES: dict[str, Callable[[], gw.Compressor]] = {
    "qsgd": lambda: gw.Compressor(gw.QSGD(16)),
    "qsgd-max": lambda: gw.Compressor(gw.QSGD(8, 100, norm="max", scale_dtype="bfloat16")),
    "terngrad": lambda: gw.Compressor(gw.TernGrad(), codec="huffman"),
    "uniform": lambda: gw.Compressor(gw.Uniform(8, stochastic=True)),
}


@contextmanager
def on_device(ranks: Callable[[int], bool] = lambda rank: True) -> Iterator[None]:
    """Takes host memory for a device on some ranks."""
    kept = paths.is_on_device
    paths.is_on_device = lambda buffer: ranks(dist.get_rank())
    try:
        yield
    finally:
        paths.is_on_device = kept


def loss_of(model: nn.Module) -> float:
    """Over batches that were not trained with."""
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        batches = [data(step) for step in range(1000, 1010)]
        losses = [nn.functional.cross_entropy(model(x.to(dtype)), y) for x, y in batches]
    return float(torch.stack(losses).mean())


def make_training_case(pipeline: str, algorithm: str) -> Case:
    """Training on the device ends where training in host memory ends, alike on all ranks."""

    def case() -> None:
        losses = []
        for ranks in (lambda rank: True, lambda rank: False):
            with on_device(ranks):
                ddp, state = hooked(network(), PIPELINES[pipeline](), algorithm)
                before = loss_of(ddp.module)
                train(ddp, 60)
            assert_same_on_all_ranks(ddp.module)
            losses.append(loss_of(ddp.module))
            state.close()
        assert abs(losses[0] - losses[1]) < 0.1 * (before - losses[1]), (before, losses)

    return case


def make_mixed_case(algorithm: str) -> Case:
    """Ranks need not take the same path, and still get the same bits."""

    def case() -> None:
        for pipeline in PIPELINES.values():
            with on_device(lambda rank: rank % 2 == 0):
                ddp, state = hooked(network(), pipeline(), algorithm)
                train(ddp, 5)
            found = {bucket["path"] for bucket in state.report()["buckets"]}
            assert found == {"on device" if dist.get_rank() % 2 == 0 else "in host memory"}
            assert_same_on_all_ranks(ddp.module)
            state.close()

    return case


def case_levels_travel_if_they_are_fewer_bytes() -> None:
    """Three ranks' levels are fewer bytes than floats, four ranks' are more."""
    taken: list[bool] = []
    kept = TensorOutput.takes_levels
    TensorOutput.takes_levels = lambda out, n: (taken.append(kept(out, n)), taken[-1])[1]
    with on_device():
        ddp, _ = hooked(network(), gw.Compressor(gw.QSGD(4)), "allgather")
        train(ddp, 1)
    TensorOutput.takes_levels = kept
    assert set(taken) == {dist.get_world_size() < 4}
    assert_same_on_all_ranks(ddp.module)


def case_types() -> None:
    """Buckets of 16 bits; averages are those of float32, rounded."""
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        with on_device():
            ddp, state = hooked(network(dtype), gw.Compressor(gw.QSGD(127, norm="max")))
            train(ddp, 3)
        assert_same_on_all_ranks(ddp.module)
        assert {bucket["path"] for bucket in state.report()["buckets"]} == {"on device"}


def case_not_finite() -> None:
    """NaN on one rank is NaN on all, and the next step is as usual; or zeros, if that is asked."""
    for algorithm in ALGORITHMS:
        for treatment in ("error", "zero"):
            compressor = gw.Compressor(gw.QSGD(4), nonfinite=treatment)
            with on_device():
                ddp, _ = hooked(nn.Linear(100, 100), compressor, algorithm)
                for value in (torch.nan, 1.0):
                    ddp.zero_grad()
                    rank = dist.get_rank()
                    ddp(torch.full((1, 100), value if rank == 1 else 1.0)).sum().backward()
                    wanted = value == 1.0 or treatment == "zero"
                    assert bool(ddp.module.weight.grad.isfinite().all()) == wanted


def case_average_is_unbiased() -> None:
    """The mean of many averages is the average."""
    given = given_gradients(0, 5000)
    wanted = given.clone()
    dist.all_reduce(wanted)
    wanted /= dist.get_world_size()
    with on_device():
        averages = []
        _, state = hooked(nn.Linear(50, 100), gw.Compressor(gw.QSGD(4)), "allgather")
        pipeline = state._begin().lanes[0].pipeline
        for _ in range(400):
            averages.append(pipeline.average(0, given.clone(), [True]).wait())
        state.close()
    stacked = torch.stack(averages)
    error = stacked.mean(dim=0) - wanted
    allowed = stacked.std(dim=0) / len(averages) ** 0.5
    assert error.norm() < 1.1 * allowed.norm()


def case_resume() -> None:
    """A checkpoint goes on with the same random numbers."""
    with on_device():
        ddp, state = hooked(network(), gw.Compressor(gw.QSGD(4)))
        train(ddp, 4)
        model, saved = (
            {k: v.clone() for k, v in ddp.module.state_dict().items()},
            state.state_dict(),
        )
        train(ddp, 3, first=4)
        wanted = flat(ddp.module)
        ddp, state = hooked(network(), gw.Compressor(gw.QSGD(4)))
        ddp.module.load_state_dict(model)
        state.load_state_dict(saved)
        train(ddp, 3, first=4)
        assert torch.equal(wanted, flat(ddp.module))


def case_damage() -> None:
    """Who sent a damaged frame is named."""
    with on_device():
        ddp, state = hooked(network(), gw.Compressor(gw.QSGD(4)), "allgather")
        compress = state.averager.compress

        def damaged(*args: object) -> list[object]:
            frames = compress(*args)
            frames[0][frames[0].size // 2] ^= dist.get_rank() == 1
            return frames

        state.averager.compress = damaged
        expect(
            gw.CorruptFrameError,
            ["the frame that rank 1 sent cannot be decoded"],
            lambda: train(ddp, 1),
        )


class OwnMemory(gw.Residual):
    """What a user has written may need NumPy arrays."""


def case_paths_are_told() -> None:
    """Reports name the path; rank 0 logs why the GPU does not compress."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("gradwire")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with on_device():
        for compressor, path in (
            (gw.Compressor(gw.QSGD(4)), "on device"),
            (gw.Compressor(gw.QSGD(4), memory=gw.Residual()), "on device"),
            (gw.Compressor(gw.TopK(0.1), memory=gw.DGCMomentum()), "on device"),
            (gw.Compressor(gw.QSGD(4), memory=OwnMemory()), "through host memory"),
            (gw.Compressor(gw.Natural(), memory=gw.Residual()), "through host memory"),
            (gw.Compressor(gw.TopK(0.1, values=gw.SignSGD())), "through host memory"),
        ):
            ddp, state = hooked(network(), compressor)
            train(ddp, 3)
            assert_same_on_all_ranks(ddp.module)
            assert {bucket["path"] for bucket in state.report()["buckets"]} == {path}
            assert f"elements, {path})" in state.summary()
    logger.removeHandler(handler)
    if dist.get_rank() == 0:
        for message, who in zip(messages, ("the memory OwnMemory()", "Natural()", "SignSGD())")):
            assert f"{who} works in host memory only" in message
    assert len(messages) == (3 if dist.get_rank() == 0 else 0), messages


def case_rules() -> None:
    """Parts of a bucket may take different paths."""
    rules = {"2.*": gw.Compressor(gw.Natural(), memory=gw.Residual())}
    with on_device():
        ddp = nn.parallel.DistributedDataParallel(network())
        state = gw.torch.CompressionState(
            None, gw.Compressor(gw.QSGD(4)), fallback=False, exclude="*.bias", rules=rules
        )
        ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
        train(ddp, 3)
    assert_same_on_all_ranks(ddp.module)
    assert {b["path"] for b in state.report()["buckets"]} == {"on device", "through host memory"}


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {f"mixed-{a}": make_mixed_case(a) for a in ALGORITHMS}
    few = case_levels_travel_if_they_are_fewer_bytes
    if world == 4:
        return {**cases, "levels-or-floats": few}
    for algorithm in ALGORITHMS:
        for pipeline in PIPELINES:
            cases[f"{pipeline}-{algorithm}"] = make_training_case(pipeline, algorithm)
    named = {k.removeprefix("case_"): v for k, v in globals().items() if k.startswith("case_")}
    return {**cases, **named}


if __name__ == "__main__":
    run_cases(cases_for)
