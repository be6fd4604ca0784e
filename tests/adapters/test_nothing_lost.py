"""Nothing is lost: memories in ordinary training, on several ranks of PyTorch (gloo) and MPI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import nothing_lost_cases
import nothing_lost_resume
from nothing_lost_training import LOST
from ranks import results_of, run_ranks


@pytest.fixture(scope="module")
def results() -> dict[int, list[dict[str, Any]]]:
    """Of all cases, by world size and rank; made when they are first asked for."""
    return {}


@pytest.mark.parametrize(
    ("world", "case"),
    [(world, case) for world in (2, 3, 4) for case in nothing_lost_cases.cases_for(world)],
)
def test_case(results: dict[int, list[dict[str, Any]]], world: int, case: str) -> None:
    if world not in results:
        results[world] = results_of(run_ranks("nothing_lost_cases.py", world, longest=1800))
    for rank, result in enumerate(results[world]):
        figure = result.get(case, "did not run")
        assert not isinstance(figure, str), f"rank {rank}:\n{figure}"
        if case in nothing_lost_cases.counted_cases(world):
            assert figure < LOST


@pytest.mark.parametrize("world", [2, 3])
def test_a_new_process_goes_on_bit_for_bit(tmp_path: Path, world: int) -> None:
    whole, rest = (
        results_of(run_ranks("nothing_lost_resume.py", world, phase, str(tmp_path)))
        for phase in ("whole", "rest")
    )
    assert len(whole[0]) == len(nothing_lost_resume.RUNS)
    assert whole == rest
