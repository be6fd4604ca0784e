"""Constant arrays and long runs, in every codec and dtype."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from cases import DTYPES, KEYS

import gradwire as gw

COUNT = 600_001  # three chunks, the last one odd
CHUNKS = 3


def constants(dtype: np.dtype, count: int) -> list[np.ndarray]:
    """Zeros and the same nonzero value in all places."""
    if dtype == np.bool_:
        return [np.zeros(count, dtype), np.ones(count, dtype)]
    most = np.iinfo(dtype).max
    return [np.full(count, value, dtype) for value in (0, 3, most, np.iinfo(dtype).min)]


def others(dtype: np.dtype, count: int) -> list[np.ndarray]:
    """Few runs, long runs, and runs of one."""
    i = np.arange(count)
    arrays = [(i // 100_000 % 2).astype(dtype), (i // 1000 % 2).astype(dtype)]
    arrays.append((i % 2).astype(dtype))
    for array in constants(dtype, count)[:2]:
        array[count // 2] = 1 if array[0] == 0 else 0
        arrays.append(array)
    if dtype.itemsize > 1:
        array = np.full(count, 3, dtype)
        array[count // 2] = np.iinfo(dtype).max  # does not fit a byte beside the others
        arrays.append(array)
        arrays.append((i // 1000 * 37 % 101 * 300).astype(dtype))
    return arrays


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_constant_arrays_take_a_few_bytes(key: str, dtype: np.dtype) -> None:
    for array in constants(dtype, COUNT):
        frame = gw.compress(array, codec=key)
        a_chunk = 64 if key != "shs" or array[0] != 0 else 256  # shs cuts zeros into runs of 200
        assert frame.nbytes <= 128 + CHUNKS * a_chunk
        assert np.array_equal(gw.decompress(frame), array)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_long_runs_come_back(key: str, dtype: np.dtype) -> None:
    for array in others(dtype, COUNT):
        assert np.array_equal(gw.decompress(gw.compress(array, codec=key)), array)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reference_decoder_agrees(key: str, dtype: np.dtype) -> None:
    """17,000 elements are enough for eight streams."""
    for array in constants(dtype, 17_000) + others(dtype, 17_000)[-2:]:
        frame = gw.compress(array, codec=key)
        assert np.array_equal(reference.decode(frame.tobytes()), array)
        assert reference.code_length(frame.tobytes()) in (None, gw.inspect(frame).code_length)
