"""Memories on the path for GPUs, run on tensors in host memory, with real collectives (gloo)."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import torch_device_memory_cases
from nothing_lost_training import LOST
from ranks import results_of, run_ranks


@pytest.fixture(scope="module")
def results() -> dict[int, list[dict[str, Any]]]:
    """Of all cases, by world size and rank; made when they are first asked for."""
    return {}


@pytest.mark.parametrize(
    ("world", "case"),
    [(world, case) for world in (2, 4) for case in torch_device_memory_cases.cases_for(world)],
)
def test_case(results: dict[int, list[dict[str, Any]]], world: int, case: str) -> None:
    if world not in results:
        ended = run_ranks("torch_device_memory_cases.py", world, longest=900)
        results[world] = results_of(ended)
    for rank, result in enumerate(results[world]):
        figure = result.get(case, "did not run")
        if case in torch_device_memory_cases.counted_cases(world):
            assert not isinstance(figure, str), f"rank {rank}:\n{figure}"
            assert figure < LOST
        else:
            assert figure == "", f"rank {rank}:\n{figure}"
