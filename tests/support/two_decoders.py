"""The decoder of the package and the reference decoder, side by side."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from reference_parts import FormatError

import gradwire as gw


def decoded(frame: bytes) -> np.ndarray | None:
    """What the frame holds, or None if it is invalid, on which both decoders must agree."""
    try:
        ours = gw.decompress(frame, max_size=1 << 20)
    except gw.BufferTooSmallError:
        return None  # too large for the reference
    except gw.Error:
        ours = None
    try:
        theirs = reference.decode(frame)
    except FormatError:
        theirs = None
    assert (ours is None) == (theirs is None), frame.hex()
    if ours is not None:
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), frame.hex()
    return ours


def holds(frame: bytes, values: list[int] | np.ndarray) -> None:
    found = decoded(frame)
    assert found is not None and found.tolist() == list(values)


def refused(frame: bytes, message: str | None = None) -> None:
    assert decoded(frame) is None
    with pytest.raises(gw.CorruptFrameError, match=message):
        gw.decompress(frame)
