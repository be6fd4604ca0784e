"""What the ranks of test_torch.py do: each case runs on all ranks, and raises if it fails."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch_exchange_cases
import torch_pass_cases
import torch_rules_cases
import torch_sparse_cases
import torch_words_cases
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import (
    ALGORITHMS,
    PIPELINES,
    Forked,
    ToDouble,
    assert_same_on_all_ranks,
    data,
    expect,
    flat,
    given_gradients,
    held_by_parameter,
    hooked,
    network,
    train,
    wrap,
)
from torch_worker import run_cases

import gradwire as gw

Case = Callable[[], None]


def make_training_case(name: str, algorithm: str) -> Case:
    def case() -> None:
        model = network()
        begin = flat(model)
        ddp, state = hooked(model, PIPELINES[name](), algorithm)
        train(ddp, 5)
        assert_same_on_all_ranks(model)
        assert not torch.equal(begin, flat(model))
        assert state.averager.traffic.bytes_sent > 0
        assert "compressed" in state.summary()

    return case


def make_lossless_case(dtype: torch.dtype, algorithm: str) -> Case:
    """Lossless frames give what no hook gives."""

    def case() -> None:
        plain, compressed = network(dtype), network(dtype)
        train(wrap(plain), 4)
        train(hooked(compressed, gw.Compressor(gw.Lossless()), algorithm)[0], 4)
        if dist.get_world_size() == 2 and dtype != torch.float16:
            assert torch.equal(flat(plain), flat(compressed))
        else:  # all-reduce adds in another order, and halves float16 before it adds
            ulps = 1e-3 if dtype == torch.float16 else 1e-6
            assert torch.allclose(flat(plain), flat(compressed), atol=ulps)

    return case


def case_no_sync() -> None:
    """Gradients accumulate over steps without communication."""
    models = [network(), network()]
    for model, ddp in zip(
        models, [wrap(models[0]), hooked(models[1], gw.Compressor(gw.Lossless()))[0]]
    ):
        for round_number in range(3):
            with ddp.no_sync():
                x, y = data(2 * round_number)
                nn.functional.cross_entropy(ddp(x), y).backward()
            x, y = data(2 * round_number + 1)
            nn.functional.cross_entropy(ddp(x), y).backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.01 * p.grad
                    p.grad = None
    assert torch.equal(flat(models[0]), flat(models[1]))


def case_unused_parameters() -> None:
    """Some parameters have no gradient in some steps."""
    models = [Forked(), Forked()]
    train(wrap(models[0], find_unused_parameters=True), 4)
    ddp, _ = hooked(models[1], gw.Compressor(gw.Lossless()), find_unused_parameters=True)
    train(ddp, 4)
    assert torch.equal(flat(models[0]), flat(models[1]))


def case_bucket_views() -> None:
    """Gradients that are views of buckets, and a static graph."""
    for options in ({"gradient_as_bucket_view": True}, {"static_graph": True}):
        models = [network(), network()]
        train(wrap(models[0], **options), 4)
        train(hooked(models[1], gw.Compressor(gw.Lossless()), **options)[0], 4)
        assert torch.equal(flat(models[0]), flat(models[1]))


def case_uneven_inputs() -> None:
    """A rank whose data end early joins, and the others go on."""
    models = [network(), network()]
    ddps = [wrap(models[0]), hooked(models[1], gw.Compressor(gw.Lossless()))[0]]
    for ddp in ddps:
        with ddp.join():
            train(ddp, 2 + dist.get_rank())
    assert torch.equal(flat(models[0]), flat(models[1]))


def case_sparse_and_small() -> None:
    """Small buckets go plain, sparse gradients as frames."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.EmbeddingBag(50, 8, sparse=True, mode="sum"), nn.Linear(8, 2))
    ddp, state = hooked(model, gw.Compressor(gw.QSGD(4)))
    for step in range(3):
        generator = torch.Generator().manual_seed(10 * step + dist.get_rank())
        ddp(torch.randint(50, (16, 4), generator=generator)).sum().backward()
    sent = {b["elements"] is None: b["sent"] for b in state.report()["buckets"]}
    assert sent == {True: "compressed", False: "plain"}
    assert_same_on_all_ranks(model)


def make_nothing_lost_case(name: str, algorithm: str) -> Case:
    """What arrives, and what memories hold, is what was given; over buckets that change."""

    def case() -> None:
        model = network()
        ddp, state = hooked(model, PIPELINES[name](), algorithm, fallback=True)
        sizes = [p.numel() for p in model.parameters()]
        given = torch.zeros(sum(sizes))
        arrived = torch.zeros(sum(sizes))
        for step in range(12):  # compressed, plain and chosen ones
            gradient = given_gradients(step, sum(sizes))
            pieces = gradient.split(sizes)
            ddp(data(step)[0])  # forms the buckets anew
            loss = sum((p.view(-1) * g).sum() for p, g in zip(ddp.parameters(), pieces))
            ddp.zero_grad()
            loss.backward()
            given += gradient
            arrived += torch.cat([p.grad.view(-1) for p in model.parameters()])
        left = held_by_parameter(state)
        held = [left.get(name, torch.zeros(p.shape)) for name, p in model.named_parameters()]
        balance = torch.stack([given - torch.cat([h.reshape(-1) for h in held])]).float()
        dist.all_reduce(balance)
        assert torch.allclose(balance[0] / dist.get_world_size(), arrived, atol=1e-4)

    return case


