"""Sparsifiers: which elements they choose, and how many."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradwire as gw

RNG = np.random.default_rng(11)
SIDCO = [gw.SIDCoExponential, gw.SIDCoGammaPareto, gw.SIDCoPareto]
KINDS = [
    *SIDCO,
    gw.TopK,
    gw.RandomK,
    gw.DGC,
    gw.RedSync,
    gw.RedSyncTrimmed,
    gw.GaussianK,
    gw.Threshold,
]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def sources(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    row_scales = np.exp(rng.normal(0, 1.5, count // 1000)).repeat(1000)
    return {
        "normal": rng.normal(size=count),
        "laplace": rng.laplace(size=count),
        "heavy": rng.standard_t(3, size=count),
        "gamma": rng.gamma(0.3, size=count) * rng.choice([-1, 1], count),
        "rows": rng.normal(size=count) * row_scales,
        "half zeros": rng.laplace(size=count) * (rng.random(count) < 0.5),
    }


SOURCES = {name: x.astype(np.float32) for name, x in sources(1_000_000).items()}


@EVERY_KIND
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_chosen_elements_are_the_gradients(kind: type[gw.Sparsifier], dtype: type) -> None:
    x = RNG.laplace(size=(50, 80)).astype(dtype)
    indices, values = kind(0.05).sparsify(x)
    assert indices.dtype == np.uint32 and values.dtype == np.float32
    assert (np.diff(indices.astype(np.int64)) > 0).all()
    assert np.array_equal(values, x.reshape(-1)[indices].astype(np.float32))


@EVERY_KIND
@pytest.mark.parametrize(
    "x", [np.zeros(0), np.zeros(5000), np.ones(1), np.full(3000, -0.25), np.r_[np.zeros(70), 3.0]]
)
def test_corner_cases(kind: type[gw.Sparsifier], x: np.ndarray) -> None:
    indices, values = kind(0.01).sparsify(x.astype(np.float32))
    assert np.array_equal(values, x[indices])
    if np.any(x) and kind is not gw.RandomK:
        assert indices.size > 0


@pytest.mark.parametrize("count", [1, 100, 10_000, 600_000, 700_001])
@pytest.mark.parametrize("density", [1e-4, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("ties", [False, True])
def test_top_k_is_exact(count: int, density: float, ties: bool) -> None:
    x = np.random.default_rng(count).normal(size=count).astype(np.float32)
    if ties:
        x = np.rint(x * 2).astype(np.float32)
    k = max(1, round(density * count))
    order = np.argsort(-np.abs(x), kind="stable")[:k]
    wanted = np.sort(order[x[order] != 0])
    indices, _ = gw.TopK(density).sparsify(x)
    assert np.array_equal(indices, wanted)


def test_top_k_of_what_a_sample_misses() -> None:
    x = np.zeros(3_000_000, np.float32)
    x[1_234_500:1_234_532] = np.arange(1, 33)  # all between the groups of a sample, or in one
    indices, values = gw.TopK(10 / x.size).sparsify(x)
    assert np.array_equal(indices, np.arange(1_234_522, 1_234_532))
    assert np.array_equal(values, np.arange(23, 33))


@pytest.mark.parametrize("kind", SIDCO)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("density", [0.1, 0.01, 0.001])
def test_sidco_comes_near_its_target(
    kind: type[gw.Sparsifier], source: str, density: float
) -> None:
    sparsifier = kind(density)
    x = SOURCES[source]
    sizes = [sparsifier.sparsify(x)[0].size for _ in range(20)]
    assert 0.8 <= sizes[-1] / (density * x.size) <= 1.2


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [(gw.DGC, 1 / 1.31, 1.31), (gw.GaussianK, 0.4, 1.7), (gw.RedSyncTrimmed, 1, 1)],
)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("density", [0.1, 0.01, 0.001])
def test_others_come_near(
    kind: type[gw.Sparsifier], low: float, high: float, source: str, density: float
) -> None:
    x = SOURCES[source]
    achieved = kind(density).sparsify(x)[0].size / (density * x.size)
    if kind is gw.GaussianK and source != "normal":
        low, high = 0.1, 3  # what its four corrections can do
    assert low <= achieved <= high


def test_red_sync_ends_between_target_and_twice_that() -> None:
    for density in (0.1, 0.01, 0.001):
        size = gw.RedSync(density).sparsify(SOURCES["laplace"])[0].size
        assert 1 <= size / (density * 1e6) <= 2


def test_exponential_threshold_is_the_formula() -> None:
    x = RNG.laplace(0, 0.3, size=100_000).astype(np.float32)
    sparsifier = gw.SIDCoExponential(0.3)  # one stage
    indices, _ = sparsifier.sparsify(x)
    threshold = -np.abs(x.astype(np.float64)).mean() * np.log(0.3)
    assert abs(indices.size - (np.abs(x) >= threshold).sum()) <= 2


def test_pareto_and_gamma_thresholds_are_the_formulas() -> None:
    x = RNG.gamma(0.5, size=100_000).astype(np.float32) + np.float32(1e-9)
    size = np.abs(x.astype(np.float64))
    square = size.mean() ** 2 / size.var()
    shape, scale = (square - 1) / 2, size.mean() * (square + 1) / 2
    pareto = scale * (1 - 0.3**shape) / shape
    indices, _ = gw.SIDCoPareto(0.3).sparsify(x)
    assert abs(indices.size - (size >= pareto).sum()) <= 2
    s = np.log(size.mean()) - np.log(size).mean()
    alpha = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    gamma = -size.mean() / alpha * (np.log(0.3) + math.lgamma(alpha))
    indices, _ = gw.SIDCoGammaPareto(0.3).sparsify(x)
    assert abs(indices.size - (size >= gamma).sum()) <= 2


def test_sidco_state_belongs_to_object_and_tensor() -> None:
    x = SOURCES["heavy"]
    one, other = gw.SIDCoExponential(0.001), gw.SIDCoExponential(0.001)
    for _ in range(12):
        one.sparsify(x, name="a")
    assert set(one.state_dict()) == {"a"} and other.state_dict() == {}
    other.load_state_dict(one.state_dict())
    for _ in range(6):
        assert np.array_equal(one.sparsify(x, name="a")[0], other.sparsify(x, name="a")[0])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.floats(1e-4, 1), st.integers(0, 2**32), st.integers(0, 9))
def test_random_k_spreads_evenly(count: int, density: float, seed: int, step: int) -> None:
    x = np.arange(1, count + 1, dtype=np.float32)
    sparsifier = gw.RandomK(density, seed=seed)
    indices, values = sparsifier.sparsify(x, step=step)
    k = max(1, round(density * count))
    assert indices.size == k and np.array_equal(values, x[indices])
    around = np.append(indices, indices[0] + count).astype(np.int64)
    assert (np.diff(around) > 0).all() and np.diff(around).max() <= 2 * -(-count // k)
    assert np.array_equal(indices, gw.RandomK(density, seed=seed).sparsify(x, step=step)[0])


@pytest.mark.parametrize("density", [0.1, 0.3, 0.7])
def test_random_k_is_fair(density: float) -> None:
    x = np.ones(1003, np.float32)
    counts = np.zeros(x.size)
    steps = 10_000
    for step in range(steps):
        counts[gw.RandomK(density).sparsify(x, step=step)[0]] += 1
    p = round(density * x.size) / x.size
    assert np.abs(counts / steps - p).max() < 5 * np.sqrt(p * (1 - p) / steps)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in (gw.RandomK, gw.Threshold)])
def test_something_is_always_chosen(kind: type[gw.Sparsifier]) -> None:
    hidden = np.zeros(3_000_000, np.float32)
    hidden[1_234_500:1_234_532] = np.arange(1, 33)  # a sample may miss all of them
    for x in (hidden, np.full(1000, 0.3, "f4"), np.full(100_003, 0.3, "f4")):
        assert 1 <= kind(1e-3).sparsify(x)[0].size <= x.size
    assert gw.Threshold(threshold=99).sparsify(hidden)[0].size == 0


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not gw.Threshold])
@pytest.mark.parametrize("values", ["float32", "float16", "bfloat16", gw.QSGD(16)])
def test_frames(kind: type[gw.Sparsifier], values: str | gw.Quantizer) -> None:
    x = RNG.laplace(size=(300, 500)).astype(np.float32)
    indices, kept = kind(0.02, values=values).sparsify(x)
    frame = gw.Compressor(kind(0.02, values=values)).compress(x)
    y = gw.decompress_gradient(frame)
    info = gw.inspect_gradient(frame)
    assert info.sent == indices.size and y.shape == x.shape
    flat = y.reshape(-1)
    assert not np.any(np.delete(flat, indices))
    tolerance = {"float32": 0, "float16": 2**-11, "bfloat16": 2**-8}
    if isinstance(values, str):
        assert (np.abs(flat[indices] - kept) <= tolerance[values] * np.abs(kept)).all()
    else:
        assert np.abs(flat[indices] - kept).max() <= np.linalg.norm(kept) / 16 * 1.1


def test_values_round_to_nearest() -> None:
    x = np.concatenate([RNG.normal(size=4000), 2.0 ** RNG.uniform(-30, 17, 4000)])
    x = (x * RNG.choice([-1, 1], 8000)).astype(np.float32)
    x[:4] = [65504, 65519.9, 1e9, -3e38]
    frame = gw.Compressor(gw.TopK(1.0, values="float16")).compress(x)
    wanted = np.clip(x, -65504, 65504).astype(np.float16).astype(np.float32)
    assert np.array_equal(gw.decompress_gradient(frame), wanted)
    frame = gw.Compressor(gw.TopK(1.0, values="bfloat16")).compress(x)
    bits = x.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    assert np.array_equal(gw.decompress_gradient(frame), rounded.astype(np.uint32).view(np.float32))


@pytest.mark.parametrize("density", [0.1, 0.01, 0.001])
def test_gaps_cost_their_entropy(density: float) -> None:
    x = RNG.laplace(size=4_000_000).astype(np.float32)
    indices, _ = gw.TopK(density).sparsify(x)
    gaps = np.diff(indices.astype(np.int64), prepend=-1) - 1
    frame = gw.Compressor(gw.TopK(density, values=gw.SignSGD())).compress(x)
    signs = gw.Compressor(gw.SignSGD()).compress(x[indices]).nbytes
    p = density
    geometric = (-p * np.log2(p) - (1 - p) * np.log2(1 - p)) / p  # the law of these gaps
    bits = 8 * (frame.nbytes - signs) / gaps.size
    assert bits < 1.03 * geometric + 8 * 200 / gaps.size


def test_clustered_gaps_cost_less() -> None:
    x = np.zeros(1_000_000, np.float32)
    x[RNG.choice(1000, 10, replace=False)[:, None] * 1000 + np.arange(1000)] = 1
    frame = gw.Compressor(gw.TopK(0.01, values=gw.SignSGD())).compress(x)
    assert frame.nbytes < 400


def test_state_and_arguments() -> None:
    for make, message in [
        (lambda: gw.TopK(0), "density must be above 0"),
        (lambda: gw.TopK(1.5), "density must be above 0"),
        (lambda: gw.TopK(0.1, values="float8"), "values must be"),
        (lambda: gw.TopK(0.1, values=gw.Lossless()), "values cannot be Lossless"),
        (lambda: gw.Threshold(threshold=-1), "threshold must be at least 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(ValueError, match="TopK keeps no state"):
        gw.TopK().load_state_dict({"a": {}})
    with pytest.raises(TypeError, match="a gradient must hold"):
        gw.TopK().sparsify([1, 2])
