"""More of what the ranks of test_communicator.py do: memories, checkpoints and skipped steps."""

from __future__ import annotations

import io
from collections.abc import Callable

import torch
import torch.distributed as dist
from communicator_training import all_numbers, gradients, held, make
from torch_training import ALGORITHMS, PIPELINES, expect

import gradwire as gw
from gradwire.torch import named_tensors

SOME = ("qsgd-residual", "topk-residual", "topk-dgc", "efsign")


def assert_nothing_lost(
    communicator: gw.torch.Communicator,
    given: dict[str, torch.Tensor],
    arrived: dict[str, torch.Tensor],
) -> None:
    """What was given is what has arrived, and what memories hold."""
    memory = held(communicator)
    for name in given:
        left = memory.get(name, torch.zeros(given[name].numel(), dtype=torch.float64))
        balance = given[name].double() - left.reshape(given[name].shape)
        dist.all_reduce(balance)
        balance /= dist.get_world_size()
        assert torch.allclose(balance, arrived[name].double(), atol=1e-4), name


def make_buckets_that_change_case(name: str, algorithm: str) -> Callable[[], None]:
    """Memories follow their tensors, whatever these are averaged with."""

    def case() -> None:
        size, named_tensors.BUCKET_BYTES = named_tensors.BUCKET_BYTES, 16_000
        communicator = make(PIPELINES[name](), algorithm)
        given = {n: torch.zeros_like(t) for n, t in gradients(0).items()}
        arrived = {n: torch.zeros_like(t) for n, t in gradients(0).items()}
        turns = (["a", "b", "c"], ["a"], ["b", "c"], ["c", "a"], ["a", "b", "c"], ["b"])
        for step in range(24):
            names = turns[step % len(turns)]
            own = {n: gradients(step)[n] for n in names}
            if step % 3 == 2:
                averages = {n: communicator.step(t, n) for n, t in own.items()}
            else:
                averages = communicator.average(own)
            for n in names:
                given[n] += own[n]
                arrived[n] += averages[n]
            if step % 7 == 6:
                state = communicator.state_dict()
                communicator.close()
                communicator = make(PIPELINES[name](), algorithm)
                communicator.load_state_dict(state)
        assert_nothing_lost(communicator, given, arrived)
        communicator.close()
        named_tensors.BUCKET_BYTES = size

    return case


def make_resume_case(name: str, algorithm: str) -> Callable[[], None]:
    """A run that is cut in two goes on bit for bit, also in other buckets without losing any."""

    def case() -> None:
        whole, first = (make(PIPELINES[name](), algorithm) for _ in range(2))
        for step in range(3):
            whole.average(gradients(step), weight=dist.get_rank() + 1)
            first.average(gradients(step), weight=dist.get_rank() + 1)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        first.close()
        second = make(PIPELINES[name](), algorithm)
        second.load_state_dict(torch.load(file, weights_only=True))
        assert all_numbers(second) == all_numbers(whole)
        for step in range(3, 6):
            averages = [one.average(gradients(step)) for one in (whole, second)]
            assert all(torch.equal(averages[0][n], averages[1][n]) for n in averages[0])
        assert all_numbers(second) == all_numbers(whole)
        for one in (whole, second):
            one.close()

    return case


def make_redistribution_case(algorithm: str) -> Callable[[], None]:
    """With strict=False, ranks hold the mean, also for the other algorithm."""

    def case() -> None:
        communicator = make(PIPELINES["qsgd-residual"](), algorithm)
        for step in range(3):
            communicator.average(gradients(step))
        state, before = communicator.state_dict(), held(communicator)
        communicator.close()
        other = make(PIPELINES["qsgd-residual"](), ALGORITHMS[algorithm == ALGORITHMS[0]])
        texts = ["the checkpoint has algorithm", "strict=False"]
        expect(ValueError, texts, lambda: other.load_state_dict(state))
        other.load_state_dict([state], strict=False)
        after = held(other)
        for name, array in before.items():
            dist.all_reduce(array)
            assert torch.allclose(array / dist.get_world_size(), after[name], atol=1e-5)
        other.average({n: t for n, t in gradients(3).items() if n != "a"})
        assert set(held(other)) == {"a", "b", "c"}
        other.close()

    return case


def make_skip_case(algorithm: str) -> Callable[[], None]:
    """Skipped steps leave memory as it was, for all tensors of a bucket or some of them."""

    def case() -> None:
        communicator = make(PIPELINES["qsgd-residual"](), algorithm)
        communicator.average(gradients(0))
        before = {n: t.clone() for n, t in held(communicator).items()}
        communicator.average(gradients(1), async_op=True)
        communicator.skip_step(["a", "b", "c"])
        assert all(torch.equal(before[n], t) for n, t in held(communicator).items())
        communicator.average(gradients(2))
        after = {n: t.clone() for n, t in held(communicator).items()}
        communicator.skip_step(["b", "c"])
        now = held(communicator)
        assert torch.equal(now["a"], after["a"])
        assert torch.allclose(now["b"], before["b"], atol=1e-5)
        assert torch.allclose(now["c"], before["c"], atol=1e-5)
        overflow = gradients(3)
        if dist.get_rank() == 0:
            overflow["a"][3, 3] = torch.inf
        averages = communicator.average(overflow)
        assert averages["a"].isnan().any()
        assert averages["c"].isfinite().all()  # of another dtype
        communicator.skip_step(["a", "b", "c"])
        again = held(communicator)
        assert all(torch.equal(now[n], again[n]) for n in ("a", "b", "c"))
        expect(TypeError, ["pass ['a']"], lambda: communicator.skip_step("a"))
        communicator.close()

    return case


def case_loss_scale() -> None:
    """Memories of buckets follow a loss scaler."""
    scale = [1024.0]
    for algorithm in ALGORITHMS:
        compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual(), loss_scale=lambda: scale[0])
        communicator = make(compressor, algorithm)
        given = {n: torch.zeros_like(t) for n, t in gradients(0).items()}
        arrived = {n: torch.zeros_like(t) for n, t in gradients(0).items()}
        for step in range(8):
            scale[0] = 2.0 ** (step % 3 + 4)
            averages = communicator.average(
                {n: t * scale[0] for n, t in gradients(step).items() if n != "b" or step % 2}
            )
            for n, average in averages.items():
                given[n] += gradients(step)[n]
                arrived[n] += average / scale[0]
        memory = communicator.state_dict()["tensors"]
        left = held(communicator)
        for n in given:
            balance = given[n].double() - left[n].reshape(given[n].shape) / memory[n]["loss_scale"]
            dist.all_reduce(balance)
            balance /= dist.get_world_size()
            assert torch.allclose(balance, arrived[n].double(), atol=1e-4), n
        communicator.close()


def cases_for(world: int) -> dict[str, Callable[[], None]]:
    """By name, in the order in which they run."""
    cases: dict[str, Callable[[], None]] = {"loss_scale": case_loss_scale}
    for algorithm in ALGORITHMS:
        for name in SOME:
            if "residual" in name:  # others send momentum or steps, not what was given
                key = f"buckets-that-change-{name}-{algorithm}"
                cases[key] = make_buckets_that_change_case(name, algorithm)
            cases[f"resume-{name}-{algorithm}"] = make_resume_case(name, algorithm)
        cases[f"redistribution-{algorithm}"] = make_redistribution_case(algorithm)
        cases[f"skip-{algorithm}"] = make_skip_case(algorithm)
    return cases
