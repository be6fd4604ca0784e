"""Quantizers that send signs: zeros stay zeros, and scales are the means of the other elements."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import reference_gradients
from gradient_cases import assert_same_bits, by_hand, integers, varint

import gradwire as gw

RNG = np.random.default_rng(6)
SIGNS = [
    gw.SignSGD(),
    gw.EFSignSGD(),
    gw.EFSignSGD(bucket_size=33, scale_dtype="bfloat16"),
    gw.OneBit(),
    gw.OneBit(bucket_size=None, scale_dtype="float32"),
    gw.OneBit(bucket_size=1000),
    gw.OneBit(bucket_size=300_000, scale_dtype="float32"),
]
EVERY_QUANTIZER = pytest.mark.parametrize("quantizer", SIGNS, ids=repr)
WITH_MEMORY = pytest.mark.parametrize("quantizer", SIGNS[1:], ids=repr)  # votes have none
COUNTS = [1, 7, 8, 9, 63, 64, 65, 2049, 300_001]


def gradient(count: int, zeros: float) -> np.ndarray:
    """Zeros have both signs."""
    x = RNG.normal(0.1, 1, count).astype(np.float32)
    x[x == 0] = 1
    x[RNG.random(count) < zeros] = 0
    x[::2] *= -1
    return x


def test_sign_formulas() -> None:
    x = gradient(4000, 0.2)
    x[7:9] = [1e-40, -1e-40]
    levels, scales = gw.SignSGD().quantize(x)
    assert np.array_equal(levels, np.sign(x)) and scales.size == 0
    levels, scales = gw.EFSignSGD().quantize(x)
    assert np.array_equal(levels, np.sign(x))
    assert scales[0] == pytest.approx(np.abs(x[x != 0].astype(np.float64)).mean(), rel=1e-6)
    levels, scales = gw.OneBit(bucket_size=1000, scale_dtype="float32").quantize(x)
    assert np.array_equal(levels, np.sign(x))
    for pair, bucket in zip(scales.reshape(-1, 2), x.astype(np.float64).reshape(-1, 1000)):
        assert pair[0] == pytest.approx(bucket[bucket > 0].mean(), rel=1e-5)
        assert pair[1] == pytest.approx(-bucket[bucket < 0].mean(), rel=1e-5)


@EVERY_QUANTIZER
@pytest.mark.parametrize("zeros", [0, 0.01, 0.5, 1])
def test_zeros_arrive_as_zeros(quantizer: gw.Quantizer, zeros: float) -> None:
    for count in COUNTS:
        x = gradient(count, zeros)
        frame = gw.Compressor(quantizer).compress(x)
        y = gw.decompress_gradient(frame)
        assert np.array_equal(np.sign(y), np.sign(x))
        assert not np.signbit(y[x == 0]).any()
        levels, scales = quantizer.quantize(x)
        assert np.array_equal(levels, np.sign(x))
        assert np.array_equal(quantizer.dequantize(levels, scales), y)
        info = gw.inspect_gradient(frame)
        assert info.sent == np.count_nonzero(x)
        assert info.method == ("signs" if info.sent == count else "ternary signs")


@EVERY_QUANTIZER
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_zeros_of_other_types(quantizer: gw.Quantizer, dtype: str) -> None:
    x = gradient(5000, 0.3).astype(dtype)
    frame = gw.Compressor(quantizer).compress(x)
    assert_same_bits(gw.decompress_gradient(frame), reference_gradients.decode(frame.tobytes()))
    x[10] = np.nan
    frame = gw.Compressor(quantizer, nonfinite="zero").compress(x)
    assert gw.decompress_gradient(frame)[10] == 0


@WITH_MEMORY
def test_same_bytes_for_all_threads(quantizer: gw.Quantizer) -> None:
    x = gradient(1_000_003, 0.1)
    frames = set()
    for threads in (1, 2, 5):
        compressor = gw.Compressor(quantizer, memory=gw.Residual(), threads=threads)
        frames.add(b"".join(compressor.compress(x).tobytes() for _ in range(2)))
    assert len(frames) == 1


@WITH_MEMORY
def test_masked_elements_never_move(quantizer: gw.Quantizer) -> None:
    """What is always 0 is sent as 0 in all steps, and leaves no residual."""
    compressor = gw.Compressor(quantizer, memory=gw.Residual())
    masked = RNG.random(70_000) < 0.5
    for _ in range(3):
        x = np.where(masked, np.float32(0), gradient(70_000, 0))
        y = gw.decompress_gradient(compressor.compress(x))
        assert not y[masked].any()
        assert not compressor.memory.state_dict()[""][masked].any()


@WITH_MEMORY
def test_a_residual_is_what_has_been_lost(quantizer: gw.Quantizer) -> None:
    compressor = gw.Compressor(quantizer, memory=gw.Residual())
    x = gradient(300_001, 0.3)
    total = np.zeros(x.size)
    for _ in range(3):
        total += gw.decompress_gradient(compressor.compress(x))
    kept = compressor.memory.state_dict()[""]
    assert np.allclose(total + kept, 3.0 * x, atol=1e-4)


@WITH_MEMORY
def test_what_is_not_finite_is_found_before_a_residual_changes(quantizer: gw.Quantizer) -> None:
    compressor = gw.Compressor(quantizer, memory=gw.Residual())
    x = gradient(600_000, 0.3)
    compressor.compress(x)
    before = compressor.memory.state_dict()[""]
    x[599_999] = np.inf
    with pytest.raises(ValueError, match="flat index 599999"):
        compressor.compress(x)
    assert_same_bits(compressor.memory.state_dict()[""], before)


@pytest.mark.parametrize("scale_dtype", ["float32", "bfloat16", "log8"])
@pytest.mark.parametrize("kind", [gw.OneBit, gw.EFSignSGD])
def test_means_are_not_biased(kind: type, scale_dtype: str) -> None:
    """Over buckets whose scales lie anywhere between those that can be sent."""
    buckets, size = 20_000, 16
    x = RNG.normal(size=(buckets, size)) * np.exp2(RNG.uniform(-8, 8, (buckets, 1)))
    x = np.abs(x).astype(np.float32)
    y = gw.decompress_gradient(gw.Compressor(kind(size, scale_dtype)).compress(x))
    ratio = y[:, 0] / x.astype(np.float64).mean(1)
    assert ratio.mean() == pytest.approx(1, abs=0.002)
    most = {"float32": 2**-24, "bfloat16": 2**-8, "log8": (2**0.125 - 1) / 2}[scale_dtype]
    assert np.abs(ratio - 1).max() < most * 1.001 + 1e-6


@pytest.mark.parametrize("scale_dtype", ["float32", "bfloat16"])
def test_tiny_means(scale_dtype: str) -> None:
    """Scales of levels have a least magnitude; means need none."""
    x = np.full(100, -1e-35, np.float32)
    y = gw.decompress_gradient(gw.Compressor(gw.EFSignSGD(scale_dtype=scale_dtype)).compress(x))
    assert np.allclose(y, x, rtol=2**-8, atol=0)


@pytest.mark.parametrize("per_bucket", [1, 2])
@pytest.mark.parametrize("method", [1, 6])
def test_a_scale_of_zero_is_positive_zero_everywhere(method: int, per_bucket: int) -> None:
    count = 80
    ones = integers([255] * (count // 8))
    parts = [ones] if method == 1 else [ones, ones]
    sent = b"" if method == 1 else varint(count)
    for first in range(1, 40):  # the second bucket begins anywhere within a byte, and may be short
        size = max(first, count - first)
        numbers = [1.0] * per_bucket + [0.0] * per_bucket
        buckets = -(-count // size)
        scales = struct.pack(f"<{per_bucket * buckets}f", *numbers[: per_bucket * buckets])
        parameters = varint(size) + bytes([per_bucket, 0]) + scales + sent
        frame = by_hand(method, parameters, *parts, shape=(count,))
        decoded = gw.decompress_gradient(frame)
        assert_same_bits(decoded, reference_gradients.decode(frame))
        assert decoded[size:].tobytes() == bytes(4 * (count - size))
        negative = gw.decompress_gradient(frame, scale=-1.0)
        assert negative[size:].tobytes() == bytes(4 * (count - size))


@pytest.mark.parametrize("pipeline", [gw.SignSGD(), gw.TopK(values=gw.SignSGD())], ids=repr)
@pytest.mark.parametrize("memory", [gw.Residual, gw.EFSign, gw.DGCMomentum])
def test_votes_take_no_memory(pipeline: gw.Quantizer | gw.Sparsifier, memory: type) -> None:
    with pytest.raises(ValueError, match="use EFSignSGD instead of SignSGD"):
        gw.Compressor(pipeline, memory=memory())
