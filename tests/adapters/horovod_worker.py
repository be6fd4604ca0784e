"""Trains a small network on handwritten digits with gradwire.horovod, on all ranks of Horovod."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import horovod.torch as hvd
import torch
from sklearn.datasets import load_digits
from torch import nn

import gradwire as gw

hvd.init()
RANK, WORLD = hvd.rank(), hvd.size()
IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES, LABELS = torch.tensor(IMAGES / 16, dtype=torch.float32), torch.tensor(LABELS)
BATCH = 128
Wrap = Callable[[torch.optim.Optimizer, nn.Module], torch.optim.Optimizer]


def report(text: str) -> None:
    if RANK == 0:
        print(text, flush=True)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def plain(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """Horovod's own."""
    return hvd.DistributedOptimizer(optimizer, model.named_parameters())


def compressed(algorithm: str, pipeline: Any, memory: gw.Memory | None = None) -> Wrap:
    compressor = gw.Compressor(pipeline, memory=memory)
    return lambda optimizer, model: gw.horovod.DistributedOptimizer(
        optimizer, model.named_parameters(), compressor, algorithm
    )


def train(wrap: Wrap, steps: int, passes: int = 1) -> tuple[nn.Module, list[float]]:
    """Each rank has every ``WORLD``-th image of a batch, and adds up gradients of its parts."""
    model = network()
    optimizer = wrap(torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5), model)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        batch = torch.randperm(len(LABELS), generator=generator)[:BATCH][RANK::WORLD]
        for number, part in enumerate(batch.chunk(passes)):
            last = number == passes - 1
            with contextlib.nullcontext() if last else optimizer.no_sync():
                loss = nn.functional.cross_entropy(model(IMAGES[part]), LABELS[part])
                (loss / passes).backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def assert_close(model: nn.Module, expected: nn.Module) -> None:
    for a, b in zip(model.parameters(), expected.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def check_lossless(algorithm: str) -> None:
    expected, _ = train(plain, 20)
    got, _ = train(compressed(algorithm, gw.Lossless()), 20)
    assert_close(got, expected)
    accumulated, _ = train(compressed(algorithm, gw.Lossless()), 20, passes=4)
    assert_close(accumulated, expected)
    report(f"{algorithm}, Lossless: parameters as with Horovod's optimizer, with no_sync() too")


def check_lossy(algorithm: str, pipeline: Any, memory: gw.Memory | None) -> None:
    model, losses = train(compressed(algorithm, pipeline, memory), 150)
    first, last = losses[0], sum(losses[-10:]) / 10
    assert last < first / 3, (first, last)
    parameters = nn.utils.parameters_to_vector(model.parameters()).detach()
    for other in hvd.allgather(parameters[None], name="parameters"):
        assert torch.equal(other.view(torch.int32), parameters.view(torch.int32))
    report(f"{algorithm}, {pipeline!r}: loss {first:.2f} to {last:.2f}, ranks have the same bits")


def check_gradients(algorithm: str) -> None:
    """Parameters that one rank does not use, in all types; orders that differ; clipping."""
    types = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
    sizes = (3, 5000)
    parameters = {
        f"{size} {dtype}": nn.Parameter(torch.ones(size, dtype=dtype))
        for dtype in types
        for size in sizes
    }
    table = nn.Embedding.from_pretrained(torch.ones(100, 50), freeze=False, sparse=True)
    parameters["table"] = table.weight
    optimizer = torch.optim.SGD(parameters.values(), lr=1.0)
    compressor = gw.Compressor(gw.Lossless())
    gw.horovod.DistributedOptimizer(optimizer, parameters.items(), compressor, algorithm)
    for _ in range(2):
        optimizer.zero_grad()
        for p in list(parameters.values())[:: -1 if RANK % 2 else 1]:
            if RANK == 0 or p.dtype != torch.float64:
                used = table(torch.arange(100)) if p is table.weight else p
                (used.sum() * 2).backward()
        optimizer.synchronize()
        nn.utils.clip_grad_value_(parameters.values(), 1.5)
        optimizer.step()
    for name, p in parameters.items():
        average = 2 / WORLD if p.dtype == torch.float64 else 1.5
        assert torch.all(p == 1 - 2 * average), name
    with contextlib.suppress(RuntimeError):
        for _ in range(2):
            next(iter(parameters.values())).sum().backward()
        raise AssertionError("a second backward pass was not noticed")
    report(f"{algorithm}: gradients that are missing or sparse, in any order, of any type, clipped")


def check_closure(algorithm: str) -> None:
    """A step that is given a closure; and not-a-number on one rank, which all must get."""
    p = nn.Parameter(torch.zeros(5000))
    optimizer = torch.optim.SGD([p], lr=1.0)
    gw.horovod.DistributedOptimizer(optimizer, [("p", p)], gw.Compressor(gw.QSGD(4)), algorithm)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)

    def closure(factor: float) -> torch.Tensor:
        loss = (p * factor).sum()
        loss.backward()
        return loss

    for factor, expected in ((0.0, 0.0), (torch.nan if RANK == 1 else 1.0, torch.nan)):
        optimizer.zero_grad()
        optimizer.step(partial(closure, factor))
        scheduler.step()
        torch.testing.assert_close(p.detach().mean().item(), expected, equal_nan=True)
    report(f"{algorithm}: step(closure), a scheduler; NaN on one rank is NaN on all")


