"""What the codec entropy promises."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from cases import CORNER_CASES, ternary

import gradwire as gw
from gradwire.tools.demo import sample_gradients


def share_of_entropy(array: np.ndarray) -> float:
    """Bits of the frame per bit of the order-0 entropy."""
    return 8 * gw.compress(array).nbytes / (gw.shannon_entropy(array) * array.size)


def geometric(count: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.minimum(rng.geometric(0.385, count) - 1, 63).astype(np.int8)


@pytest.mark.parametrize(
    ("array", "most"),
    [
        (ternary(1_000_000, 0.7), 1.016),
        (ternary(1_000_000, 0.95), 1.016),
        (ternary(4_000_000, 0.995), 1.03),
        (geometric(1_000_000), 1.01),
        (CORNER_CASES["dense"], 1.01),
    ],
    ids=["ternary-0.7", "ternary-0.95", "ternary-0.995", "geometric", "dense"],
)
def test_close_to_the_entropy_of_independent_symbols(array: np.ndarray, most: float) -> None:
    assert share_of_entropy(array) < most


def test_rows_of_different_scale_and_sign_cost_less_than_their_entropy() -> None:
    rng = np.random.default_rng(3)
    scale = np.repeat(rng.choice([0.1, 0.5, 3], 3000), 256)
    sign = np.repeat(rng.choice([-1, 1], 3000), 256)
    rows = np.rint(rng.exponential(scale) * sign).astype(np.int8)
    assert share_of_entropy(rows) < 0.75


def test_zeros_cost_next_to_nothing() -> None:
    array = np.zeros(4_000_000, np.int8)
    empty = gw.compress(array).nbytes
    assert empty < 250
    array[: 256 * 100] = ternary(256 * 100, 0.5)
    dense = gw.compress(array[: 256 * 100]).nbytes
    assert gw.compress(array).nbytes < 1.1 * dense + 2 * empty


@pytest.mark.parametrize("seed", range(10))
def test_few_rows_that_a_sample_could_miss_are_coded_well(seed: int) -> None:
    array = np.zeros((2048, 512), np.int8)
    places = np.random.default_rng(seed).choice(2048, 12, replace=False)
    array[places] = ternary(12 * 512, 0.9).reshape(12, 512)
    alone = gw.compress(array[places]).nbytes
    assert gw.compress(array).nbytes < 1.15 * alone + 100


def test_real_gradients_cost_less_than_their_entropy_and_than_rlh() -> None:
    for name, gradient in sample_gradients().items():
        for levels in (4, 16):
            array, _ = gw.QSGD(levels).quantize(gradient)
            assert share_of_entropy(array) < 1.02, (name, levels)
            assert gw.compress(array).nbytes < gw.compress(array, codec="rlh").nbytes


def test_levels_of_gradients_are_coded_as_blocks() -> None:
    """Other forms would save a few percent, and take many times as long."""
    for name, gradient in sample_gradients().items():
        for quantizer in (gw.QSGD(4), gw.QSGD(16), gw.TernGrad()):
            levels, _ = quantizer.quantize(np.tile(gradient.reshape(-1), 5))
            assert gw.inspect(gw.compress(levels)).layout == "classic", (name, quantizer)


def test_values_that_the_sample_lacks() -> None:
    array = np.tile(ternary(200_000, 0.9), 10)
    rare = np.random.default_rng(4).choice(array.size, 40, replace=False)
    array[rare] = 100
    frame = gw.compress(array)
    assert np.array_equal(gw.decompress(frame), array)
    assert frame.nbytes < gw.compress(np.where(array == 100, 0, array)).nbytes + 300


def test_values_that_the_sample_of_a_class_lacks() -> None:
    halves = [ternary(150_000, 0.99), ternary(150_000, 0.5)]
    array = np.concatenate(halves)
    array[::5000] = 7
    frame = gw.compress(array)
    assert np.array_equal(gw.decompress(frame), array)
    assert np.array_equal(reference.decode(frame.tobytes()), array)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "int64"])
@pytest.mark.parametrize("background", [0, 3])
def test_classes_leave_nothing_of_what_their_memory_held(dtype: str, background: int) -> None:
    rng = np.random.default_rng(6)
    kinds = [ternary(40 * 256, 0.99), rng.integers(0, 100, 40 * 256), np.zeros(40 * 256)]
    blocks = np.concatenate(kinds).reshape(-1, 256)[rng.permutation(120)].reshape(-1)[:-9]
    array = (blocks + background + 1).astype(dtype)
    frame = gw.compress(array)
    assert frame.nbytes < 0.9 * gw.compress(array, codec="huffman").nbytes
    gw.compress(array[::-1].copy())  # coded in the same memory
    out = np.frombuffer(b"\xff" * array.nbytes, dtype).copy()
    gw.decompress_into(frame, out)
    assert np.array_equal(out, array)
    assert np.array_equal(reference.decode(frame.tobytes()), array)


@pytest.mark.parametrize("background", [-128, -1, 100, 127])
def test_any_value_may_be_the_most_frequent_one(background: int) -> None:
    array = (ternary(20_000) + background).astype(np.int8)
    around_zero = gw.compress(ternary(20_000))
    frame = gw.compress(array)
    assert abs(frame.nbytes - around_zero.nbytes) < 20
    assert np.array_equal(gw.decompress(frame), array)


def test_values_far_apart_take_bins() -> None:
    array = CORNER_CASES["wide alphabet"]
    huffman = gw.inspect(gw.compress(array, codec="huffman"))
    frame = gw.inspect(gw.compress(array))
    assert frame.layout == "forms"
    assert frame.code_length < 1.01 * huffman.code_length
    assert frame.nbytes < huffman.nbytes


def test_encoding_names_the_parts_of_forms() -> None:
    rng = np.random.default_rng(0)
    codec = gw.Entropy()
    codec.compress(np.where(rng.random(20_000) < 0.01, rng.integers(-1000, 1000, 20_000), 0))
    words: dict[tuple[str, int], list[str]] = {}
    for (part, block_class, _, _, _), word in codec.encoding.items():
        words.setdefault((part, block_class), []).append(word)
    assert {part for part, _ in words} == {"gaps", "values"}
    for of_part in words.values():
        assert sum(2.0 ** -len(word) for word in of_part) == 1


def test_encoding_names_class_value_and_run() -> None:
    codec = gw.Entropy()
    codec.compress(ternary(5000))
    assert {key[0] for key in codec.encoding} == {0}
    assert {key[1] for key in codec.encoding} == {-1, 0, 1}
    assert all(set(word) <= {"0", "1"} for word in codec.encoding.values())
