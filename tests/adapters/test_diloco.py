"""Local steps in PyTorch: real processes, real collectives (gloo)."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import diloco_cases
import diloco_victim
from ranks import results_of, run_ranks


@pytest.fixture(scope="module")
def results() -> dict[int, list[dict[str, Any]]]:
    """Of all cases, by world size and rank; made when they are first asked for."""
    return {}


@pytest.mark.parametrize(
    ("world", "case"), [(world, case) for world in (2, 3) for case in diloco_cases.cases_for(world)]
)
def test_case(results: dict[int, list[dict[str, Any]]], world: int, case: str) -> None:
    if world not in results:
        results[world] = results_of(run_ranks("diloco_cases.py", world))
    for rank, result in enumerate(results[world]):
        assert result.get(case, "did not run") == "", f"rank {rank}:\n{result.get(case)}"


def test_a_rank_that_dies_is_noticed() -> None:
    ended = run_ranks("diloco_victim.py", 3)
    for rank, result in enumerate(results_of(ended[:2])):
        assert result["error"].startswith(f"rank {rank} could not exchange frames")
        assert result["error"].count("another rank may have stopped") == 1
        assert result["seconds"] < diloco_victim.TIMEOUT + 10
