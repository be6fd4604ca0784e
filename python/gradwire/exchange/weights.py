"""Weights of ranks in an average.

A rank that has a weight sends it before its frame. Nothing is sent where no rank has one, and ranks
that differ in this notice it: gradient frames begin with "G", and an empty one stands for NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError
from gradwire.exchange.agreement import CommonError

_MARK = np.frombuffer(b"W", np.uint8)
_SIZE = 9  # bytes of the mark and of the weight, a little-endian float64


def with_weight(frame: ByteArray, weight: float) -> ByteArray:
    """The frame of a rank behind its weight."""
    return np.concatenate([_MARK, np.array([weight], "<f8").view(np.uint8), frame])


def take_weights(
    received: Sequence[ByteArray],
) -> tuple[Sequence[ByteArray], list[float] | None]:
    """The frames of all ranks without weights, and the weights; None if there are none.

    Raises:
        CommonError: only some ranks have a weight, one is not finite or negative, or all are 0.
        CorruptFrameError: a weight is not complete; names the sender.
    """
    has_weight = [data[:1].tobytes() == _MARK.tobytes() for data in received]
    if not any(has_weight):
        return received, None
    if not all(has_weight):
        with_one, without = has_weight.index(True), has_weight.index(False)
        raise CommonError(
            f"rank {with_one} passed a weight and rank {without} passed none; pass weight= on all "
            "ranks, or on none"
        )
    weights = []
    for sender, data in enumerate(received):
        if data.size < _SIZE:
            raise CorruptFrameError(f"rank {sender} sent {data.size} bytes, but a weight has 9")
        weights.append(float(data[1:_SIZE].view("<f8")[0]))
        if not 0 <= weights[-1] < math.inf:
            raise CommonError(
                f"weight must be finite and not negative; rank {sender} passed {weights[-1]}"
            )
    if not any(weights):
        raise CommonError(
            "all ranks passed the weight 0, so there is no average; skip the step on all ranks"
        )
    return [data[_SIZE:] for data in received], weights


def factors_of(weights: Sequence[float] | None, ranks: int, votes: bool) -> list[float]:
    """The factor of each gradient in an average, or in a sum of votes.

    Votes are not divided by their number: integers up to 2^24 are exact, so that ties are ties.
    """
    if weights is None:
        return [1.0 if votes else 1 / ranks] * ranks
    exponent = math.frexp(max(weights))[1]
    moderate = [math.ldexp(weight, -exponent) for weight in weights]  # exact, and at most 1
    return moderate if votes else [weight / sum(moderate) for weight in moderate]
