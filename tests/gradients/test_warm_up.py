"""Sparsifiers whose density falls during the first steps of each tensor."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_gradients

import gradwire as gw
from gradwire.exchange.agreement import settings_of
from gradwire.exchange.sharded import second_stage
from gradwire.tools.pipelines import parse_pipeline

# How far each kind may be from the wanted number of elements, as factors. What GaussianK chooses
# from a Laplace distribution may be anything.
KINDS: dict[type[gw.Sparsifier], tuple[float, float]] = {
    gw.TopK: (1, 1),
    gw.RandomK: (1, 1),
    gw.DGC: (1 / 1.31, 1.31),
    gw.RedSync: (1, 2),
    gw.RedSyncTrimmed: (1, 1),
    gw.GaussianK: (0, np.inf),
    gw.SIDCoExponential: (0.4, 1.21),
    gw.SIDCoGammaPareto: (0.4, 1.21),
    gw.SIDCoPareto: (0.4, 1.21),
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
COUNT = 100_000
STEPS = 20


def gradient(step: int, count: int = COUNT) -> np.ndarray[Any, Any]:
    return np.random.default_rng(step).laplace(size=count).astype(np.float32)


def wanted(step: int, density: float, warm_up: int) -> float:
    """0.25 to the power of 1 - step / warm_up, times density to the power of step / warm_up."""
    share = min(step / warm_up, 1)
    return COUNT * float(np.exp((1 - share) * np.log(0.25) + share * np.log(density)))


def sent(frame: Any) -> int:
    return gw.inspect_gradient(frame).sent


@EVERY_KIND
@pytest.mark.parametrize("memory", [gw.NoMemory, gw.Residual])
@pytest.mark.parametrize("density", [0.1, 0.01, 0.001])
def test_densities_of_frames(
    kind: type[gw.Sparsifier], memory: Callable[[], gw.Memory], density: float
) -> None:
    """They are those of a sparsifier whose density is set by hand, bit for bit."""
    compressor = gw.Compressor(kind(density, warm_up=STEPS), memory=memory())
    by_hand = gw.Compressor(kind(0.25), memory=memory())
    low, high = KINDS[kind]
    for step in range(STEPS + 5):
        aim = wanted(step, density, STEPS)
        frame = compressor.compress(gradient(step), "x")
        assert low * aim - 1 <= sent(frame) <= high * aim + 1, step
        by_hand.pipeline.density = compressor.pipeline.density_at(step)
        assert frame.tobytes() == by_hand.compress(gradient(step), "x").tobytes()
        assert compressor.pipeline.density_at(step) * COUNT == pytest.approx(aim)


def test_the_densities_of_the_paper() -> None:
    """75 %, 93.75 %, 98.4375 %, 99.6 % and 99.9 % are left out."""
    compressor = gw.Compressor(gw.TopK(0.001, warm_up=4))
    found = [1 - sent(compressor.compress(gradient(i), "x")) / COUNT for i in range(6)]
    assert np.allclose(found, [0.75, 0.9375, 0.984375, 0.996, 0.999, 0.999], atol=4e-4)


def test_sidco_ends_where_it_would_without() -> None:
    """What its fits have learned at larger densities does not disturb those that follow."""
    for kind in (gw.SIDCoExponential, gw.SIDCoGammaPareto, gw.SIDCoPareto):
        sparsifier = kind(0.001, warm_up=30)
        x = gradient(0, 1_000_000)
        sizes = [sparsifier.sparsify(x, "x", step)[0].size for step in range(60)]
        assert all(800 <= size <= 1200 for size in sizes[-15:]), sizes


def test_each_tensor_has_its_steps() -> None:
    compressor = gw.Compressor(gw.TopK(0.01, warm_up=10), memory=gw.Residual())
    for step in range(5):
        compressor.compress(gradient(step), "x")
    first = sent(compressor.compress(gradient(0), "y"))
    assert first == COUNT // 4
    assert sent(compressor.compress(gradient(5), "x")) == round(wanted(5, 0.01, 10))


def test_steps_that_fail_do_not_count_and_skipped_ones_do() -> None:
    compressor = gw.Compressor(gw.TopK(0.01, warm_up=10), memory=gw.Residual())
    for _ in range(3):
        with pytest.raises(ValueError, match="not finite"):
            compressor.compress(gradient(0) * np.inf, "x")
    assert sent(compressor.compress(gradient(0), "x")) == COUNT // 4
    compressor.skip_step(["x"])
    assert sent(compressor.compress(gradient(1), "x")) == round(wanted(1, 0.01, 10))


@EVERY_KIND
def test_checkpoints_continue_it(kind: type[gw.Sparsifier]) -> None:
    def make() -> gw.Compressor:
        return gw.Compressor(kind(0.01, warm_up=12), memory=gw.Residual())

    whole, before, after = make(), make(), make()
    for step in range(5):
        for compressor in (whole, before):
            compressor.compress(gradient(step), "x")
    after.load_state_dict(pickle.loads(pickle.dumps(before.state_dict())))
    for step in range(5, 15):
        frames = [c.compress(gradient(step), "x").tobytes() for c in (whole, after)]
        assert frames[0] == frames[1]


def test_receivers_of_random_elements_draw_the_same_ones() -> None:
    compressor = gw.Compressor(gw.RandomK(0.01, warm_up=5))
    for step in range(8):
        x = gradient(step, 2000)
        frame = compressor.compress(x, "x")
        decoded = gw.decompress_gradient(frame)
        assert np.count_nonzero(decoded) == sent(frame)
        assert np.array_equal(decoded, np.where(decoded == 0, 0, x))
        assert np.array_equal(reference_gradients.decode(frame.tobytes()), decoded)


def test_the_second_stage_counts_its_own_steps() -> None:
    first = gw.Compressor(gw.TopK(0.01, warm_up=10), memory=gw.Residual())
    for step in range(5):
        first.compress(gradient(step), "x")
    second = second_stage(first)
    assert sent(second.compress(gradient(5), "x")) == COUNT // 4
    assert sent(first.compress(gradient(5), "x")) == round(wanted(5, 0.01, 10))


def test_a_density_above_the_first_one_stays() -> None:
    sparsifier = gw.TopK(0.5, warm_up=10)
    assert {sparsifier.density_at(step) for step in range(12)} == {0.5}


@EVERY_KIND
def test_representations(kind: type[gw.Sparsifier]) -> None:
    seed = ", seed=0" if kind is gw.RandomK else ""
    assert repr(kind(0.1)) == f"{kind.__name__}(density=0.1, values='float32'{seed})"
    one = kind(0.1, warm_up=7)
    assert repr(one) == f"{kind.__name__}(density=0.1, values='float32'{seed}, warm_up=7)"
    assert eval(repr(one), vars(gw)) == one != kind(0.1)
    assert parse_pipeline(repr(one)) == one == copy.deepcopy(one)
    settings = [settings_of(gw.Compressor(kind(0.1, warm_up=n)))["pipeline"] for n in (0, 7)]
    assert settings[0] != settings[1]


def test_arguments() -> None:
    assert gw.RandomK(0.1, "float16", 3).seed == 3
    assert gw.Threshold(0.1, "float16", 3.0).threshold == 3.0
    made = gw.compressor_from_params({"compressor": "dgc", "compress_ratio": 0.1, "warm_up": 9})
    assert made.pipeline == gw.DGC(0.1, warm_up=9)
    for make, kind, message in (
        (lambda: gw.TopK(warm_up=-1), ValueError, "warm_up must be at least 0, got -1"),
        (lambda: gw.TopK(warm_up=0.5), TypeError, "warm_up must be an integer, got 0.5"),
        (lambda: gw.TopK(0.1, "float32", 5), TypeError, "positional"),
        (lambda: gw.Threshold(warm_up=5), TypeError, "unexpected keyword argument 'warm_up'"),
        (lambda: parse_pipeline("Threshold(warm_up=5)"), ValueError, "Threshold: .*'warm_up'"),
    ):
        with pytest.raises(kind, match=message):
            make()
    with pytest.raises(ValueError, match="unknown setting 'warm_up'"):
        gw.compressor_from_params({"compressor": "threshold", "warm_up": 9})
