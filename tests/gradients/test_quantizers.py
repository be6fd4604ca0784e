"""Quantizers against formulas written here, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CORNER_CASES
from gradient_cases import QUANTIZERS, assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradwire as gw

RNG = np.random.default_rng(5)
FLOATS = ["float16", "float32", "float64"]
EVERY_QUANTIZER = pytest.mark.parametrize("quantizer", QUANTIZERS, ids=repr)


def buckets_of(x: np.ndarray, size: int | None) -> list[np.ndarray]:
    size = size or x.size
    return [x[i : i + size].astype(np.float64) for i in range(0, x.size, size)]


@pytest.mark.parametrize("norm", ["l2", "max"])
@pytest.mark.parametrize("bucket_size", [None, 1, 7, 64, 512, 4096, 5000])
@pytest.mark.parametrize("scale_dtype", ["float32", "bfloat16", "log8"])
def test_scales_are_just_large_enough(norm: str, bucket_size: int, scale_dtype: str) -> None:
    x = RNG.normal(size=9001).astype(np.float32) * np.exp(RNG.normal(0, 8, 9001)).astype("f4")
    quantizer = gw.QSGD(4, bucket_size, norm=norm, scale_dtype=scale_dtype)
    _, scales = quantizer.quantize(x)
    order = 2 if norm == "l2" else np.inf
    wanted = np.array([np.linalg.norm(b, order) for b in buckets_of(x, bucket_size)])
    step = {"float32": 1, "bfloat16": 1 + 2**-7, "log8": 2**0.125}[scale_dtype]
    assert scales.dtype == np.float32 and scales.shape == wanted.shape
    assert (scales >= wanted * (1 - 3e-7)).all()
    assert (scales <= wanted * step * (1 + 3e-7)).all()


@EVERY_QUANTIZER
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 1000, 70_001])
def test_frames_hold_what_quantize_gives(quantizer: gw.Quantizer, count: int) -> None:
    x = RNG.laplace(size=count).astype(np.float32)
    levels, scales = quantizer.quantize(x, step=0)  # the stream of an unnamed tensor
    frame = gw.Compressor(quantizer).compress(x)
    assert_same_bits(quantizer.dequantize(levels, scales), gw.decompress_gradient(frame))


@pytest.mark.parametrize("levels", [1, 4, 16, 127, 128, 1000, 32767])
@pytest.mark.parametrize("norm", ["l2", "max"])
def test_levels_are_those_around_the_element(levels: int, norm: str) -> None:
    x = RNG.standard_t(3, size=5000).astype(np.float32)
    quantizer = gw.QSGD(levels, norm=norm)
    q, scales = quantizer.quantize(x)
    exact = np.abs(x.astype(np.float64)) / np.repeat(scales.astype(np.float64), 512)[:5000] * levels
    assert q.dtype == (np.int8 if levels < 128 else np.int16) and np.abs(q).max() <= levels
    assert (np.abs(np.abs(q) - exact) < 1 + 1e-4 + exact * 2**-22).all()
    assert (np.sign(q) * np.sign(x) >= 0).all()


@pytest.mark.parametrize(
    "quantizer",
    [
        gw.QSGD(4),
        gw.QSGD(1, norm="max", scale_dtype="float32"),
        gw.QSGD(127, scale_dtype="bfloat16"),
        gw.QSGD(1000),
        gw.QSGD(32767, norm="max", scale_dtype="float32"),
        gw.TernGrad(clip=100),
        gw.Uniform(3, stochastic=True),
        gw.Uniform(12, stochastic=True),
        gw.Natural(),
    ],
    ids=repr,
)
def test_stochastic_rounding_is_unbiased(quantizer: gw.Quantizer) -> None:
    x = np.concatenate([RNG.laplace(size=600), RNG.laplace(size=100) * 1e-3, np.zeros(68)])
    x = x.astype(np.float32)
    rounds = 3000
    total = np.zeros(x.size)
    for step in range(rounds):
        total += quantizer.dequantize(*quantizer.quantize(x, step=step))
    size = np.abs(x.astype(np.float64))
    if isinstance(quantizer, gw.Natural):
        spacing = np.ldexp(0.5, np.frexp(size)[1])
    else:
        ones = np.ones(x.size, np.int8)
        spacing = quantizer.dequantize(ones, quantizer.quantize(x)[1]).astype(np.float64)
    above = size % spacing
    deviation = np.sqrt(above * (spacing - above) / rounds)
    one_draw = spacing / rounds  # may come, however unlikely it is
    score = (total / rounds - x) / (np.maximum(deviation, 1e-6 * size) + one_draw)
    assert np.abs(score).max() < 6
    assert abs(score[:700].mean()) < 6 / np.sqrt(700)
    assert (total[x == 0] == 0).all()


@pytest.mark.parametrize("scale_dtype", ["float32", "bfloat16", "log8"])
@pytest.mark.parametrize("most", [1, 3e38, np.finfo(np.float32).max])
@pytest.mark.parametrize("number", [127, 32767])
def test_no_level_is_too_large(scale_dtype: str, most: float, number: int) -> None:
    """Of elements as large as their scale, where a draw that carries too far would overflow."""
    x = np.float32(most) * RNG.uniform(0.5, 1, size=2_000_000).astype(np.float32)
    x[::2] *= -1
    quantizer = gw.QSGD(number, bucket_size=1, norm="max", scale_dtype=scale_dtype)
    levels, scales = quantizer.quantize(x)
    assert (np.sign(levels) == np.sign(x)).all() and np.abs(levels).max() <= number
    exact = np.minimum(np.abs(x.astype(np.float64)) / scales.astype(np.float64), 1) * number
    rounding = 1e-4 if number == 127 else 2**-22 * number
    assert np.abs(np.abs(levels.astype(np.float64)) - exact).max() < 1 + rounding


@pytest.mark.parametrize(
    "quantizer",
    [
        gw.QSGD(4, None, norm="max"),
        gw.QSGD(4, 48_000, norm="max"),
        gw.QSGD(1000, None, norm="max"),
        gw.TernGrad(100),
        gw.Natural(),
    ],
    ids=repr,
)
def test_large_pieces_have_the_levels_of_small_ones(quantizer: gw.Quantizer) -> None:
    """float32 is read in place, more of it at once than float64."""
    x = RNG.laplace(size=600_000).astype(np.float32)
    levels, scales = quantizer.quantize(x)
    again, same = quantizer.quantize(x.astype(np.float64))
    assert np.array_equal(levels, again) and np.array_equal(scales, same)


@pytest.mark.parametrize("most", [1, 1024])
def test_draws_are_independent(most: int) -> None:
    x = np.full(2**19, 0.5 / most, np.float32)
    quantizer = gw.QSGD(most, bucket_size=8, norm="max", scale_dtype="float32")
    ones = np.full(8, 1, np.float32)
    x[::8] = 1  # scale 1: the levels of all others are 0 or 1 with equal chances

    def draw(**stream: int) -> np.ndarray:
        return quantizer.quantize(x, **stream)[0].astype(np.float64)[x < 1] - 0.5

    base = draw()
    bound = 6 * 0.25 / np.sqrt(base.size)
    for other in (draw(step=1), draw(rank=1), draw(seed=1)):
        assert abs((base * other).mean()) < bound
    for lag in (1, 2, 3, 4, 7, 14, 28, 2**18 * 7 // 8):
        assert abs((base[lag:] * base[:-lag]).mean()) < bound * 1.5, lag
    assert abs(base.mean()) < 6 * 0.5 / np.sqrt(base.size)
    assert quantizer.quantize(ones)[0].tolist() == [most] * 8


def test_terngrad_formula() -> None:
    x = RNG.laplace(size=10_000).astype(np.float32)
    clip = 2.5 * x.astype(np.float64).std()
    levels, scales = gw.TernGrad().quantize(x)
    assert scales.shape == (1,) and scales[0] == pytest.approx(min(clip, np.abs(x).max()), rel=1e-6)
    assert set(np.unique(levels)) == {-1, 0, 1}
    clipped = np.abs(x) >= clip
    assert (levels[clipped] == np.sign(x[clipped])).all()


@pytest.mark.parametrize("bits", [2, 3, 5, 8, 9, 12, 16])
def test_uniform_rounds_to_nearest(bits: int) -> None:
    x = RNG.normal(size=3000).astype(np.float32)
    most = 2 ** (bits - 1) - 1
    levels, scales = gw.Uniform(bits, bucket_size=500, scale_dtype="float32").quantize(x)
    exact = x.astype(np.float64) / np.repeat(scales.astype(np.float64), 500) * most
    assert np.abs(levels - exact).max() <= 0.5 + 1e-5 + 2**-22 * most
    assert (np.abs(levels.reshape(-1, 500)).max(1) == most).all()


def test_natural_rounds_to_a_neighbouring_power() -> None:
    x = np.concatenate([RNG.laplace(size=5000), 2.0 ** np.arange(-60, 20), [0.0, -0.0]])
    x = x.astype(np.float32)
    quantizer = gw.Natural()
    y = quantizer.dequantize(*quantizer.quantize(x))
    low = np.ldexp(0.5, np.frexp(np.abs(x))[1])
    assert np.isin(np.abs(y), [0]).sum() == 2
    nonzero = x != 0
    ratio = (y / np.where(nonzero, np.copysign(low, x), 1))[nonzero]
    assert set(np.unique(ratio)) == {1.0, 2.0}
    is_power = np.abs(x) == low
    assert np.array_equal(y[is_power], x[is_power])


@EVERY_QUANTIZER
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((0, 3), np.float32),
        np.zeros(700, np.float32),
        np.float32(-2.5),
        np.array([3e38, -3e38], np.float32),
        np.array([1e-45, -1e-45, 0], np.float32),
        np.full((3, 5, 7), 0.1, np.float64),
        np.full(600, -1e-12, np.float32),
        np.r_[np.zeros(999), 5].astype(np.float16),
    ],
    ids=["empty", "zeros", "scalar", "huge", "tiny", "constant", "negative", "spike"],
)
def test_corner_cases(quantizer: gw.Quantizer, x: np.ndarray) -> None:
    levels, scales = quantizer.quantize(x)
    assert levels.shape == np.shape(x) and np.isfinite(scales).all()
    y = gw.decompress_gradient(gw.Compressor(quantizer).compress(x))
    assert y.shape == np.shape(x) and y.dtype == np.float32 and np.isfinite(y).all()
    if not np.any(x):
        assert y.tobytes() == np.zeros_like(y).tobytes()
    if np.size(x) == 1:
        assert np.sign(y) == np.sign(x)


@EVERY_QUANTIZER
def test_nonfinite(quantizer: gw.Quantizer) -> None:
    x = RNG.normal(size=300_000).astype(np.float32)
    x[[270_000, 270_003, 280_000]] = [np.nan, np.inf, -np.inf]
    for call in (quantizer.quantize, gw.Compressor(quantizer).compress):
        with pytest.raises(ValueError, match="not finite as float32 at flat index 270000"):
            call(x)
    clean = np.where(np.isfinite(x), x, 0)
    levels, _ = quantizer.quantize(x, nonfinite="zero")
    assert np.array_equal(levels, quantizer.quantize(clean)[0])
    frame = gw.Compressor(quantizer, nonfinite="zero").compress(x)
    assert np.array_equal(frame, gw.Compressor(quantizer).compress(clean))
    with pytest.raises(ValueError, match="flat index 1"):
        quantizer.quantize(np.array([1, 1e300]))


@EVERY_QUANTIZER
@pytest.mark.parametrize("dtype", FLOATS)
def test_types(quantizer: gw.Quantizer, dtype: str) -> None:
    x = RNG.normal(size=(7, 300)).astype(dtype)
    levels, scales = quantizer.quantize(x)
    same = quantizer.quantize(x.astype(np.float32))
    assert np.array_equal(levels, same[0]) and np.array_equal(scales, same[1])
    swapped = quantizer.quantize(x.astype(x.dtype.newbyteorder(">")))
    assert np.array_equal(levels, swapped[0])
    sliced = quantizer.quantize(np.repeat(x, 2, axis=0)[::2])
    assert np.array_equal(levels, sliced[0])


def test_every_float16() -> None:
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    x = x[np.isfinite(x)]
    assert np.array_equal(gw.SignSGD().quantize(x)[0], gw.SignSGD().quantize(x.astype("f4"))[0])
    single = gw.QSGD(127, bucket_size=1, norm="max", scale_dtype="float32").quantize(x)[1]
    wanted = np.abs(x.astype(np.float32))
    assert np.array_equal(single[wanted > 0], wanted[wanted > 0])


@settings(max_examples=60, deadline=None)
@given(
    x=hnp.arrays(
        st.sampled_from([np.float16, np.float32]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40),
        elements=st.floats(-60000, 60000, width=16),
    ),
    quantizer=st.sampled_from(QUANTIZERS),
)
def test_any_gradient_comes_back_near(x: np.ndarray, quantizer: gw.Quantizer) -> None:
    y = gw.decompress_gradient(gw.Compressor(quantizer).compress(x))
    assert y.shape == x.shape
    assert_same_bits(quantizer.dequantize(*quantizer.quantize(x)), y)
    if isinstance(quantizer, gw.Natural) and x.size:
        assert np.abs(y - x.astype(np.float32)).max() <= np.abs(x.astype(np.float32)).max()


def test_same_bytes_for_all_threads_and_instruction_sets(run_python) -> None:
    script = """
