"""More of what the ranks of test_communicator.py do: averages with weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.distributed as dist
from communicator_training import all_numbers, gathered, gradients, make
from torch_training import ALGORITHMS, PIPELINES, expect

import gradwire as gw


def make_weights_case(algorithm: str) -> Callable[[], None]:
    """The average is that of NumPy, one of equal weights has the bits of one without."""

    def case() -> None:
        rank, world = dist.get_rank(), dist.get_world_size()
        communicator = make(gw.Compressor(gw.Lossless()), algorithm)
        for dtype, most in ((torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 0.02)):
            x = torch.arange(3000.0).reshape(3, -1).to(dtype) / 3000 + rank
            everyone = gathered(x)
            for weights in ([1, 2, 3], [0.3, 0, 5.5], [1e-300, 3e-300, 0], [1e300, 1e300, 1e308]):
                used = weights[:world]
                average = communicator.step(x, "x", weight=used[rank])
                wanted = np.average(everyone, axis=0, weights=np.array(used) / max(used))
                assert average.dtype == dtype and average.shape == x.shape
                np.testing.assert_allclose(average.double().numpy(), wanted, rtol=most)
                assert (gathered(average) == average.double().numpy()).all()  # on all ranks
            equal = communicator.step(x, "x", weight=torch.tensor(7.0))
            assert torch.equal(equal, communicator.step(x, "x"))
        communicator.close()

    return case


def make_no_data_case(algorithm: str) -> Callable[[], None]:
    """A rank of weight 0 does not count, even if its tensor is NaN, and keeps its memory."""

    def case() -> None:
        rank, world = dist.get_rank(), dist.get_world_size()
        for name, compressor in PIPELINES.items():
            communicator = make(compressor(), algorithm)
            communicator.step(gradients(0)["a"], "a", weight=1)
            kind = "second stage"  # of the averages that this rank sends
            before = communicator.state_dict()["tensors"]
            x = gradients(1)["a"] if rank < world - 1 else torch.full((100, 30), torch.nan)
            average = communicator.step(x, "a", weight=int(rank < world - 1))
            assert average.isfinite().all() and average.any(), name
            after = communicator.state_dict()["tensors"]
            for key in before["a"]["arrays"] if rank == world - 1 and before else ():
                if key != kind:
                    one, other = (s["a"]["arrays"][key] for s in (before, after))
                    assert torch.equal(one, other), name
            communicator.close()

    return case


def make_wrong_weights_case(algorithm: str) -> Callable[[], None]:
    """All ranks raise, nothing changes in memory, and all go on."""

    def case() -> None:
        rank, world = dist.get_rank(), dist.get_world_size()
        communicator = make(gw.Compressor(gw.QSGD(4), memory=gw.Residual()), algorithm)
        x = gradients(0)["a"]
        communicator.step(x, "a", weight=1)
        before = all_numbers(communicator)
        last = rank == world - 1
        for own, told in (
            (None if last else 2.0, [f"rank 0 passed a weight and rank {world - 1} passed none"]),
            (2.0 if last else None, [f"rank {world - 1} passed a weight and rank 0 passed none"]),
            (-1 if last else 1, [f"rank {world - 1} passed -1.0", "not negative"]),
            (float("nan") if last else 1, [f"rank {world - 1} passed nan"]),
            (float("inf") if rank == 0 else 1, ["rank 0 passed inf"]),
            (0, ["all ranks passed the weight 0"]),
        ):
            expect(ValueError, told, lambda own=own: communicator.step(x, "a", weight=own))
            pending = communicator.average({"a": x}, weight=own, async_op=True)
            expect(ValueError, told, pending.wait)
            expect(ValueError, told, pending.wait)
            assert all_numbers(communicator) == before
        expect(TypeError, ["must be a number"], lambda: communicator.step(x, "a", weight="x"))
        assert communicator.step(x, "a", weight=rank).isfinite().all()
        communicator.close()

    return case


def make_votes_case(algorithm: str) -> Callable[[], None]:
    """A rank has as many votes as its weight says; ties are 0."""

    def case() -> None:
        rank, world = dist.get_rank(), dist.get_world_size()
        weights = [3, 7, 10][-world:]
        signs = torch.randint(-1, 2, (world, 5000), generator=torch.Generator().manual_seed(4))
        communicator = make(gw.Compressor(gw.SignSGD()), algorithm)
        wanted = torch.sign(sum(w * s for w, s in zip(weights, signs)))
        assert torch.equal(communicator.step(signs[rank].float(), "x", weights[rank]), wanted)
        communicator.close()

    return case


def make_weighted_balance_case(name: str, algorithm: str) -> Callable[[], None]:
    """With weights, what arrives and what memories hold is what was given."""

    def case() -> None:
        rank, world = dist.get_rank(), dist.get_world_size()
        share = (rank + 1) / sum(range(1, world + 1))
        compressor = PIPELINES[name]()
        communicator = make(compressor, algorithm)
        given, arrived = torch.zeros(100, 30), torch.zeros(100, 30)
        for step in range(20):
            given += gradients(step)["a"]
            arrived += communicator.step(gradients(step)["a"], "a", weight=rank + 1)
        kinds = communicator.state_dict()["tensors"]["a"]["arrays"]
        held = share * kinds[compressor.memory.unsent] + kinds.get("second stage", 0)
        balance = share * given - held.reshape(given.shape)
        dist.all_reduce(balance)
        assert torch.allclose(balance, arrived, atol=1e-4), (balance - arrived).abs().max()
        communicator.close()

    return case


def cases_for(world: int) -> dict[str, Callable[[], None]]:
    """By name, in the order in which they run."""
    cases: dict[str, Callable[[], None]] = {}
    for algorithm in ALGORITHMS:
        cases[f"weights-{algorithm}"] = make_weights_case(algorithm)
        cases[f"no-data-{algorithm}"] = make_no_data_case(algorithm)
        cases[f"wrong-weights-{algorithm}"] = make_wrong_weights_case(algorithm)
        cases[f"votes-{algorithm}"] = make_votes_case(algorithm)
        for name in ("qsgd-residual", "topk-residual"):
            cases[f"balance-{name}-{algorithm}"] = make_weighted_balance_case(name, algorithm)
    return cases
