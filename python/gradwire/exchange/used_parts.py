"""Parts of tensors that no rank has used in a step, whose averages are discarded.

A rank cannot tell alone which these are: it may hold an old gradient of a part that it has not
used itself. Each rank therefore appends one bit per part to its frames: whether it has used it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError
from gradwire._floats import as_floats, to_float32
from gradwire._memory import Ranges
from gradwire.exchange.device import DeviceGradient


@dataclass
class UsedParts:
    """Which parts of one gradient this rank has used."""

    parts: Ranges
    marks: ByteArray
    """One bit per part."""
    unused: dict[tuple[int, int], Any]
    """What the gradient has in each part that this rank has not used: a float32 array, perhaps on a
    device; None for zeros."""
    has_overflow: bool
    """Whether some of that is not finite."""

    def append_to(self, frame: ByteArray) -> ByteArray:
        """The frame and the marks."""
        return np.concatenate([frame, self.marks])

    def take_from(self, received: Sequence[ByteArray]) -> tuple[list[ByteArray], Ranges]:
        """The frames that all ranks have sent, without marks, and the parts that no rank has used.

        Raises:
            CorruptFrameError: a frame has no marks; names the sender.
        """
        size = self.marks.size
        for sender, data in enumerate(received):
            if data.size < size:
                raise CorruptFrameError(
                    f"rank {sender} sent {data.size} bytes; its frame must end with {size} bytes "
                    "that tell which parameters it has used"
                )
        marks = np.bitwise_or.reduce([data[data.size - size :] for data in received])
        used = np.unpackbits(marks, count=len(self.parts))
        frames = [data[: data.size - size] for data in received]
        return frames, [part for part, is_used in zip(self.parts, used) if not is_used]

    def put_back(self, ranges: Ranges, out: Any) -> Ranges:
        """Puts the gradient of this rank back into parts that no rank has used.

        Returns:
            Those parts that are not 0, so that this step has changed their memory.
        """
        for begin, end in ranges:
            old = self.unused[begin, end]
            out[begin:end] = 0 if old is None else old
        return [part for part in ranges if self.unused[part] is not None]


def used_parts(x: Any, parts: Ranges, used: Sequence[bool], zeros: Ranges) -> UsedParts:
    """Notes which parts of a gradient this rank has used, and what the others have.

    Old gradients that are not finite are sent as 0: they would make the whole average NaN.

    Args:
        x: an array or a :class:`DeviceGradient`, flat; it may be overwritten afterwards.
        parts: (begin, end) of each.
        used: whether this rank has used each part in this step.
        zeros: the parts that are 0.
    """
    own = UsedParts(parts, np.packbits(used), {}, has_overflow=False)
    empty = set(zeros)
    for part, is_used in zip(parts, used):
        if is_used:
            continue
        own.unused[part] = None
        if part not in empty:
            own.unused[part], is_finite = _set_aside(x[part[0] : part[1]])
            own.has_overflow |= not is_finite
    return own


def _set_aside(old: Any) -> tuple[Any, bool]:
    """See :meth:`DeviceGradient.set_aside`."""
    if isinstance(old, DeviceGradient):
        return old.set_aside()
    kept = np.array(to_float32(*as_floats(old)))
    is_finite = bool(np.isfinite(kept).all())
    if not is_finite:
        old[:] = 0
    return kept, is_finite


def zero_parts(x: Any, parts: Ranges) -> Ranges:
    """Those of the parts of a gradient in which all elements are 0."""
    if isinstance(x, DeviceGradient):
        return x.zero_parts(parts)
    return [(begin, end) for begin, end in parts if is_zero(x[begin:end])]


def is_zero(x: Any) -> bool:
    """Whether all elements are 0. Checks the first 64 first: most gradients differ there."""
    return not x[:64].any() and not x.any()
