"""Gradients of several ranks, added up at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gradient_cases import by_hand, integers, small_frames, varint
from hypothesis import given, settings
from hypothesis import strategies as st

import gradwire as gw

PIPELINES = [
    *(gw.QSGD(4), gw.QSGD(127, None), gw.QSGD(2, 7), gw.TernGrad(), gw.Uniform(4)),
    *(gw.QSGD(1000), gw.Uniform(16, 7)),
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
        with pytest.raises(gw.CorruptFrameError, match=rf"^frames\[{broken}\]: "):
            gw.decompress_sum(damaged, out)
        assert not out.any()


def test_bad_arguments() -> None:
    frames = frames_of(gw.QSGD(4), 100, 2)
    longer = frames_of(gw.QSGD(4), 101, 1)
    with pytest.raises(ValueError, match="frames is empty"):
        gw.decompress_sum([])
    with pytest.raises(ValueError, match=r"frames\[2\]: out has 100 .*, the gradient has 101"):
        gw.decompress_sum(frames + longer)
    with pytest.raises(gw.BufferTooSmallError, match=r"frames\[0\]: .*, max_size allows 399"):
        gw.decompress_sum(frames, max_size=399)
    with pytest.raises(TypeError, match="must be float32"):
        gw.decompress_sum(frames, np.zeros(100))
    for weights, told in (
        ([1.0], "got 1 weights for 2 frames"),
        ([1, -1], r"weights\[1\] must not be negative"),
        ([np.nan, 1], r"weights\[0\] must be finite"),
        ([1, np.inf], r"weights\[1\] must be finite"),
        ([1, 1e39], r"weights\[1\] is 1e\+39"),
    ):
        with pytest.raises(ValueError, match=told):
            gw.decompress_sum(frames, weights=weights)
    for wrong, told in (
        ({"frames": frames[0]}, r"pass \[frame\]"),
        ({"scale": [1.0, 2.0]}, "scale must be a number"),
        ({"weights": 2}, "weights must be a sequence"),
        ({"weights": ["a", "b"]}, r"weights\[0\] must be a number"),
    ):
        with pytest.raises(TypeError, match=told):
            gw.decompress_sum(**{"frames": frames, **wrong})
    with pytest.raises(ValueError, match=r"frames\[0\]: out has 99 .*, the gradient has 100"):
        gw.decompress_sum(frames, np.zeros(99, np.float32))


WEIGHTS = st.one_of(st.integers(0, 10**6), st.floats(0, 1e6), st.just(0))


@settings(deadline=None)
@given(
    st.sampled_from(range(len(PIPELINES))),
    st.lists(WEIGHTS, min_size=1, max_size=5),
    st.sampled_from([1, 700, 3000]),
    st.floats(-2, 2),
)
def test_weights(chosen: int, weights: list[float], count: int, scale: float) -> None:
    """The sum that NumPy makes of the decoded gradients in float64, up to rounding."""
    frames = frames_of(PIPELINES[chosen], count, len(weights))
    terms = [
        np.float64(w) * scale * gw.decompress_gradient(f).astype(np.float64).reshape(-1)
        for w, f in zip(weights, frames)
    ]
    total = gw.decompress_sum(frames, np.full(count, np.nan, np.float32), scale, weights=weights)
    most = 1e-30 + 1e-6 * np.sum(np.abs(terms), axis=0)
    assert (np.abs(total - np.sum(terms, axis=0)) <= most).all()


@pytest.mark.parametrize("pipeline", PIPELINES, ids=repr)
def test_weights_give_the_bits_of_one_by_one(pipeline: object) -> None:
    """Also if memory allows only groups of frames: for 2 million elements, of less than 30."""
    is_long = pipeline == gw.QSGD(4)
    weights = [3, 0, 0.1, 1e-3, 7] * (8 if is_long else 1)
    count = 2_000_001 if is_long else 100_001
    frames = frames_of(pipeline, count, 5) * (len(weights) // 5)
    wanted = np.empty(count, np.float32)
    for i, (frame, weight) in enumerate(zip(frames, weights)):
        gw.decompress_gradient(frame, wanted, accumulate=i > 0, scale=weight * 0.3)
    assert gw.decompress_sum(frames, scale=0.3, weights=weights).tobytes() == wanted.tobytes()
    ones = gw.decompress_sum(frames, weights=[1] * len(frames))
    assert ones.tobytes() == gw.decompress_sum(frames).tobytes()


@pytest.mark.parametrize("pipeline", PIPELINES, ids=repr)
def test_damage_of_any_kind_of_frame_leaves_out_as_it_was(pipeline: object) -> None:
    good = frames_of(pipeline, 1000, 2)
    out = np.ones(1000, np.float32)
    for place in range(0, len(good[1]), 7):
        bad = bytearray(good[1])
        bad[place] ^= 0x20
        for frames, index in (([*good, bad], 2), ([bad, *good], 0)):
            with pytest.raises(gw.Error, match=rf"^frames\[{index}\]: "):
                gw.decompress_sum(frames, out)
            assert (out == 1).all()


UNCHECKED = small_frames(checksum=False)


@pytest.mark.parametrize("name", UNCHECKED)
def test_hostile_frames_are_named(name: str) -> None:
    """Frames without checksums, with bytes changed: refused by name, or decoded as alone."""
    good = UNCHECKED[name]
    count = gw.inspect_gradient(good).count
    rng = np.random.default_rng(14)
    outcomes = {"decoded": 0, "refused": 0}
    for trial in range(150):
        bad = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            place = rng.integers(rng.choice([20, len(bad)]))
            bad[place] = rng.choice([rng.integers(256), bad[place] ^ 1 << rng.integers(8)])
        frames = [good, good]
        frames.insert(trial % 3, bytes(bad))
        out = np.empty(count, np.float32)
        try:
            alone = gw.decompress_gradient(bad, out)
        except ValueError:
            outcomes["refused"] += 1
            with pytest.raises(ValueError, match=rf"^frames\[{trial % 3}\]: "):
                gw.decompress_sum(frames, out)
        else:
            outcomes["decoded"] += 1
            assert np.isnan(alone).any() or np.array_equal(
                gw.decompress_sum(frames, out), one_by_one(frames, count, 1.0), equal_nan=True
            )
    assert sum(outcomes.values()) == 150 and outcomes["refused"] > 0


def test_hostile_frames_made_by_hand() -> None:
    values = gw.Compressor(gw.Lossless()).compress(np.ones(3, np.float32)).tobytes()
    far = integers([255] * 3), integers([255] * 12)  # gaps of 2^32
    nested = values
    for _ in range(2000):  # each is the values of the next
        nested = by_hand(4, varint(3), integers([0] * 3), integers([]), nested, shape=(1000,))
    drawn = varint(3) + varint(7)
    good = frames_of(gw.QSGD(4), 1000, 2)
    for bad, told in (
        (by_hand(4, varint(3), *far, values, shape=(1000,)), "sparse frame has"),
        (nested, "nested too deeply"),
        (by_hand(5, drawn, values, shape=(1 << 32,)), "the gradient has 4294967296"),
        (by_hand(5, drawn, values, shape=(1 << 40,)), "more than 2\\^32"),
        (b"", "truncated"),
        (b"GF", "truncated"),
        (gw.compress(np.zeros(1000, np.int8)), "not a gradient frame"),
    ):
        out = np.zeros(1000, np.float32)
        with pytest.raises(ValueError, match=rf"^frames\[1\]: .*{told}"):
            gw.decompress_sum([good[0], bad, good[1]], out, max_size=4000)
        with pytest.raises(gw.Error, match=r"^frames\[0\]: "):
            gw.decompress_sum([bad, *good], max_size=4000)


MEASURE = """
import re, sys, numpy as np, gradwire as gw

def most():  # KB; unlike ru_maxrss, it does not count the parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

frame = sys.stdin.buffer.read()
out = np.ones(gw.inspect_gradient(frame).count, np.float32)
gw.decompress_sum([frame] * 2, out, threads=2)
before = most()
gw.decompress_sum([frame] * 100, out, threads=2)
print(most() - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="memory is measured through /proc/self/status, which only Linux has",
)
@pytest.mark.parametrize(
    "pipeline", [gw.QSGD(4, 1), gw.RandomK(1.0, values=gw.QSGD(4, 1)), gw.OneBit(1)], ids=repr
)
def test_memory_does_not_grow_with_the_number_of_frames(pipeline: object) -> None:
    """Short frames may declare a scale for each element: 4 bytes of memory."""
    frame = gw.Compressor(pipeline).compress(np.zeros(1_000_000, np.float32)).tobytes()
    assert len(frame) < 2000
    command = [sys.executable, "-c", MEASURE]
    ended = subprocess.run(command, input=frame, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    assert int(ended.stdout) < 20_000  # KB; 100 times the scales are 400,000