def check_damage(algorithm: str) -> None:
    p = nn.Parameter(torch.zeros(5000))
    compressor = gw.Compressor(gw.QSGD(4))
    if RANK == 1:
        compress = compressor.compress
        compressor.compress = lambda *x: compress(*x)[::-1].copy()
    optimizer = torch.optim.SGD([p], lr=1.0)
    gw.horovod.DistributedOptimizer(optimizer, [("p", p)], compressor, algorithm)
    p.sum().backward()
    try:
        optimizer.step()
    except gw.CorruptFrameError as error:
        assert "frame that rank 1 sent" in str(error)
    else:
        raise AssertionError("damage was not noticed")
    report(f"{algorithm}: a damaged frame is refused, its rank named")


def check_nothing_lost(algorithm: str, pipeline: Any, memory: gw.Memory) -> None:
    """Unused parameters, loss scales, overflow, skips, a checkpoint: given = arrived + held."""
    sizes = {"always": 6000, "rare": 5000}
    parameters = {name: nn.Parameter(torch.zeros(size)) for name, size in sizes.items()}
    scale = [64.0]

    def start() -> torch.optim.Optimizer:
        for p in parameters.values():
            p._post_accumulate_grad_hooks = None
        return gw.horovod.DistributedOptimizer(
            torch.optim.SGD(parameters.values(), lr=0.0),
            parameters.items(),
            gw.Compressor(copy.deepcopy(pipeline), memory=copy.deepcopy(memory)),
            algorithm,
            loss_scale=lambda: scale[0],
        )

    optimizer = start()
    balance = {name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()}
    for step in range(60):
        scale[0] = (64.0, 4096.0, 2.0, 1024.0)[step // 5 % 4]
        generator = torch.Generator().manual_seed(100 * step + RANK)
        given = {name: torch.randn(size, generator=generator) for name, size in sizes.items()}
        if step % 3 != RANK:
            given["rare"].zero_()
        overflows = step % 7 == 5
        if overflows and RANK == 0:
            given["rare"][7] = torch.inf
        optimizer.zero_grad()
        sum((parameters[n] * g * scale[0]).sum() for n, g in given.items()).backward()
        if step % 11 != 9:
            optimizer.synchronize()
        if overflows:
            assert not parameters["rare"].grad.isfinite().all()
        elif step % 11 in (2, 9):  # 2: as after a look at the norm
            optimizer.skip_step()
            continue
        else:
            for name, total in balance.items():
                total += given[name].double() - parameters[name].grad.double() / scale[0]
        optimizer.step()
        if step == 30:
            saved = optimizer.compression_state_dict()
            optimizer = start()
            optimizer.load_compression_state_dict(saved)
    for name, tensor in optimizer.compression_state_dict()["tensors"].items():
        kinds = tensor["arrays"]
        held = kinds[memory.unsent] + WORLD * kinds.get("second stage", 0.0)
        lost = balance[name] - torch.from_numpy(held).double() / tensor["loss_scale"]
        lost = hvd.allreduce(lost, name=f"lost {name}")
        assert lost.abs().max() < 1e-4, (name, lost.abs().max())
    report(f"{algorithm}, {pipeline!r}, {type(memory).__name__}: given = arrived + held")


def check_finite(algorithm: str) -> None:
    """What is finite stays finite in float16."""
    p = nn.Parameter(torch.zeros(5000, dtype=torch.float16))
    optimizer = torch.optim.SGD([p], lr=0.0)
    gw.horovod.DistributedOptimizer(optimizer, [("p", p)], gw.Compressor(gw.QSGD(4)), algorithm)
    (p.float() * 6e4).sum().backward()
    optimizer.synchronize()
    assert p.grad.isfinite().all()
    report(f"{algorithm}: large float16 gradients stay finite")


def check_settings() -> None:
    try:
        train(compressed("auto", gw.QSGD(4 + RANK)), 1)
    except ValueError as error:
        assert "different settings" in str(error) and "rank 1" in str(error)
    else:
        raise AssertionError("settings that differ were not noticed")
    report("settings that differ: ValueError on all ranks")


if __name__ == "__main__":
    for algorithm in ("allgather", "sharded"):
        check_lossless(algorithm)
        check_lossy(algorithm, gw.QSGD(4), None)
        check_lossy(algorithm, gw.TopK(0.1), gw.Residual())
        check_gradients(algorithm)
        check_closure(algorithm)
        check_nothing_lost(algorithm, gw.QSGD(4), gw.Residual())
        check_nothing_lost(algorithm, gw.TopK(0.1), gw.DGCMomentum(0.0))
        check_finite(algorithm)
    check_damage("allgather")
    check_settings()
    hvd.shutdown()
