"""Damaged gradient frames are refused, and nothing else happens."""

from __future__ import annotations

import re

import numpy as np
import pytest
import reference_gradients
from gradient_cases import as_returned, assert_same_bits, small_frames

import gradwire as gw

CHECKED, UNCHECKED = small_frames(checksum=True), small_frames(checksum=False)
EVERY_FRAME = pytest.mark.parametrize("name", CHECKED)


@EVERY_FRAME
@pytest.mark.parametrize("frames", [CHECKED, UNCHECKED], ids=["checked", "unchecked"])
def test_every_prefix_raises(frames: dict[str, bytes], name: str) -> None:
    for size in range(len(frames[name])):
        with pytest.raises(gw.CorruptFrameError):
            gw.decompress_gradient(frames[name][:size])


@EVERY_FRAME
def test_every_bit_flip_raises(name: str) -> None:
    frame = bytearray(CHECKED[name])
    header = re.compile(b"G[FW]").search(frame, 2).start()
    for bit in range(8 * len(frame)):
        frame[bit // 8] ^= 1 << bit % 8
        with pytest.raises(gw.Error):
            gw.decompress_gradient(frame)
        if bit < 8 * header:
            with pytest.raises(gw.Error):
                gw.inspect_gradient(frame)
        frame[bit // 8] ^= 1 << bit % 8


def outcome_of(decode, frame: bytes, **options: int) -> np.ndarray | None:
    """What a frame decodes to; None if it is refused."""
    try:
        return as_returned(decode(frame, **options))
    except ValueError:  # FormatError and gw.Error are such
        return None


@EVERY_FRAME
def test_damage_without_a_checksum_stays_in_bounds(name: str) -> None:
    """Such frames decode to something else, or raise; the reference does likewise."""
    rng = np.random.default_rng(12)
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(200):
        damaged = bytearray(UNCHECKED[name])
        for _ in range(rng.integers(1, 4)):
            place = rng.integers(rng.choice([20, len(damaged)]))
            damaged[place] = rng.choice([rng.integers(256), damaged[place] ^ 1 << rng.integers(8)])
        decoded = outcome_of(gw.decompress_gradient, bytes(damaged), max_size=1 << 20)
        outcomes["refused" if decoded is None else "decoded"] += 1
        wanted = outcome_of(reference_gradients.decode, bytes(damaged))
        assert (decoded is None) == (wanted is None)
        assert decoded is None or np.array_equal(decoded, wanted, equal_nan=True)
    assert sum(outcomes.values()) == 200 and min(outcomes.values()) > 0


@EVERY_FRAME
def test_damage_leaves_out_as_it_was(name: str) -> None:
    frame = bytearray(CHECKED[name])
    total = np.arange(gw.inspect_gradient(frame).count, dtype=np.float32)
    before = total.copy()
    for place in range(0, len(frame), 3):
        frame[place] ^= 0x40
        for accumulate in (True, False):
            with pytest.raises(gw.Error):
                gw.decompress_gradient(frame, out=total, accumulate=accumulate)
            assert np.array_equal(total, before)
        frame[place] ^= 0x40


@pytest.mark.parametrize(
    "pipeline",
    [gw.QSGD(4), gw.OneBit(100), gw.Natural(), gw.Lossless(), gw.TopK(0.2), gw.RandomK(0.2)],
    ids=repr,
)
def test_damage_in_a_later_chunk_leaves_out_as_it_was(pipeline: object) -> None:
    x = np.random.default_rng(13).laplace(size=600_000).astype(np.float32)
    x[::50] = 0
    frame = gw.Compressor(pipeline).compress(x)
    total = np.ones(x.size, np.float32)
    for place in (frame.size // 2, frame.size * 9 // 10, frame.size - 1):
        frame[place] ^= 2
        with pytest.raises(gw.CorruptFrameError):
            gw.decompress_gradient(frame, out=total, accumulate=True)
        assert (total == 1).all()
        frame[place] ^= 2


@EVERY_FRAME
def test_max_size(name: str) -> None:
    decoded = gw.decompress_gradient(CHECKED[name])
    limited = gw.decompress_gradient(CHECKED[name], max_size=decoded.nbytes)
    assert_same_bits(limited, decoded)
    with pytest.raises(gw.BufferTooSmallError):
        gw.decompress_gradient(CHECKED[name], max_size=decoded.nbytes - 1)
