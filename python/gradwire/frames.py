"""Reads and decodes frames; everything needed is in their bytes, except a shared code book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradwire import _core
from gradwire._arrays import (
    IntegerArray,
    as_bytes,
    as_integers,
    as_writable_bytes,
    check_apart,
    check_count,
    integers_to_add_to,
)

_NO_LIMIT = 2**64 - 1


@dataclass(frozen=True)
class FrameInfo:
    """The header of a frame (``docs/FORMAT.md``)."""

    codec: str
    """Key of the codec, for example ``"rlh"``."""
    layout: str
    """Order of the bits: ``"classic"`` or ``"pivot"``."""
    dtype: np.dtype[Any]
    """Of the decoded array."""
    shape: tuple[int, ...]
    count: int
    """Number of elements."""
    code_length: int
    """Bits of all code words, without code book and header: the paper's metric."""
    code_book_bytes: int
    """Bytes of the code book."""
    nbytes: int
    """Bytes of the frame."""
    decoded_nbytes: int
    """Bytes of the decoded array."""
    chunks: int
    raw_chunks: int
    """Number of chunks stored raw, because the codec could not shrink them."""
    checksum: bool
    """Whether the frame ends with a CRC-32C."""
    shared_code_book: bool
    """Whether the frame refers to a shared code book instead of containing one."""
    version: int
    """Version of the frame format."""


def inspect(frame: Any) -> FrameInfo:
    """Reads a frame's header and checks the frame's structure and checksum; decodes nothing.

    Args:
        frame: bytes, a uint8 array, or anything with the buffer protocol or DLPack.

    Raises:
        CorruptFrameError: the bytes are not a frame, or were changed.
        TruncatedFrameError: the bytes end before the frame does.
        UnsupportedFormatError: a version, codec or dtype that this build does not know.
    """
    data = as_bytes(frame)
    return FrameInfo(nbytes=data.nbytes, **_core.inspect(data, verify=True))


def decompress(
    frame: Any,
    out: IntegerArray | None = None,
    max_size: float | None = None,
    threads: int | None = None,
) -> IntegerArray:
    """Decodes a frame of any codec.

    Args:
        frame: as for :func:`inspect`.
        out: array to fill instead of a new one: C-contiguous and writable, with the dtype and the
            number of elements of the frame.
        max_size: largest decoded size in bytes to accept, checked before anything is allocated.
            A frame of n bytes never decodes to more than about n * 2 MiB, whatever it declares.
        threads: at most this many; None for the default.

    Returns:
        ``out``, or a new array of the frame's dtype and shape.

    Raises:
        CorruptFrameError: the bytes are not a frame, or were changed.
        TruncatedFrameError: the bytes end before the frame does.
        UnsupportedFormatError: a version, codec or dtype that this build does not know.
        MissingCodeBookError: the frame needs a shared code book that is not loaded.
        BufferTooSmallError: ``out`` or ``max_size`` is too small.
        ValueError: ``out`` has more elements than the frame, or overlaps it.
        TypeError: ``out`` is not a NumPy array of the frame's dtype.
    """
    data = as_bytes(frame)
    limit = _NO_LIMIT if max_size is None else int(min(max(max_size, 0), _NO_LIMIT))
    if out is None:
        return _core.decompress(data, limit, threads or 0)
    fields = _core.inspect(data, verify=False)
    dtype = fields["dtype"]
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        given = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"out must be a NumPy array of {dtype}, got {given}")
    if fields["decoded_nbytes"] > limit:
        raise _core.BufferTooSmallError(
            f"the frame decodes to {fields['decoded_nbytes']} bytes, max_size allows {max_size}"
        )
    check_count(out, fields["count"], "the frame")
    decompress_into(data, out, threads)
    return out


def decompress_into(
    frame: Any, out: Any, threads: int | None = None, accumulate: bool = False
) -> None:
    """Decodes a frame into a buffer of the caller.

    Args:
        frame: as for :func:`inspect`.
        out: writable C-contiguous buffer (NumPy array, bytearray, torch CPU tensor, ...) of exactly
            as many bytes as the decoded array. To accumulate: an array or tensor of integers of any
            width with as many elements.
        threads: at most this many; None for the default.
        accumulate: add the decoded integers to those of ``out`` instead of replacing them, without
            a temporary array. Sums wrap around. The checksum is verified before anything is added.

    Raises:
        BufferTooSmallError: ``out`` has fewer bytes than the array.
        ValueError: ``out`` has more bytes, is not writable and contiguous, or overlaps the frame;
            with ``accumulate``, it has another number of elements.
        TypeError: ``accumulate``, and ``out`` does not hold integers in native byte order.
        CorruptFrameError, UnsupportedFormatError, MissingCodeBookError: as for :func:`decompress`.
    """
    data = as_bytes(frame)
    number = integers_to_add_to(out) if accumulate else None
    target = as_writable_bytes(out, "out")
    check_apart(target, "out", data, "the frame")
    if number is None:
        _core.decompress_into(data, target, threads or 0)
    else:
        _core.decompress_add(data, target, number, threads or 0)


def max_compressed_size(q: Any) -> int:
    """Upper bound in bytes of a frame of ``q`` by any codec: a little more than ``q`` itself."""
    array, number = as_integers(q)
    return _core.max_compressed_size(array, number)
