"""Several tensors with names, and the buckets in which they are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gradwire._floats import as_floats
from gradwire._tensors import plain_tensor

BUCKET_BYTES = 25 << 20
"""Tensors are joined up to this size, which is that of DDP's buckets. Larger ones stand alone."""


def named(tensors: Any, names: Sequence[str] | None) -> dict[str, torch.Tensor]:
    """A list or dict of tensors, as a dict by name.

    Raises:
        TypeError: ``tensors`` is neither a sequence nor a mapping.
        ValueError: ``names`` has another length, or a name twice, or comes with a mapping.
    """
    if isinstance(tensors, Mapping):
        if names is not None:
            raise ValueError("the tensors of a dict have names; pass names= with a list only")
        return dict(tensors)
    if isinstance(tensors, torch.Tensor) or not isinstance(tensors, Sequence):
        raise TypeError(
            f"tensors must be a list or a dict, got {type(tensors).__name__}; pass list(...), or "
            "[tensor] for a single one"
        )
    own = [str(index) for index in range(len(tensors))] if names is None else list(names)
    if len(own) != len(tensors):
        raise ValueError(
            f"got {len(tensors)} tensors and {len(own)} names; pass one name for each tensor"
        )
    twice = [name for index, name in enumerate(own) if name in own[:index]]
    if twice:
        raise ValueError(f"names must be unique, got {twice[0]!r} twice")
    return dict(zip(own, tensors))


def as_given(tensors: Any, names: Mapping[str, Any], averages: Mapping[str, torch.Tensor]) -> Any:
    """The averages as a list or dict like ``tensors``, in its order."""
    ordered = {name: averages[name] for name in names}
    return ordered if isinstance(tensors, Mapping) else list(ordered.values())


def flat_on_host(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The elements of a tensor as a flat tensor in host memory, copied only if need be.

    Raises:
        TypeError: it is no tensor, has no floats, or does not hold its elements in memory.
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(
            f"tensor {name!r} must be a torch tensor, got {type(tensor).__name__}; for a parameter "
            "without a gradient, pass zeros, or leave it out on all ranks"
        )
    host = tensor if tensor.is_cpu or tensor.is_meta else tensor.detach().cpu()
    flat: torch.Tensor = plain_tensor(host, to_write=False).contiguous().reshape(-1)
    as_floats(flat[:0])  # raises TypeError for other dtypes
    return flat


def shape_of(tensor: torch.Tensor) -> str:
    """The dtype and shape of a tensor in words."""
    return f"{tensor.dtype} {tuple(tensor.shape)}".replace("torch.", "")


def bucketed(flat: Mapping[str, torch.Tensor]) -> list[list[str]]:
    """The names of tensors in buckets of one dtype, in alphabetical order.

    So all ranks have the same buckets, whatever the order of their dicts.
    """
    buckets: list[list[str]] = []
    filling: dict[torch.dtype, list[str]] = {}
    room: dict[torch.dtype, int] = {}
    for name in sorted(flat):
        dtype, size = flat[name].dtype, flat[name].nbytes
        if size > room.get(dtype, -1):
            filling[dtype], room[dtype] = [], BUCKET_BYTES
            buckets.append(filling[dtype])
        filling[dtype].append(name)
        room[dtype] -= size
    return buckets
