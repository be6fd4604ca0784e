"""Quantizes gradients and adds up levels with torch operations, on the device of the tensors.

Scales and levels follow the same rules as in the core: ``cpp/src/gradients/bucket_scales.cpp``,
``cpp/src/kernels/generic/float_levels.inl.hpp``. Random numbers are those of torch.
"""

from __future__ import annotations

import math
from typing import Any, Union

import torch

from gradwire.quantizers import QSGD, TernGrad, Uniform

Leveler = Union[QSGD, TernGrad, Uniform]

_MOST_LEVELS = 127  # of int8
_FRACTION_BITS = 24  # of levels in fixed point
_SMALLEST_EXPONENT = -96  # scales other than 0 are at least 2 to the power of this
_LARGEST_SCALE = float.fromhex("0x1.fffff0p127")
_STEPS = 8 * (128 - _SMALLEST_EXPONENT)  # of the grid of log8
_BIAS = 127  # of exponents in float32
_MANTISSA_BITS = 23
_ONE_BITS = _BIAS << _MANTISSA_BITS  # the bits of 1.0
_LARGEST_BFLOAT16_BITS = 0x7F7F0000


def makes_levels(pipeline: Any) -> bool:
    """Whether :func:`levels_on_device` knows this quantizer or sparsifier."""
    return type(pipeline) in (QSGD, TernGrad, Uniform) and highest_level(pipeline) <= _MOST_LEVELS


def highest_level(quantizer: Leveler) -> int:
    """The level that stands for the scale."""
    return quantizer._most()


