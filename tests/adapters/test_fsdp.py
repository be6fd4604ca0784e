"""compress_fsdp: real processes, real collectives (gloo) under FSDP2."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", "2.13", reason="needs PyTorch 2.13: pip install '.[torch]'")

import fsdp_cases
from ranks import results_of, run_ranks

WORLDS = (2, 3, 4)


@pytest.fixture(scope="module")
def results() -> dict[int, list[dict[str, Any]]]:
    """Of all cases, by world size and rank; made when they are first asked for."""
    return {}


@pytest.mark.parametrize(
    ("world", "case"), [(world, case) for world in WORLDS for case in fsdp_cases.cases()]
)
def test_case(results: dict[int, list[dict[str, Any]]], world: int, case: str) -> None:
    if world not in results:
        results[world] = results_of(run_ranks("fsdp_cases.py", world, longest=600))
    for rank, result in enumerate(results[world]):
        assert result.get(case, "did not run") == "", f"rank {rank}:\n{result.get(case)}"
