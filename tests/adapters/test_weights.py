"""Weights of ranks as they travel. What ranks do with them is in communicator_weight_cases.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradwire as gw
from gradwire.exchange.agreement import CommonError
from gradwire.exchange.weights import factors_of, take_weights, with_weight

FRAME = gw.Compressor(gw.QSGD(4)).compress(np.ones(100, np.float32))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e308), min_size=1, max_size=5))
def test_weights_arrive_with_their_frames(weights: list[float]) -> None:
    sent = [with_weight(FRAME[: 10 * rank], weight) for rank, weight in enumerate(weights)]
    assert [data.size for data in sent] == [9 + 10 * rank for rank in range(len(weights))]
    if not any(weights):
        with pytest.raises(CommonError, match="all ranks passed the weight 0"):
            take_weights(sent)
        return
    frames, arrived = take_weights(sent)
    assert arrived == weights
    assert all(np.array_equal(f, FRAME[: 10 * rank]) for rank, f in enumerate(frames))
    factors = np.array(factors_of(arrived, len(weights), votes=False))
    shares = np.array(weights) / max(weights)
    np.testing.assert_allclose(factors, shares / shares.sum(), rtol=1e-12, atol=1e-300)
    votes = factors_of(arrived, len(weights), votes=True)
    np.testing.assert_allclose(np.array(votes) / max(votes), shares, rtol=1e-12, atol=1e-300)


def test_without_weights_nothing_changes() -> None:
    empty = FRAME[:0]  # stands for NaN
    frames, weights = take_weights([FRAME, empty])
    assert weights is None and frames == [FRAME, empty]
    assert factors_of(None, 4, votes=False) == [0.25] * 4
    assert factors_of(None, 4, votes=True) == [1.0] * 4


def test_votes_of_whole_weights_are_exact() -> None:
    votes = factors_of([3.0, 7.0, 10.0], 3, votes=True)
    assert votes[0] + votes[1] == votes[2]


def test_hostile_weights() -> None:
    good = with_weight(FRAME, 1.0)
    for size in range(1, 9):
        with pytest.raises(gw.CorruptFrameError, match=f"rank 1 sent {size} bytes"):
            take_weights([good, good[:size]])
    for weight in (-1.0, np.nan, np.inf, -np.inf, -5e-324):
        with pytest.raises(CommonError, match="rank 1 passed"):
            take_weights([good, with_weight(FRAME, weight)])
    with pytest.raises(CommonError, match="rank 0 passed a weight and rank 1 passed none"):
        take_weights([good, FRAME])
