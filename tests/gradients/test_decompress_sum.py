"""Gradients of several ranks, added up at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradwire as gw

PIPELINES = [
    *(gw.QSGD(4), gw.QSGD(127, None), gw.QSGD(2, 7), gw.TernGrad(), gw.Uniform(4)),
    *(gw.SignSGD(), gw.OneBit(), gw.Natural(), gw.Lossless(), gw.TopK(0.1), gw.RandomK(0.1)),
]


def frames_of(pipeline: object, count: int, ranks: int, codec: str = "entropy") -> list[bytes]:
    """Of gradients with stretches of zeros, which differ from rank to rank."""
    frames = []
    for rank in range(ranks):
        rng = np.random.default_rng(rank)
        x = rng.laplace(size=count).astype(np.float32)
        x[rng.random(count) < 0.3] = 0
        x[rank * count // 4 : (rank + 1) * count // 4] = 0
        frames.append(gw.Compressor(pipeline, codec, rank=rank).compress(x).tobytes())
    return frames


def one_by_one(frames: list[bytes], count: int, scale: float) -> np.ndarray:
    out = np.empty(count, np.float32)
    for i, frame in enumerate(frames):
        gw.decompress_gradient(frame, out, accumulate=i > 0, scale=scale)
    return out


@pytest.mark.parametrize("pipeline", PIPELINES, ids=repr)
@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_same_bits_as_one_by_one(pipeline: object, ranks: int) -> None:
    for count in (1, 1000, 600_001):
        frames = frames_of(pipeline, count, ranks)
        total = gw.decompress_sum(frames, scale=1 / ranks)
        assert total.tobytes() == one_by_one(frames, count, 1 / ranks).tobytes()


@given(
    st.integers(0, 3000),
    st.lists(st.sampled_from(range(len(PIPELINES))), min_size=1, max_size=4),
    st.sampled_from(sorted(gw.codecs())),
)
def test_any_mix_of_frames(count: int, chosen: list[int], codec: str) -> None:
    frames = [frames_of(PIPELINES[i], count, 1, codec)[0] for i in chosen]
    total = gw.decompress_sum(frames, np.full(count, 7, np.float32), scale=0.5)
    assert total.tobytes() == one_by_one(frames, count, 0.5).tobytes()


def test_damage_is_noticed_before_anything_is_written() -> None:
    frames = [bytearray(frame) for frame in frames_of(gw.QSGD(4), 100_000, 3)]
    out = np.zeros(100_000, np.float32)
    for broken in range(3):
        damaged = [bytearray(frame) for frame in frames]
        damaged[broken][-1000] ^= 4
        with pytest.raises(gw.CorruptFrameError):
            gw.decompress_sum(damaged, out)
        assert not out.any()


def test_bad_arguments() -> None:
    frames = frames_of(gw.QSGD(4), 100, 2)
    longer = frames_of(gw.QSGD(4), 101, 1)
    with pytest.raises(ValueError, match="frames is empty"):
        gw.decompress_sum([])
    with pytest.raises(ValueError, match="out has 100 elements, the gradient has 101"):
        gw.decompress_sum(frames + longer)
    with pytest.raises(gw.BufferTooSmallError, match="max_size allows 399"):
        gw.decompress_sum(frames, max_size=399)
    with pytest.raises(TypeError, match="must be float32"):
        gw.decompress_sum(frames, np.zeros(100))
