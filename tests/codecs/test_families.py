"""`entropy` on families of integers: sizes beside the order-0 entropy and all other codecs."""

from __future__ import annotations

import numpy as np
import pytest
from families import FAMILIES, Family
from families_held_out import HELD_OUT

import gradwire as gw

MOST = 1.02
"""Times the order-0 entropy, plus 2 bytes a distinct value and 200; and times the smallest frame of
all codecs, plus 64 bytes."""

SEVERAL_CHUNKS = 280_000
"""Elements. Gaps, runs and differences begin anew in each chunk."""

FALL_SHORT = {
    "int64, 300 far values": "a code book of values of 64 bits",
    "int32, 1000 far values, Zipf": "a code book of values of 32 bits",
    "int64, prices as float64": "bits of floats as integers: huffman with a code book of its own",
    "int32, every 2nd row of 4096 is wide": "a few rows only, each with a scale of its own",
    "int64, eight layers": "eight layers, each with a scale of its own",
    "int32, 30 % repeat the one before": "most values occur once: nothing but runs saves bits",
}
"""Families above the order-0 entropy at this size. None is behind another codec."""


def allowed(family: Family, array: np.ndarray) -> float:
    """Bytes at the order-0 entropy, with those for a code book."""
    distinct = np.unique(array).size if family.kind == "independent" else 0
    return gw.shannon_entropy(array) * array.size / 8 + 2 * distinct + 200


@pytest.mark.parametrize("family", [*FAMILIES, *HELD_OUT], ids=lambda family: family.name)
def test_no_family_is_far_from_its_entropy_or_behind_another_codec(family: Family) -> None:
    array = family.array(5000)
    frame = gw.compress(array)
    assert np.array_equal(gw.decompress(frame), array)
    if family.name not in FALL_SHORT:
        assert frame.nbytes <= MOST * allowed(family, array)
    best = min(gw.compress(array, key).nbytes for key in gw.codecs())
    if family.name != "int64, prices as float64":
        assert frame.nbytes <= MOST * best + 64


@pytest.mark.parametrize("count", [1, 2, 30, 300])
def test_small_arrays(count: int) -> None:
    for family in FAMILIES:
        array = family.array(count)
        frame = gw.compress(array)
        assert np.array_equal(gw.decompress(frame), array), family.name
        best = min(gw.compress(array, key).nbytes for key in gw.codecs())
        assert frame.nbytes <= MOST * best + 64, family.name


@pytest.mark.parametrize("family", [*FAMILIES, *HELD_OUT], ids=lambda family: family.name)
def test_several_chunks(family: Family) -> None:
    array = family.array(SEVERAL_CHUNKS)
    frame = gw.compress(array)
    assert np.array_equal(gw.decompress(frame), array)
    if family.kind == "independent" and family in FAMILIES:
        assert frame.nbytes <= MOST * allowed(family, array)


def test_a_chunk_that_differs_has_a_code_book_of_its_own() -> None:
    rng = np.random.default_rng(0)
    size = 1 << 18
    parts = [
        np.rint(rng.laplace(0, 3, size)),
        np.rint(rng.laplace(0, 3000, size)),
        np.cumsum(rng.geometric(0.1, size)),
        70_000 * rng.integers(0, 2, size),
    ]
    whole = np.concatenate(parts).astype(np.int32)
    frame = gw.compress(whole)
    assert np.array_equal(gw.decompress(frame), whole)
    alone = sum(gw.compress(part.astype(np.int32)).nbytes for part in parts)
    assert frame.nbytes < 1.1 * alone


def test_few_values_in_millions() -> None:
    """A sample that has only zeros."""
    rng = np.random.default_rng(0)
    array = np.zeros(10**7, np.int16)
    array[rng.integers(0, array.size, 30)] = rng.integers(1, 100, 30)
    assert gw.compress(array).nbytes < 1000


def test_periodic_rows() -> None:
    """Samples at equal distances would see one kind of rows only."""
    rng = np.random.default_rng(0)
    rows = 24 * 64
    scales = np.where(np.arange(rows) % 8 == 0, 25, 0.3)[:, None]
    array = np.rint(rng.laplace(size=(rows, 1024)) * scales).clip(-127, 127).astype(np.int8)
    assert gw.compress(array).nbytes < gw.shannon_entropy(array) * array.size / 8
