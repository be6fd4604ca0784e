"""The hook's path for GPUs, run on tensors in host memory, with real collectives (gloo)."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch_device_cases
from ranks import results_of, run_ranks


@pytest.fixture(scope="module")
def results() -> dict[int, list[dict[str, Any]]]:
    """Of all cases, by world size and rank; made when they are first asked for."""
    return {}


@pytest.mark.parametrize(
    ("world", "case"),
    [(world, case) for world in (2, 4) for case in torch_device_cases.cases_for(world)],
)
def test_case(results: dict[int, list[dict[str, Any]]], world: int, case: str) -> None:
    if world not in results:
        results[world] = results_of(run_ranks("torch_device_cases.py", world))
    for rank, result in enumerate(results[world]):
        assert result.get(case, "did not run") == "", f"rank {rank}:\n{result.get(case)}"