def make_resume_case(name: str, algorithm: str) -> Case:
    """A run that is cut in two ends where the whole one ends."""

    def case() -> None:
        whole, cut = network(), network()
        options = {"find_unused_parameters": True}  # keeps the first buckets
        ddp, state = hooked(whole, PIPELINES[name](), algorithm, **options)
        train(ddp, 3)
        state.state_dict()
        train(ddp, 3, first=3)
        first, state = hooked(cut, PIPELINES[name](), algorithm, **options)
        train(first, 3)
        file = io.BytesIO()
        torch.save(state.state_dict(), file)
        file.seek(0)
        saved = torch.load(file)
        second, state = hooked(cut, PIPELINES[name](), algorithm, **options)
        state.load_state_dict(saved)
        train(second, 3, first=3)
        assert torch.equal(flat(whole), flat(cut))

    return case


def case_not_finite() -> None:
    """NaN of one rank arrives at all, as in a plain sum; then training goes on."""
    for algorithm in ALGORITHMS:
        model = network()
        ddp, _ = hooked(model, gw.Compressor(gw.QSGD(4), memory=gw.Residual()), algorithm)
        x, y = data(0)
        loss = nn.functional.cross_entropy(ddp(x), y)
        (loss * (float("inf") if dist.get_rank() == 1 else 1.0)).backward()
        assert all(p.grad.isnan().any() for p in model.parameters())
        train(ddp, 3)
        assert_same_on_all_ranks(model)


def case_mixed_types() -> None:
    """DDP's first buckets have one type each, and a small one comes first."""
    for fallback in (False, True):
        model = nn.Sequential(network(), ToDouble(), nn.Linear(10, 10, dtype=torch.float64))
        compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
        ddp, state = hooked(model, compressor, fallback=fallback)
        for step in range(12):
            x, y = data(step)
            ddp.zero_grad()
            nn.functional.cross_entropy(ddp(x), y).backward()
        assert not state._session.lanes[0].buckets._loose
        huge = nn.functional.cross_entropy(ddp(x), y) * (1e200 if dist.get_rank() == 1 else 1)
        huge.backward()
        assert all(p.grad.isnan().any() or p.numel() < 4096 for p in model.parameters())


def case_fallback() -> None:
    """All ranks choose alike, and know what they have sent."""
    model = network()
    ddp, state = hooked(model, gw.Compressor(gw.QSGD(4), memory=gw.Residual()), fallback=True)
    train(ddp, 16)
    mine = list(state.choices().values())
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    assert len(mine) >= 2
    assert all(other == mine for other in everyone)
    assert_same_on_all_ranks(model)


def case_two_groups() -> None:
    world = dist.get_world_size()
    halves = [list(range(world // 2)), list(range(world // 2, world))]
    groups = [dist.new_group(ranks) for ranks in halves]
    group = groups[dist.get_rank() >= world // 2]
    models = [network(), network()]
    for model, hook in zip(models, (False, True)):
        ddp = DistributedDataParallel(model, process_group=group)
        if hook:
            state = gw.torch.CompressionState(group, gw.Compressor(gw.Lossless()), fallback=False)
            ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
        train(ddp, 3)
    assert torch.equal(flat(models[0]), flat(models[1]))


def case_different_settings() -> None:
    """All ranks are told before the first step."""
    texts = ["rank 0 and rank 1 have different settings", "QSGD(levels=4", "QSGD(levels=5"]
    own = gw.Compressor(gw.QSGD(4 + dist.get_rank()))
    expect(ValueError, texts, lambda: hooked(network(), own))
    expect(ValueError, texts, lambda: gw.torch.Communicator(own))


def case_different_versions() -> None:
    """All ranks are told before the first step."""
    from gradwire import _core

    version = _core.version
    if dist.get_rank() == 1:
        _core.version = lambda: "99.0"
    try:
        expect(
            ValueError,
            [f"gradwire: {version()} and 99.0"],
            lambda: hooked(network(), PIPELINES["qsgd"]()),
        )
    finally:
        _core.version = version


def make_damage_case(algorithm: str) -> Case:
    """A bit that flips on the way is an error that names the sender."""

    def case() -> None:
        ddp, state = hooked(network(), gw.Compressor(gw.QSGD(4)), algorithm)
        train(ddp, 2)
        alltoall = state.averager.exchange.alltoall

        def damage(frames: Any, limit: int) -> Any:
            received = [np.array(frame) for frame in alltoall(frames, limit)]
            received[1][received[1].size // 2] ^= 1
            return received

        state.averager.exchange.alltoall = damage
        text = "the frame that rank 1 sent cannot be decoded"
        expect(gw.CorruptFrameError, [text], lambda: train(ddp, 1))

    return case


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS:
        for name in PIPELINES if world == 2 else ("qsgd", "topk-residual"):
            cases[f"{name}-{algorithm}"] = make_training_case(name, algorithm)
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            if world == 2 or dtype == torch.float32:
                cases[f"{dtype}-{algorithm}"] = make_lossless_case(dtype, algorithm)
        for name in ("qsgd-residual", "topk-residual"):
            cases[f"nothing-lost-{name}-{algorithm}"] = make_nothing_lost_case(name, algorithm)
    if world == 4:
        return {**cases, "two-groups": case_two_groups}
    for algorithm in ALGORITHMS:
        for name in ("qsgd-residual", "topk-dgc", "sidco"):
            cases[f"resume-{name}-{algorithm}"] = make_resume_case(name, algorithm)
        cases[f"damage-{algorithm}"] = make_damage_case(algorithm)
    named = {
        key.removeprefix("case_").replace("_", "-"): case
        for key, case in {
            **globals(),
            **vars(torch_exchange_cases),
            **vars(torch_pass_cases),
            **vars(torch_rules_cases),
            **vars(torch_sparse_cases),
            **vars(torch_words_cases),
        }.items()
        if key.startswith("case_") and key != "case_two_groups"
    }
    return {**cases, **named}


if __name__ == "__main__":
    run_cases(cases_for)
