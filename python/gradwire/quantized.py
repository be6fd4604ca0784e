"""Frames of gradients that the caller has quantized or sparsified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradwire import _core
from gradwire._arrays import ByteArray, IntegerArray, as_integers
from gradwire._checks import check_choice, check_integer
from gradwire._core import FloatType
from gradwire._floats import FLOAT_TYPES, as_floats, to_float32
from gradwire._tensors import is_tensor
from gradwire.codecs import Codec, as_codec
from gradwire.quantizers import Lossless

_NARROW, _WIDE = np.iinfo(np.int8), np.iinfo(np.int16)


def compress_levels(
    levels: Any,
    scales: Any,
    bucket_size: int | None = None,
    *,
    dtype: str = "float32",
    codec: str | Codec = "entropy",
    threads: int | None = None,
) -> ByteArray:
    """Makes a gradient frame of levels and scales from a quantizer of yours.

    Element i of the decoded gradient is ``levels[i] * scales[i // bucket_size]``, one float32
    multiplication; i is the index into the flattened levels. Where the scale is 0, it is 0, never
    -0. A quantizer whose highest level s stands for its scale, such as ``QSGD(s)``, passes
    ``scales / s``.

    Args:
        levels: integers from -32768 to 32767, of any integer type and of the gradient's shape; a
            NumPy array, a torch tensor (copied if it is not in host memory), or anything with the
            buffer protocol or DLPack. They are sent as int8 if all are from -128 to 127, and
            otherwise as int16.
        scales: a float, or one float for each bucket, in an array or tensor of any shape;
            float32, float16, bfloat16 or float64, which is rounded to float32. Finite and not
            negative.
        bucket_size: number of consecutive elements of the flattened levels that share a scale; the
            last bucket may be shorter. None for a single scale.
        dtype: type of the gradient from which the levels were made, which the frame states:
            "float32", "float16", "bfloat16" or "float64".
        codec: the codec for the levels, as a key or an object.
        threads: at most this many; None for the setting of ``codec``, or the default.

    Returns:
        The frame: a 1-D uint8 array, for :func:`gradwire.decompress_gradient` and the like.

    Raises:
        TypeError: ``levels`` are not integers, or ``scales`` not floats; or one of them is not in
            host memory.
        ValueError: a level is out of range, a scale is negative or not finite, the number of
            scales is not that of the buckets, or another argument is wrong.

    >>> import gradwire as gw
    >>> import numpy as np
    >>> levels = np.array([[1, -2, 0], [3, 0, -100]])
    >>> frame = gw.compress_levels(levels, [0.5, 0.25], bucket_size=3)
    >>> gw.decompress_gradient(frame).tolist()
    [[0.5, -1.0, 0.0], [0.75, 0.0, -25.0]]
    """
    check_choice("dtype", dtype, FLOAT_TYPES)
    array = _as_levels(_on_host(levels))
    if bucket_size is not None:
        check_integer("bucket_size", bucket_size, 1)
        bucket_size = min(bucket_size, 2**63 - 1)
    units = to_float32(*as_floats(_on_host(scales), "scales"))
    buckets = 1 if bucket_size is None else -(-array.size // bucket_size)
    if units.size != buckets:
        raise ValueError(_told_of_scales(units.size, array.size, bucket_size, buckets))
    units = units[: array.size] + np.float32(0)  # an empty gradient has none; -0 becomes 0
    options = as_codec(codec, threads)._core_options
    return _core.compress_levels(array, FLOAT_TYPES[dtype], units, bucket_size or 0, options)


def _on_host(data: Any) -> Any:
    """A copy in host memory of a torch tensor on another device; anything else as it is."""
    return data.cpu() if is_tensor(data) and data.device.type not in ("cpu", "meta") else data


def _as_levels(levels: Any) -> IntegerArray:
    """As int8 if they fit, otherwise as int16."""
    array, _ = as_integers(levels)
    if array.dtype == np.int8:
        return array
    least, most = array.min(initial=0), array.max(initial=0)
    if least >= _NARROW.min and most <= _NARROW.max:
        return array.astype(np.int8)
    wrong = (array < _WIDE.min) | (array > _WIDE.max)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"levels must be {_WIDE.min} to {_WIDE.max}, got {array.reshape(-1)[first]} at "
            f"flat index {first}; round to fewer levels, with larger scales"
        )
    return array.astype(np.int16, copy=False)


def _told_of_scales(given: int, count: int, bucket_size: int | None, buckets: int) -> str:
    if bucket_size is None:
        return f"scales has {given} elements, but a single bucket takes 1; pass bucket_size"
    return (
        f"scales has {given} elements, but {count} levels in buckets of {bucket_size} take "
        f"{buckets}, one per bucket"
    )


def compress_selected(
    indices: Any,
    values: Any,
    shape: int | Sequence[int],
    *,
    codec: str | Codec = "entropy",
    threads: int | None = None,
) -> ByteArray:
    """Makes a gradient frame of some elements, chosen by a sparsifier of yours.

    The decoded gradient has ``values[i]`` at the flat index ``indices[i]``, and 0 elsewhere.
    Values are sent without loss, except that those of float64 are rounded to float32.

    Args:
        indices: into the flattened gradient, strictly ascending; integers of any type, one
            dimension. For those of ``torch.topk``: ``order = indices.argsort()``, then pass
            ``indices[order]`` and ``values[order]``.
        values: as many finite floats: float32, float16, bfloat16 or float64; like the indices, in
            a NumPy array, a torch tensor, or anything with the buffer protocol or DLPack. The
            frame states their type as that of the gradient.
        shape: of the whole gradient, which has at most 2^32 elements.
        codec: the codec for the indices, as a key or an object.
        threads: at most this many; None for the setting of ``codec``, or the default.

    Returns:
        The frame: a 1-D uint8 array, for :func:`gradwire.decompress_gradient` and the like.

    Raises:
        TypeError: ``indices`` are not integers, or ``values`` not floats; or one of them is not in
            host memory.
        ValueError: the indices do not ascend or are out of range, there are more or fewer values
            than indices, a value is not finite as float32, or the shape is wrong.

    >>> import gradwire as gw
    >>> frame = gw.compress_selected([1, 4], [0.5, -2.0], (2, 3))
    >>> gw.decompress_gradient(frame).tolist()
    [[0.0, 0.5, 0.0], [0.0, -2.0, 0.0]]
    """
    lengths = list(shape) if isinstance(shape, Sequence) else [shape]
    for length in lengths:
        check_integer("each length in shape", length, 0, 2**63 - 1)
    count = math.prod(lengths)
    places, _ = as_integers(_on_host(indices))
    if places.dtype == np.bool_:
        raise TypeError("indices must be integers, got a mask of bool; pass mask.nonzero()[0]")
    elements, kind = as_floats(_on_host(values), "values")
    for name, array in (("indices", places), ("values", elements)):
        if array.ndim != 1:
            raise ValueError(f"{name} must have one dimension, got shape {array.shape}")
    if places.size != elements.size:
        raise ValueError(
            f"indices and values must match, got {places.size} indices and {elements.size} values"
        )
    outside = (places < 0) | (places >= count)
    if outside.any():
        first = int(np.argmax(outside))
        raise ValueError(
            f"indices must be at least 0 and below {count}, the number of elements of the "
            f"gradient; got {places[first]} at index {first}"
        )
    descents = places[1:] <= places[:-1]
    if descents.any():
        first = int(np.argmax(descents))
        raise ValueError(
            f"indices must strictly ascend, got {places[first]} before {places[first + 1]}; "
            "sort indices and values by index, and add up the values of equal indices"
        )
    flat = to_float32(elements, kind)
    if not np.isfinite(flat).all():
        first = int(np.argmin(np.isfinite(flat)))
        raise ValueError(f"values must be finite as float32, got {flat[first]} at index {first}")
    return _core.compress_sparse(
        lengths,
        kind,
        places.astype(np.uint32),
        flat,
        random_stream=None,
        value_type=FloatType.FLOAT32 if kind == FloatType.FLOAT64 else kind,
        quantizer=Lossless().core(),
        codec=as_codec(codec, threads)._core_options,
        stream=0,
        sent=None,
    )
