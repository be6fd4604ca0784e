"""Gradient frames: a decoder written from the format's text alone agrees, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import reference_gradients
from cases import KEYS
from gradient_cases import as_returned, assert_same_bits, bfloat16
from reference_parts import FormatError

import gradwire as gw

# The reference decoder.


def gradients() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    laplace = rng.laplace(size=1000)
    spike = np.zeros(1000, np.float32)
    spike[777] = -5
    shapes = [(), (0, 3), (1,), (7,), (1000,), (3, 5, 70)]
    normal = {str(shape): rng.normal(size=shape).astype(np.float32) for shape in shapes}
    return normal | {
        "laplace": laplace.astype(np.float32),
        "float16": laplace.astype(np.float16),
        "float64": laplace,
        "zeros": np.zeros(1000, np.float32),
        "constant": np.full(1000, -0.3, np.float32),
        "huge": (laplace * 1e30).astype(np.float32),
        "tiny": (laplace * 1e-30).astype(np.float32),
        "many scales": (laplace * np.exp(rng.normal(0, 8, 1000))).astype(np.float32),
        "spike": spike,
    }


GRADIENTS = gradients()
SCALE_TYPES = ["float32", "bfloat16", "log8"]
PIPELINES = [
    *(gw.QSGD(4, size, scale_dtype=t) for size in (None, 1, 7, 512, 5000) for t in SCALE_TYPES),
    *(gw.OneBit(size, t) for size in (None, 1, 7, 512, 5000) for t in SCALE_TYPES),
    gw.QSGD(127, 100, norm="max"),
    *(gw.QSGD(1000, size, scale_dtype=t) for size in (None, 1, 7, 512) for t in SCALE_TYPES),
    gw.QSGD(32767, 100, norm="max"),
    gw.Uniform(16, 64, scale_dtype="bfloat16"),
    gw.TernGrad(),
    gw.TernGrad(bucket_size=7, scale_dtype="log8"),
    gw.Uniform(8, 64, scale_dtype="bfloat16"),
    gw.EFSignSGD(),
    gw.EFSignSGD(bucket_size=7, scale_dtype="bfloat16"),
    gw.SignSGD(),
    gw.Natural(),
    gw.Lossless(),
    gw.TopK(0.1),
    gw.TopK(1.0, values=gw.Natural()),
    gw.Threshold(threshold=0.0, values=gw.QSGD(4, 7)),
    gw.Threshold(threshold=1e38),
    gw.RandomK(0.1, values="bfloat16"),
    gw.RandomK(1.0, values=gw.SignSGD()),
    gw.DGC(0.02, values=gw.OneBit(2)),
    gw.TopK(0.1, values=gw.QSGD(1000, 16)),
]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=repr)
def test_reference_decoder_agrees(pipeline: object) -> None:
    for i, x in enumerate(GRADIENTS.values()):
        key = KEYS[(i + PIPELINES.index(pipeline)) % len(KEYS)]
        frame = gw.Compressor(pipeline, key).compress(x)
        decoded = gw.decompress_gradient(frame)
        assert_same_bits(decoded, reference_gradients.decode(frame.tobytes()))
        info = gw.inspect_gradient(frame)
        assert (info.shape, info.count, info.nbytes) == (x.shape, x.size, frame.nbytes)
        assert decoded.shape == x.shape and info.dtype == x.dtype.name


@pytest.mark.parametrize("pipeline", [*PIPELINES[::4], gw.Lossless()], ids=repr)
def test_reference_decoder_agrees_on_bfloat16(pipeline: object) -> None:
    for key in KEYS:
        frame = gw.Compressor(pipeline, key).compress(bfloat16(GRADIENTS["laplace"]))
        wanted = as_returned(reference_gradients.decode(frame.tobytes()))
        assert_same_bits(gw.decompress_gradient(frame), wanted)
        assert gw.inspect_gradient(frame).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("pipeline", "key"),
    [
        (gw.QSGD(4), "entropy"),
        (gw.QSGD(1000), "entropy"),
        (gw.Uniform(10, 1000), "rlh"),
        (gw.OneBit(7), "rlh"),
        (gw.SignSGD(), "elias"),
        (gw.OneBit(1000), "entropy"),
        (gw.EFSignSGD(512), "rle"),
        (gw.Natural(), "huffman"),
        (gw.Lossless(), "entropy"),
        (gw.TopK(0.05, values="float16"), "sh"),
        (gw.RandomK(0.05, values=gw.QSGD(16)), "shs"),
    ],
    ids=repr,
)
def test_reference_decoder_agrees_on_chunks(pipeline: object, key: str) -> None:
    x = np.random.default_rng(9).laplace(size=(3, 100_000)).astype(np.float32)
    x = x.astype(np.float16) if pipeline == gw.Lossless() else x
    if pipeline == gw.OneBit(1000):
        x[:, ::7] = 0
    frame = gw.Compressor(pipeline, key).compress(x)
    wanted = reference_gradients.decode(frame.tobytes())
    assert_same_bits(gw.decompress_gradient(frame), wanted)
    total = np.full(x.shape, 2.5, np.float32)
    gw.decompress_gradient(frame, out=total, accumulate=True, scale=0.5)
    assert_same_bits(total, np.float32(2.5) + np.float32(0.5) * wanted.astype(np.float32))


@pytest.mark.parametrize("copies", [1, 600], ids=["one chunk", "several"])
def test_shared_code_books(copies: int) -> None:
    x = np.tile(GRADIENTS["laplace"], copies)
    codec = gw.Entropy().fit(gw.QSGD(4, 64).quantize(x)[0])
    frame = gw.Compressor(gw.QSGD(4, 64), codec).compress(x)
    shared = reference.read_shared_book(codec.code_book)
    wanted = reference_gradients.decode(frame.tobytes(), shared)
    assert_same_bits(gw.decompress_gradient(frame), wanted)
    with pytest.raises(FormatError, match="shared code book is missing"):
        reference_gradients.decode(frame.tobytes())


def test_lossless_keeps_every_bit() -> None:
    for dtype, bits in (("float16", 16), ("float32", 32), ("float64", 64)):
        numbers = np.random.default_rng(bits).integers(0, 256, (200, bits // 8), np.uint8)
        numbers[:3, -2:] = [[0x7F, 0x80 | 1], [0xFF, 0xFF], [0, 0x80]]
        x = numbers.view(dtype).reshape(-1)  # among them NaN of all kinds
        frame = gw.Compressor(gw.Lossless()).compress(x)
        assert_same_bits(gw.decompress_gradient(frame), x)
        assert_same_bits(reference_gradients.decode(frame.tobytes()), x)


def test_negative_zeros_among_sparse_values() -> None:
    x = np.array([1e-30, -1e-30, 0.5, -0.0], np.float32)
    for pipeline in (gw.TopK(1.0, values="float16"), gw.RandomK(1.0)):
        frame = gw.Compressor(pipeline).compress(x)
        decoded = gw.decompress_gradient(frame)
        assert_same_bits(decoded, reference_gradients.decode(frame.tobytes()))


@pytest.mark.parametrize("scale_dtype", SCALE_TYPES)
def test_the_largest_floats(scale_dtype: str) -> None:
    x = np.array([3.4e38, -3.4e38, 3.4e38, 3.4e38, -1, 0, 1e-45] * 10, np.float32)
    for size in (None, 1, 7):
        for pipeline in (
            gw.OneBit(size, scale_dtype),
            gw.EFSignSGD(size, scale_dtype),
            gw.QSGD(4, size, scale_dtype=scale_dtype),
            gw.TernGrad(bucket_size=size, scale_dtype=scale_dtype),
        ):
            frame = gw.Compressor(pipeline).compress(x)
            decoded = gw.decompress_gradient(frame)
            assert np.isfinite(decoded).all()
            assert_same_bits(decoded, reference_gradients.decode(frame.tobytes()))
