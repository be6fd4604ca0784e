"""gw.torch.Communicator: real processes, real collectives (gloo)."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import communicator_cases
import communicator_victim
from ranks import results_of, run_ranks
from torch_training import ALGORITHMS


@pytest.fixture(scope="module")
def results() -> dict[int, list[dict[str, Any]]]:
    """Of all cases, by world size and rank; made when they are first asked for."""
    return {}


@pytest.mark.parametrize(
    ("world", "case"),
    [(world, case) for world in (2, 3) for case in communicator_cases.cases_for(world)],
)
def test_case(results: dict[int, list[dict[str, Any]]], world: int, case: str) -> None:
    if world not in results:
        results[world] = results_of(run_ranks("communicator_cases.py", world))
    for rank, result in enumerate(results[world]):
        assert result.get(case, "did not run") == "", f"rank {rank}:\n{result.get(case)}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_rank_that_dies_is_noticed(algorithm: str) -> None:
    ended = run_ranks("communicator_victim.py", 3, algorithm)
    for rank, result in enumerate(results_of(ended[:2])):
        for error in result["errors"]:
            assert f"rank {rank} could not exchange frames" in error
        assert result["as_before"]
        assert result["seconds"] < communicator_victim.TIMEOUT + 10