def levels_on_device(
    x: torch.Tensor, quantizer: Leveler, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantizes a gradient where it is; does not wait for the device.

    Args:
        x: floats, any shape.
        quantizer: QSGD, TernGrad or Uniform with at most 127 levels.
        generator: on the device of ``x``, for random rounding; None to round to nearest.

    Returns:
        Levels, int8, flat; and scales, float32, one per bucket, rounded to the quantizer's
        ``scale_dtype``: NaN in buckets with an element that is not finite as float32. Given the
        same scales, levels rounded to nearest are those of the core bit for bit. Scales that are
        the largest magnitude of a bucket are those of the core; those that are computed from sums
        may differ in the last bit before rounding, because the core sums in another order.
    """
    most, count = highest_level(quantizer), x.numel()
    if isinstance(quantizer, Uniform) and not quantizer.stochastic:
        generator = None
    rows = _in_rows(x.detach().reshape(-1).float(), quantizer.bucket_size)
    largest = torch.linalg.vector_norm(rows, math.inf, dim=1)
    norms = _norms(rows, largest, count, quantizer, to_nearest=generator is None)
    scales = _round_up(norms, quantizer.scale_dtype)
    cap = float(most << _FRACTION_BITS)
    fixed = (rows * _factors(scales, cap)[:, None]).clamp_(-cap, cap).to(torch.int32)
    if generator is None:  # halves away from 0
        fixed.add_(fixed >> 31).add_(1 << (_FRACTION_BITS - 1))
    else:
        fixed.add_(torch.empty_like(fixed).random_(0, 1 << _FRACTION_BITS, generator=generator))
    levels = fixed.bitwise_right_shift_(_FRACTION_BITS).to(torch.int8)
    return levels.reshape(-1)[:count], torch.where(largest.isfinite(), scales, math.nan)


def add_levels(
    out: torch.Tensor, levels: torch.Tensor, units: torch.Tensor, bucket_size: int, add: bool
) -> None:
    """Sets each element of ``out`` to level * unit of its bucket, or adds that if ``add``.

    Products are rounded to float32 before they are added, as in the core: the operations are
    separate kernels.

    Args:
        out: float32, flat.
        levels: int8, as many.
        units: float32, one per bucket.
        bucket_size: at most the number of elements, unless that is 0.
        add: see above.
    """
    whole = out.numel() // bucket_size * bucket_size
    rows = levels[:whole].view(-1, bucket_size), units[: whole // bucket_size, None]
    parts = [(out[:whole].view(-1, bucket_size), *rows)]
    if whole < out.numel():
        parts.append((out[whole:], levels[whole:], units[-1]))
    for target, part, unit in parts:
        if add:
            target.add_(part * unit)
        else:
            torch.mul(part, unit, out=target)


def _in_rows(flat: torch.Tensor, bucket_size: int | None) -> torch.Tensor:
    """The elements with one bucket per row; zeros fill the last one."""
    count = flat.numel()
    size = min(bucket_size or count, count) or 1
    rows = -(-count // size) if bucket_size else 1
    return torch.nn.functional.pad(flat, (0, rows * size - count)).view(rows, size)


def _norms(
    rows: torch.Tensor, largest: torch.Tensor, count: int, quantizer: Leveler, to_nearest: bool
) -> torch.Tensor:
    """The scales of buckets before they are rounded, as float64."""
    highest = largest.double()
    if isinstance(quantizer, TernGrad):
        counts = torch.full_like(highest, rows.shape[1])
        counts[-1:] -= rows.numel() - count
        squares = torch.linalg.vector_norm(rows, 2, dim=1, dtype=torch.float64).square() / counts
        means = rows.sum(dim=1, dtype=torch.float64) / counts
        clips = quantizer.clip * (squares - means.square()).clamp(min=0).sqrt()
        # A constant gradient has no deviation; its clip, if infinite, is NaN.
        limits = torch.maximum(clips.nan_to_num(0, math.inf), squares.sqrt())
        return torch.minimum(highest, limits)
    if isinstance(quantizer, QSGD) and quantizer.norm == "l2":
        l2 = torch.linalg.vector_norm(rows, 2, dim=1, dtype=torch.float64)
        norms = torch.maximum(highest, l2)
        return torch.minimum(norms, quantizer.levels * highest) if to_nearest else norms
    return highest


def _round_up(norms: torch.Tensor, scale_dtype: str) -> torch.Tensor:
    """Scales that can be sent: 0, or the lowest one that is at least the norm, or the largest."""
    single = norms.clamp(max=_LARGEST_SCALE).float().clamp(min=2.0**_SMALLEST_EXPONENT)
    bits = single.view(torch.int32)
    if scale_dtype == "bfloat16":
        bits = (bits + 0xFFFF).bitwise_and(~0xFFFF).clamp(max=_LARGEST_BFLOAT16_BITS)
        single = bits.view(torch.float32)
    elif scale_dtype == "log8":
        single = _round_up_to_log8(bits)
    return torch.where(norms == 0, 0.0, single)


def _round_up_to_log8(bits: torch.Tensor) -> torch.Tensor:
    """Powers of 2^(1/8), from the bits of float32 numbers (docs/FORMAT.md, section 9.2)."""
    smallest = _BIAS + _SMALLEST_EXPONENT
    eighths = torch.exp2(torch.arange(8, device=bits.device, dtype=torch.float64) / 8).float()
    fraction_mask = (1 << _MANTISSA_BITS) - 1
    mantissas = bits.bitwise_and(fraction_mask).bitwise_or(_ONE_BITS).view(torch.float32)
    steps = ((bits >> _MANTISSA_BITS) - smallest) * 8
    steps = steps + (mantissas[:, None] > eighths).sum(dim=1, dtype=torch.int32)
    steps = steps.clamp(max=_STEPS - 1)
    powers = ((steps // 8 + smallest) << _MANTISSA_BITS).view(torch.float32)
    return powers * eighths[steps.remainder(8).long()]


def _factors(scales: torch.Tensor, cap: float) -> torch.Tensor:
    """What turns elements into levels in fixed point, none of which exceeds ``cap``."""
    factors = torch.full_like(scales, cap) / scales  # by a number, CUDA multiplies by its inverse
    factors = torch.where(scales > 0, factors, 0.0)
    too_large = factors.double() * scales.double() > cap
    return (factors.view(torch.int32) - too_large.int()).view(torch.float32)
