"""Decodes the average of the frames of all ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError, MissingCodeBookError
from gradwire.exchange.device import DeviceOutput
from gradwire.gradient_frames import decompress_gradient, decompress_sum, inspect_gradient

Output = npt.NDArray[Any]
AnyOutput = Union[Output, DeviceOutput]


def add_up(
    frames: Sequence[ByteArray], factors: Sequence[float], out: AnyOutput, threads: int | None
) -> None:
    """Writes the sum of all gradients to ``out``, each multiplied by its factor.

    Products are rounded to float32 and added in the order of ranks, wherever ``out`` is.

    Raises:
        ValueError: a gradient has another size than here; names the sender.
        CorruptFrameError: a frame is damaged; names the sender.
        MissingCodeBookError: a frame needs a shared code book that is not loaded.
    """
    with decodable(out, len(frames)) as target:
        if not isinstance(target, DeviceOutput):
            try:
                decompress_sum(frames, target, weights=factors, threads=threads)
                return
            except (ValueError, TypeError):  # one by one, to name the sender; NaN or float64
                pass
        for sender, frame in enumerate(frames):
            decode(frame, sender, target, sender > 0, factors[sender], threads)


@contextmanager
def decodable(out: AnyOutput, frames: int) -> Iterator[AnyOutput]:
    """What :func:`decode` is to write to instead of ``out``, which gets it in the end.

    Args:
        out: where the average goes.
        frames: number of those that are added up.
    """
    if isinstance(out, DeviceOutput) and not out.takes_levels(frames):
        yield out.host_array()
        out.copy_from_host()
    else:
        yield out


def largest_frame(count: int) -> int:
    """An upper bound in bytes of a frame of ``count`` elements: raw indices and values."""
    return 16 * count + 65536


def decode(
    frame: ByteArray, sender: int, out: AnyOutput, add: bool, scale: float, threads: int | None
) -> None:
    """Writes ``scale`` times the gradient in ``frame`` to ``out``, or adds it if ``add``.

    Raises:
        ValueError: the gradient has another size than here; names the sender.
        CorruptFrameError: the frame is damaged; names the sender.
        MissingCodeBookError: the frame needs a shared code book that is not loaded.
    """
    if frame.size == 0:
        out.fill(np.nan)
        return
    try:
        count = inspect_gradient(frame).count
        if isinstance(out, DeviceOutput):
            if count == out.size:
                out.decode(frame, add, scale, threads)
        elif count == out.size and out.dtype == np.float64:
            exact = decompress_gradient(frame, max_size=out.nbytes, threads=threads).reshape(-1)
            np.copyto(out, scale * exact + out if add else scale * exact)
        elif count == out.size:
            decompress_gradient(frame, out, add, scale, threads=threads)
    except ValueError as error:
        kept = isinstance(error, (CorruptFrameError, MissingCodeBookError))
        raise (type(error) if kept else CorruptFrameError)(
            f"the frame that rank {sender} sent cannot be decoded: {error}"
        ) from error
    if count != out.size:
        raise ValueError(
            f"rank {sender} sent {count} elements where {out.size} are expected here; all ranks "
            "must average tensors of the same shapes, in the same order"
        )
