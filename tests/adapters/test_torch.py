"""The PyTorch adapter: real processes, real collectives (gloo)."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch_cases
import torch_victim
from ranks import results_of, run_ranks

WORLDS = (2, 4)


@pytest.fixture(scope="module")
def results() -> dict[int, list[dict[str, Any]]]:
    """Of all cases, by world size and rank; made when they are first asked for."""
    return {}


@pytest.mark.parametrize(
    ("world", "case"), [(world, case) for world in WORLDS for case in torch_cases.cases_for(world)]
)
def test_case(results: dict[int, list[dict[str, Any]]], world: int, case: str) -> None:
    if world not in results:
        results[world] = results_of(run_ranks("torch_cases.py", world))
    for rank, result in enumerate(results[world]):
        assert result.get(case, "did not run") == "", f"rank {rank}:\n{result.get(case)}"


@pytest.mark.parametrize("algorithm", torch_cases.ALGORITHMS)
def test_a_rank_that_dies_is_noticed(algorithm: str) -> None:
    ended = run_ranks("torch_victim.py", 3, algorithm)
    for rank, result in enumerate(results_of(ended[:2])):
        assert f"rank {rank} could not exchange frames" in result["error"]
        assert "another rank may have stopped" in result["error"]
        assert result["seconds"] < torch_victim.TIMEOUT + 10


def test_a_state_may_be_made_before_ranks_know_each_other() -> None:
    assert results_of(run_ranks("torch_lazy.py", 2)) == [{"error": ""}] * 2


def test_the_documents_run() -> None:
    ended = results_of(run_ranks("snippet_cases.py", 2))
    assert ended == [{"ran": ["case_fsdp", "case_local_steps", "case_training"]}] * 2
