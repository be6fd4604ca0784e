"""Communicators and gradients that the tests of gw.torch.Communicator share."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

import gradwire as gw


def make(compressor: gw.Compressor, algorithm: str = "allgather") -> gw.torch.Communicator:
    """A communicator of all ranks."""
    return gw.torch.Communicator(compressor, algorithm=algorithm)


def gradients(step: int) -> dict[str, torch.Tensor]:
    """Of this rank: three tensors of two types."""
    generator = torch.Generator().manual_seed(7919 * step + dist.get_rank())
    shapes = {"a": (100, 30), "b": (777,), "c": (50, 50)}
    made = {name: torch.randn(shape, generator=generator) ** 3 for name, shape in shapes.items()}
    return {**made, "c": made["c"].double()}


def gathered(x: torch.Tensor) -> np.ndarray:
    """A tensor of all ranks, as float64."""
    everyone = [torch.empty(x.shape, dtype=torch.float64) for _ in range(dist.get_world_size())]
    dist.all_gather(everyone, x.double().contiguous())
    return torch.stack(everyone).numpy()


def plain(state: Any) -> Any:
    """A state as lists, numbers and text."""
    if isinstance(state, dict):
        return {str(key): plain(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [plain(value) for value in state]
    return state.tolist() if isinstance(state, (torch.Tensor, np.generic)) else state


def all_numbers(communicator: gw.torch.Communicator) -> str:
    """The memory of all tensors, as text."""
    return json.dumps(plain(communicator.state_dict()["tensors"]), sort_keys=True)


def held(communicator: gw.torch.Communicator) -> dict[str, torch.Tensor]:
    """What is still to be sent of each tensor; an average stands for all ranks."""
    found = {}
    for name, tensor in communicator.state_dict()["tensors"].items():
        kinds = tensor["arrays"]
        unsent = kinds[communicator.averager.compressor.memory.unsent]
        whole = unsent + dist.get_world_size() * kinds.get("second stage", 0.0)
        found[name] = whole.double()
    return found
