"""Reads and decodes gradient frames of any compressor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np

from gradwire import _core
from gradwire._arrays import as_bytes, check_apart
from gradwire._checks import check_number
from gradwire._core import FloatType, Method
from gradwire._floats import Float32Array, FloatArray, as_output

Out = TypeVar("Out")


@dataclass(frozen=True)
class GradientInfo:
    """The header of a gradient frame (``docs/FORMAT.md``, section 9)."""

    method: str
    """ "levels", "wide levels", "signs", "ternary signs", "powers", "planes", "sparse" or "random".

    Wide levels are int16, others int8.
    """
    dtype: str
    """Of the gradient: "float32", "float16", "bfloat16" or "float64"."""
    shape: tuple[int, ...]
    """Of the gradient."""
    count: int
    """Number of elements."""
    sent: int
    """Number of elements that were sent, not left out."""
    nbytes: int
    """Bytes of the frame."""


def inspect_gradient(frame: Any) -> GradientInfo:
    """Reads a gradient frame's header and checks the header's checksum; decodes nothing.

    Args:
        frame: bytes, a uint8 array, or anything with the buffer protocol or DLPack.

    Raises:
        CorruptFrameError: the bytes are not a gradient frame, or the header was changed.
        TruncatedFrameError: the bytes end before the frame does.
        UnsupportedFormatError: a version or method that this build does not know.
    """
    data = as_bytes(frame)
    method, kind, shape, count, sent = _core.inspect_gradient(data)
    return GradientInfo(_name(method), _name(kind), shape, count, sent, data.nbytes)


def _check_size(count: int, dtype: np.dtype[Any], max_size: float | None) -> None:
    if max_size is not None and count * dtype.itemsize > max_size:
        raise _core.BufferTooSmallError(
            f"the gradient decodes to {count} elements of {dtype}, max_size allows {max_size} bytes"
        )


def _name(member: Method | FloatType) -> str:
    return member.name.lower().replace("_", " ")


@overload
def decompress_gradient(
    frame: Any,
    out: None = None,
    accumulate: bool = False,
    scale: float = 1.0,
    max_size: float | None = None,
    threads: int | None = None,
) -> FloatArray: ...
@overload
def decompress_gradient(
    frame: Any,
    out: Out,
    accumulate: bool = False,
    scale: float = 1.0,
    max_size: float | None = None,
    threads: int | None = None,
) -> Out: ...
def decompress_gradient(
    frame: Any,
    out: Any = None,
    accumulate: bool = False,
    scale: float = 1.0,
    max_size: float | None = None,
    threads: int | None = None,
) -> Any:
    """Decodes a gradient frame of any compressor.

    Args:
        frame: bytes, a uint8 array, or anything with the buffer protocol or DLPack.
        out: float32 array or torch CPU tensor to fill instead of a new one: C-contiguous, writable,
            with as many elements as the gradient. For a frame of ``Lossless`` it may have the
            type of the gradient, and receives it bit for bit.
        accumulate: add to ``out`` instead of replacing it, without a temporary array.
        scale: factor by which the decoded gradient is multiplied, for example 1 / world size.
        max_size: largest decoded size in bytes to accept, checked before anything is allocated.
            Pass it for untrusted frames: a short sparse one may declare 2^32 elements.
        threads: at most this many; None for the default.

    Returns:
        ``out``, or a new float32 array of the gradient's shape. For frames of ``Lossless``
        it has the dtype of the gradient if ``scale`` is 1; but float32 for bfloat16, which NumPy
        lacks.

    Raises:
        CorruptFrameError: the bytes are not a gradient frame, or were changed. Accidental damage
            leaves ``out`` unchanged, because checksums are verified before anything is written.
        TruncatedFrameError: the bytes end before the frame does.
        UnsupportedFormatError: a version or method that this build does not know.
        MissingCodeBookError: the frame needs a shared code book that is not loaded.
        BufferTooSmallError: ``out`` or ``max_size`` is too small.
        ValueError: ``out`` has more elements than the gradient, or overlaps the frame; or
            ``accumulate`` without ``out``.
        TypeError: the frame cannot be decoded to the type of ``out``.
    """
    data = as_bytes(frame)
    method, sent_as, shape, count, _ = _core.inspect_gradient(data)
    exact = method == Method.PLANES and not accumulate and scale == 1
    own = exact and sent_as not in (FloatType.FLOAT32, FloatType.BFLOAT16)
    dtype = np.dtype(_name(sent_as) if own else "float32")
    _check_size(count, dtype, max_size)
    if out is None:
        if accumulate:
            raise ValueError("accumulate=True needs an out to add to; pass out=")
        target = np.empty(shape, dtype)
        flat, kind = target.reshape(-1), sent_as if own else FloatType.FLOAT32
    else:
        target = out
        flat, kind = as_output(out, count)
        check_apart(flat, "out", data, "the frame")
    if exact and kind == sent_as:
        _core.decompress_exactly(data, flat.view(np.uint8), threads or 0)
    elif kind == FloatType.FLOAT32:
        _core.decompress_gradient(data, flat, accumulate, scale, threads or 0)
    else:
        raise TypeError(f"out must be float32 for this frame, got {_name(kind)}")
    return target


@overload
def decompress_sum(
    frames: Sequence[Any],
    out: None = None,
    scale: float = 1.0,
    max_size: float | None = None,
    threads: int | None = None,
    *,
    weights: Sequence[float] | None = None,
) -> Float32Array: ...
@overload
def decompress_sum(
    frames: Sequence[Any],
    out: Out,
    scale: float = 1.0,
    max_size: float | None = None,
    threads: int | None = None,
    *,
    weights: Sequence[float] | None = None,
) -> Out: ...
def decompress_sum(
    frames: Sequence[Any],
    out: Any = None,
    scale: float = 1.0,
    max_size: float | None = None,
    threads: int | None = None,
    *,
    weights: Sequence[float] | None = None,
) -> Any:
    """Adds up gradients, for example those of all ranks: the sum of weight * gradient * scale.

    The result is bit for bit that of calling :func:`decompress_gradient` for each frame, in order,
    with ``scale=weights[r] * scale``; but ``out`` is written only a few times if all gradients were
    quantized in the same way.

    All frames share one result, so ``max_size`` bounds the memory of the call: besides the result,
    decoding takes a few times the bytes of the result (at least 16 MB) and of the longest frame,
    however many frames there are.

    Args:
        frames: one or more frames of gradients with the same number of elements.
        out: float32 array or torch CPU tensor to fill instead of a new one, as for
            :func:`decompress_gradient`. Pass it if senders are not trusted: otherwise the first
            frame says how many elements there must be.
        scale: factor by which the sum is multiplied, for example 1 / world size.
        max_size: largest decoded size of one gradient in bytes to accept, which is also that of the
            sum; checked before anything is allocated.
        threads: at most this many; None for the default.
        weights: of the gradients, finite and not negative, one for each frame; None for 1 each.
            Their weighted average takes ``scale=1 / sum(weights)``. A frame of weight 0 is checked
            and decoded like any other.

    Returns:
        ``out``, or a new float32 array of the shape of the first gradient.

    Raises:
        Error: as for :func:`decompress_gradient`; the message begins with the frame, for example
            "frames[3]: ". Accidental damage of any frame leaves ``out`` unchanged, because all
            checksums are verified before anything is written. After the error of a frame that was
            made to deceive, ``out`` may hold anything.
        ValueError: ``frames`` is empty, the size of a gradient differs from that of ``out`` or of
            the first gradient, ``out`` overlaps a frame, or ``weights`` are not as described.
        TypeError: ``out`` is not float32, or a frame does not hold bytes.

    >>> import gradwire as gw
    >>> import numpy as np
    >>> frames = [gw.Compressor(gw.QSGD(4)).compress(np.ones(1000, np.float32)) for _ in range(3)]
    >>> average = gw.decompress_sum(frames, scale=1 / 3)
    >>> bool(np.isclose(average.mean(), 1, atol=0.3)), average.shape
    (True, (1000,))
    >>> frames = [gw.Compressor(gw.Lossless()).compress(np.float32([x, 1])) for x in (2, 6)]
    >>> gw.decompress_sum(frames, weights=[1, 3], scale=1 / 4)  # a weighted average
    array([5., 1.], dtype=float32)
    """
    if not isinstance(frames, (list, tuple)):
        raise TypeError(
            f"frames must be a list or a tuple of frames, got {type(frames).__name__}; for a "
            "single frame, pass [frame]"
        )
    check_number("scale", scale)
    data = [as_bytes(frame) for frame in frames]
    if not data:
        raise ValueError("frames is empty; pass at least one frame")
    factors = _factors(weights, scale, len(data))
    try:
        _, _, shape, count, _ = _core.inspect_gradient(data[0])
        _check_size(count, np.dtype("float32"), max_size)
    except _core.Error as error:
        raise type(error)(f"frames[0]: {error}") from None
    target = np.empty(shape, np.float32) if out is None else out
    flat, kind = as_output(target)
    if kind != FloatType.FLOAT32:
        raise TypeError(f"out must be float32, got {_name(kind)}")
    for frame in data:
        check_apart(flat, "out", frame, "one of the frames")
    _core.decompress_sum(data, flat, factors, threads or 0)
    return target


def _factors(weights: Sequence[float] | None, scale: float, count: int) -> list[float]:
    """The factor of each of ``count`` gradients in a sum."""
    if weights is None:
        return [scale] * count
    if isinstance(weights, str) or not hasattr(weights, "__len__"):
        raise TypeError(f"weights must be a sequence of one number for each frame, got {weights!r}")
    for index, weight in enumerate(weights):
        check_number(f"weights[{index}]", weight)
    given = [float(weight) for weight in weights]
    if len(given) != count:
        raise ValueError(f"got {len(given)} weights for {count} frames; pass one for each frame")
    most = float(np.finfo(np.float32).max)
    for index, weight in enumerate(given):
        if weight < 0:
            raise ValueError(f"weights[{index}] must not be negative, got {weight}")
        if abs(weight * scale) > most:
            raise ValueError(
                f"weights[{index}] is {weight} and scale {scale}; their product must be a finite "
                "float32"
            )
    return [weight * scale for weight in given]
