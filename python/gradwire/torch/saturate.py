"""Converts averages to the dtype of a bucket; finite elements stay finite."""

from __future__ import annotations

import torch


def copy_saturated(source: torch.Tensor, target: torch.Tensor) -> int:
    """Copies ``source`` to ``target``; elements too large for its dtype become its largest number.

    Args:
        source: floats, any shape. Infinities and NaN are copied as they are.
        target: floats, with the same shape.

    Returns:
        The number of finite elements that were too large.
    """
    target.copy_(source)
    if torch.finfo(target.dtype).max >= torch.finfo(source.dtype).max:
        return 0
    infinite = target.isinf()
    if not infinite.any():
        return 0
    too_large = infinite & source.isfinite()
    largest = torch.full_like(target, torch.finfo(target.dtype).max).copysign(target)
    target.copy_(torch.where(too_large, largest, target))
    return int(too_large.sum())


def is_finite(x: torch.Tensor) -> bool:
    """Whether all elements of a dense or sparse tensor are finite."""
    values = x._values() if x.is_sparse else x
    return values.numel() == 0 or bool(torch.linalg.vector_norm(values, torch.inf).isfinite())
