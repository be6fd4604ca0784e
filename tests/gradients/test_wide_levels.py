"""More than 127 levels, which are int16; few levels likewise, where the rule is the same."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_cases import assert_same_bits, bfloat16
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradwire as gw
from gradwire import _core

SCALE_TYPES = ["float32", "bfloat16", "log8"]
EVERY_NUMBER = pytest.mark.parametrize("number", [4, 127, 128, 1000, 32767])


def laplace(size: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).laplace(size=size).astype(np.float32)


@settings(max_examples=100, deadline=None)
@given(
    x=hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-(2**99), 2**99, width=32)),
    number=st.integers(1, 127) | st.integers(128, 32767),
    bucket_size=st.none() | st.integers(1, 100),
    norm=st.sampled_from(["l2", "max"]),
    scale_dtype=st.sampled_from(SCALE_TYPES),
)
def test_errors_are_at_most_a_level(
    x: np.ndarray, number: int, bucket_size: int | None, norm: str, scale_dtype: str
) -> None:
    quantizer = gw.QSGD(number, bucket_size, norm=norm, scale_dtype=scale_dtype)
    decoded = gw.decompress_gradient(gw.Compressor(quantizer).compress(x))
    _, scales = quantizer.quantize(x)
    unit = np.repeat(scales.astype(np.float64), bucket_size or x.size)[: x.size] / number
    assert (np.abs(decoded - x.astype(np.float64)) <= unit + np.abs(x) * 2**-22).all()


def test_small_elements_are_unbiased_within_the_resolution() -> None:
    """Of a hundredth of a level, which truncating to 2^-16 levels may shift by 2^-16 at most."""
    unit = 1 / 1024
    x = np.full(2**22, 0.01 * unit, np.float32)
    x[::512] = 1
    quantizer = gw.QSGD(1024, norm="max", scale_dtype="float32")
    levels, scales = quantizer.quantize(x)
    drawn = levels.reshape(-1, 512)[:, 1:].astype(np.float64)
    assert (scales == 1).all() and set(np.unique(drawn)) == {0, 1}
    assert abs(drawn.mean() - 0.01) < 2**-16 + 5 * np.sqrt(0.01 / drawn.size)
    x[1::512] = 0.9 * 2**-16 * unit
    assert not quantizer.quantize(x)[0][1::512].any()


@EVERY_NUMBER
@pytest.mark.parametrize("bucket_size", [7, 512, None])
@pytest.mark.parametrize("norm", ["l2", "max"])
def test_a_residual_is_the_gradient_less_what_a_reader_decodes(
    number: int, bucket_size: int | None, norm: str
) -> None:
    """Bit for bit, on more than one chunk."""
    quantizer = gw.QSGD(number, bucket_size, norm=norm)
    compressor = gw.Compressor(quantizer, memory=gw.Residual(), threads=1)
    residual = np.zeros(300_000, np.float32)
    for step in range(3):
        x = laplace(residual.size, step)
        residual = x + residual
        residual -= gw.decompress_gradient(compressor.compress(x, name="w"))
        assert_same_bits(compressor.memory.state_dict()["w"], residual)


@pytest.mark.parametrize("scale_dtype", SCALE_TYPES)
@pytest.mark.parametrize("bucket_size", [1, 100, None])
def test_every_type_of_gradient(scale_dtype: str, bucket_size: int | None) -> None:
    x = laplace(5000)
    halves = (x.view(np.uint32) >> 16 << 16).view(np.float32)
    quantizer = gw.QSGD(3000, bucket_size, scale_dtype=scale_dtype)
    for one, same in [
        (x.astype(np.float16), x.astype(np.float16).astype(np.float32)),
        (x.astype(np.float64), x),
        (bfloat16(x), halves),
    ]:
        frame = gw.Compressor(quantizer).compress(one)
        assert gw.inspect_gradient(frame).method == "wide levels"
        wanted = gw.Compressor(quantizer).compress(same)
        assert_same_bits(gw.decompress_gradient(frame), gw.decompress_gradient(wanted))


@EVERY_NUMBER
def test_few_levels_have_the_frames_that_older_versions_read(number: int) -> None:
    frame = gw.Compressor(gw.QSGD(number)).compress(laplace(1000))
    assert frame[4] == (0 if number <= 127 else 7)
    method = gw.inspect_gradient(frame).method
    assert method == ("levels" if number <= 127 else "wide levels")


@EVERY_NUMBER
@pytest.mark.parametrize("add", [False, True])
def test_levels_and_units_give_the_bits_of_floats(number: int, add: bool) -> None:
    x = laplace(300_000)
    x[1024:4096] = 0
    frame = gw.Compressor(gw.QSGD(number)).compress(x)
    dtypes = [np.int8, np.int16]
    levels, others = (np.empty(x.size, t) for t in (dtypes if number <= 127 else dtypes[::-1]))
    units, size = _core.decompress_levels(frame, levels, add, 1 / 3, 1)
    found, wanted = np.full(x.size, -0.0, np.float32), np.full(x.size, -0.0, np.float32)
    products = levels * np.repeat(units, size)[: x.size]
    found = found + products if add else products
    gw.decompress_gradient(frame, wanted, accumulate=add, scale=1 / 3)
    assert_same_bits(found, wanted)
    with pytest.raises(ValueError, match=f"the levels of this frame are {levels.dtype}"):
        _core.decompress_levels(frame, others, add, 1.0, 1)
    with pytest.raises(TypeError):
        _core.decompress_levels(frame, levels.astype(np.int32), add, 1.0, 1)


def test_as_small_as_their_entropy() -> None:
    """Up to 5 %, with scales and code book."""
    x = np.random.default_rng(4).normal(size=1_000_000).astype(np.float32)
    levels, _ = gw.QSGD(1000).quantize(x)
    frame = gw.Compressor(gw.QSGD(1000)).compress(x)
    bits = gw.shannon_entropy(levels)
    assert 7 < bits < 8 and 8 * frame.nbytes < 1.05 * bits * x.size


def test_more_than_int8_does_not_change_what_int8_holds() -> None:
    levels = np.arange(-128, 128)
    narrow = gw.compress_levels(levels, 0.5)
    assert gw.inspect_gradient(narrow).method == "levels"
    assert np.array_equal(gw.compress_levels(levels.astype(np.int16), 0.5), narrow)
    wide = gw.compress_levels([*levels, 128], 1e38)
    assert gw.inspect_gradient(wide).method == "wide levels"
    with np.errstate(over="ignore"):
        wanted = np.arange(-128, 129).astype(np.float32) * np.float32(1e38)
    assert_same_bits(gw.decompress_gradient(wide), wanted + 0)
