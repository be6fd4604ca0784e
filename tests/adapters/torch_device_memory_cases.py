"""What the ranks of test_torch_device_memory.py do: memories on the path for GPUs.

Tensors in host memory stand for those of a GPU. Cases that count give the share that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import nothing_lost_steps
import nothing_lost_training
import nothing_lost_unused
import torch
import torch.distributed as dist
from nothing_lost_training import PIPELINES, counted_run
from torch_device_cases import loss_of, on_device
from torch_training import (
    ALGORITHMS,
    assert_same_on_all_ranks,
    flat,
    held_by_parameter,
    hooked,
    network,
    train,
)
from torch_worker import run_cases

import gradwire as gw
from gradwire.exchange.averaging import Averager
from gradwire.torch import paths

Case = Callable[[], "float | None"]

TRAINED: dict[str, Callable[[], gw.Compressor]] = {
    "QSGD(4), Residual": lambda: gw.Compressor(gw.QSGD(4), memory=gw.Residual()),
    "TernGrad, Residual": lambda: gw.Compressor(gw.TernGrad(), memory=gw.Residual()),
    "TopK, Residual": lambda: gw.Compressor(gw.TopK(0.05), memory=gw.Residual()),
    "TopK, DGCMomentum": lambda: gw.Compressor(gw.TopK(0.05), memory=gw.DGCMomentum(0.5)),
    "RandomK, Residual": lambda: gw.Compressor(gw.RandomK(0.1), memory=gw.Residual()),
}
COUNTED = [
    name
    for name, pipeline in PIPELINES.items()
    if paths.hindrance(pipeline()) is None and "SIDCo" not in name
]
SOME = ("QSGD(4), Residual", "TopK, Residual")
STEPS = {2: 80, 4: 40}


@contextmanager
def compressed_on_device() -> Iterator[None]:
    """Takes host memory for a device, and makes sure that this has had an effect."""
    kept, calls = paths.OnDevice.gradient, []
    paths.OnDevice.gradient = lambda path: (calls.append(path), kept(path))[1]
    try:
        with on_device():
            yield
    finally:
        paths.OnDevice.gradient = kept
    assert calls, "no bucket was compressed on the device"


def on_the_device(case: Callable[[], float]) -> float:
    """A case of nothing_lost_*.py, on the device."""
    with compressed_on_device():
        return case()


def with_qsgd(case: Callable[[], float]) -> float:
    """A case of nothing_lost_*.py with QSGD in place of TopK, on the device."""
    modules = (nothing_lost_steps, nothing_lost_unused, nothing_lost_training)
    kept = nothing_lost_training.top_k
    try:
        for module in modules:
            module.top_k = PIPELINES["QSGD(4), Residual"]
        return on_the_device(case)
    finally:
        for module in modules:
            module.top_k = kept


def make_training_case(pipeline: str, algorithm: str) -> Case:
    """Training on the device ends where training in host memory ends, alike on all ranks; also if
    only some ranks have a device."""

    def case() -> None:
        losses = []
        for ranks in (lambda rank: True, lambda rank: rank % 2 == 0, lambda rank: False):
            with on_device(ranks):
                ddp, state = hooked(network(), TRAINED[pipeline](), algorithm)
                before = loss_of(ddp.module)
                train(ddp, 60)
                path = "on device" if ranks(dist.get_rank()) else "in host memory"
                assert {bucket["path"] for bucket in state.report()["buckets"]} == {path}
                if path == "on device":
                    assert f"elements, {path})" in state.summary()
            assert_same_on_all_ranks(ddp.module)
            losses.append(loss_of(ddp.module))
            state.close()
        assert losses[-1] < before
        for loss in losses[:-1]:
            assert abs(loss - losses[-1]) < 0.1 * (before - losses[-1]), (before, losses)

    return case


def make_resume_case(pipeline: str, algorithm: str) -> Case:
    """Checkpoints go from host memory to the device and back, and hold host tensors by name."""

    def run(places: list[bool]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        ddp, state = hooked(network(), PIPELINES[pipeline](), algorithm)
        for part, there in enumerate(places):
            with on_device(lambda rank, there=there: there):
                train(ddp, 4, first=4 * part)
            model = {k: v.clone() for k, v in ddp.module.state_dict().items()}
            saved = state.state_dict()
            shapes = {name: p.shape for name, p in ddp.module.named_parameters()}
            assert saved["tensors"].keys() == shapes.keys()
            for name, tensor in saved["tensors"].items():
                for array in tensor["arrays"].values():
                    assert array.is_cpu and array.dtype == torch.float32
                    assert array.shape == shapes[name]
            held = held_by_parameter(state)
            state.close()
            ddp, state = hooked(network(), PIPELINES[pipeline](), algorithm)
            ddp.module.load_state_dict(model)
            state.load_state_dict(saved)
        state.close()
        return flat(ddp.module), held

    def case() -> None:
        wanted, held_there = run([False] * 4)
        found, held = run([False, True, False, True])
        assert_close(found, wanted)
        for name, array in held_there.items():
            assert_close(held[name], array)

    return case


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Up to the last bits of sums."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def case_frames_are_read_by_the_normal_decoder() -> None:
    """The average is that of what gw.decompress_gradient reads in the frames."""
    world = dist.get_world_size()
    for name in COUNTED:
        frames = []
        compress = Averager.compress

        def noting(*args: object, work: object = compress, into: list = frames) -> list:
            into.extend(work(*args))
            return into[-1:]

        Averager.compress = noting
        try:
            with compressed_on_device():
                model = torch.nn.Linear(100, 100, bias=False)
                ddp, state = hooked(model, PIPELINES[name](), "allgather")
                ddp(torch.full((1, 100), dist.get_rank() + 1.0)).square().sum().backward()
        finally:
            Averager.compress = compress
        assert len(frames) == 1
        marks = 1  # a byte that says which parameters were used
        decoded = torch.from_numpy(gw.decompress_gradient(frames[0][:-marks]))
        dist.all_reduce(decoded)
        average = model.weight.grad.reshape(-1)
        torch.testing.assert_close(average, decoded / world, rtol=1e-5, atol=1e-6)
        state.close()


def counted_cases(world: int) -> dict[str, Case]:
    """Runs whose figure is the share that is lost."""
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS:
        for pipeline in COUNTED if world == 2 else SOME:
            for fallback in (False, True):
                if fallback and ("DGC" in pipeline or world > 2):
                    continue  # DGCMomentum has none
                run = partial(counted_run, pipeline, algorithm, fallback, STEPS[world])
                name = f"{pipeline}, {algorithm}{', fallback' if fallback else ''}"
                cases[name] = partial(on_the_device, run)
    if world == 2:
        modules = (nothing_lost_steps, nothing_lost_unused)
        others = {k: v for module in modules for k, v in module.cases_for(world).items()}
        for name, case in others.items():
            if "in-views" in name and "old-gradients" not in name:
                continue  # the same code, and more time
            if "votes" in name or "refused" in name:
                continue  # of other pipelines, or without steps
            cases[f"{name}, QSGD"] = partial(with_qsgd, case)
            if "fallback" not in name:
                cases[f"{name}, TopK"] = partial(on_the_device, case)
    return cases


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases = counted_cases(world)
    for algorithm in ALGORITHMS:
        for name in TRAINED if world == 2 else SOME:
            cases[f"training, {name}, {algorithm}"] = make_training_case(name, algorithm)
        for name in SOME:
            cases[f"resume, {name}, {algorithm}"] = make_resume_case(name, algorithm)
    if world == 2:
        cases["frames"] = case_frames_are_read_by_the_normal_decoder
    return cases


if __name__ == "__main__":
    run_cases(cases_for)