import hashlib
import numpy as np
import gradwire as gw
from gradient_cases import QUANTIZERS, assert_same_bits
rng = np.random.default_rng(1)
x = (rng.laplace(size=600_001) * np.exp(rng.normal(size=600_001))).astype(np.float32)

def digest(threads):
    seen = hashlib.sha256()
    for quantizer in [*QUANTIZERS, gw.Lossless()]:
        takes_memory = not quantizer.loses_nothing and not isinstance(quantizer, gw.SignSGD)
        memory = gw.Residual(0.9, 1.1) if takes_memory else None
        compressor = gw.Compressor(quantizer, memory=memory, threads=threads)
        for _ in range(2):
            frame = compressor.compress(x)
            seen.update(frame.tobytes())
            seen.update(compressor.decompress(frame).tobytes())
    for kind in (gw.TopK, gw.SIDCoGammaPareto, gw.DGC, gw.RedSync, gw.GaussianK):
        for part in kind(0.01).sparsify(x, threads=threads):
            seen.update(part.tobytes())
    return seen.hexdigest()

print(*{digest(threads) for threads in (1, 2, 5)})
"""
    printed = {run_python(script, GRADWIRE_ISA=isa) for isa in gw.build_info()["available_isas"]}
    assert len(printed) == 1
    assert len(printed.pop().split()) == 1


def test_wrong_arguments() -> None:
    for make, message in [
        (lambda: gw.QSGD(0), "levels must be 1 to 32767, got 0"),
        (lambda: gw.QSGD(32768), "levels must be 1 to 32767, got 32768"),
        (lambda: gw.QSGD(4, norm="l1"), "unknown norm 'l1'; take one of: l2, max"),
        (lambda: gw.QSGD(4, bucket_size=0), r"for one bucket\) must be 1 to \d+, got 0"),
        (lambda: gw.QSGD(4, scale_dtype="int8"), "unknown scale_dtype 'int8'"),
        (lambda: gw.TernGrad(clip=0), "clip must be positive"),
        (lambda: gw.Uniform(1), "bits must be 2 to 16, got 1"),
        (lambda: gw.Uniform(17), "bits must be 2 to 16, got 17"),
        (lambda: gw.Signum(1.0), "momentum must be at least 0 and below 1"),
        (lambda: gw.QSGD().quantize([1.0], nonfinite="drop"), "nonfinite must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="got int64"):
        gw.QSGD().quantize(np.arange(3))
    with pytest.raises(TypeError, match="Lossless has no levels"):
        gw.Lossless().quantize(np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="Lossless has no levels"):
        gw.Lossless().dequantize(np.zeros(3, np.int8), np.ones(1, np.float32))
    for abstract in (gw.Quantizer, gw.Sparsifier):
        with pytest.raises(TypeError, match="abstract"):
            abstract()
    with pytest.raises(TypeError, match="a gradient must hold"):
        gw.QSGD().quantize(CORNER_CASES["ternary"])
