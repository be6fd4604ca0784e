"""Lossless for every codec, dtype, shape and thread count; the reference decodes it as well."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import reference
from cases import DTYPES, KEYS
from hypothesis import given, settings
from hypothesis import strategies as st

import gradwire as gw


def assert_same(decoded: np.ndarray, original: np.ndarray) -> None:
    assert decoded.dtype == original.dtype
    assert decoded.shape == original.shape
    assert np.array_equal(decoded, original)


@pytest.mark.parametrize("key", KEYS)
def test_corner_cases(key: str, corner_case: np.ndarray) -> None:
    frame = gw.compress(corner_case, codec=key)
    assert frame.dtype == np.uint8 and frame.ndim == 1
    assert frame.nbytes <= corner_case.nbytes * 1.0001 + 46 + corner_case.ndim
    assert frame.nbytes <= gw.max_compressed_size(corner_case)
    assert_same(gw.decompress(frame), corner_case)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [0, 1, 128, 2**14, 2**21])
def test_frames_of_many_dimensions_are_not_much_larger(key: str, count: int) -> None:
    most = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
    q = np.random.default_rng(0).integers(-128, 128, count, np.int8)  # incompressible
    q = q.reshape(count, *[1] * (most - 1))
    frame = gw.compress(q, codec=key)
    assert q.nbytes < frame.nbytes <= q.nbytes * 1.0001 + 46 + q.ndim
    assert frame.nbytes <= gw.max_compressed_size(q)
    assert_same(gw.decompress(frame), q)


@pytest.mark.parametrize("key", KEYS)
def test_reference_decoder_agrees(key: str, corner_case: np.ndarray) -> None:
    frame = gw.compress(corner_case, codec=key)
    assert_same(reference.decode(frame.tobytes()), corner_case)
    counted = reference.code_length(frame.tobytes())
    info = gw.inspect(frame)
    assert (counted is None) == (info.raw_chunks > 0)
    assert counted is None or counted == info.code_length


@pytest.mark.parametrize("key", KEYS)
def test_threads_do_not_change_the_bytes(key: str, corner_case: np.ndarray) -> None:
    frames = [gw.codec(key, threads=n).compress(corner_case).tobytes() for n in (1, 2, 3, 7)]
    assert frames[1:] == frames[:1] * 3
    frame = np.frombuffer(frames[0], np.uint8)
    for threads in (1, 2, 5):
        assert_same(gw.decompress(frame, threads=threads), corner_case)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=40))
    if dtype == np.bool_:
        return draw(hnp.arrays(dtype, shape))
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    alphabet = draw(st.lists(st.integers(low, high), min_size=1, max_size=20))
    elements = st.one_of(st.sampled_from(alphabet), st.integers(low, high))
    return draw(hnp.arrays(dtype, shape, elements=elements, fill=st.just(alphabet[0])))


@settings(max_examples=150, deadline=None)
@given(array=arrays(), key=st.sampled_from(KEYS), checksum=st.booleans(), threads=st.integers(1, 3))
def test_any_array(array: np.ndarray, key: str, checksum: bool, threads: int) -> None:
    codec = gw.codec(key, checksum=checksum, threads=threads)
    frame = codec.compress(array)
    assert frame.nbytes <= array.nbytes * 1.001 + 64
    assert_same(codec.decompress(), array)
    assert_same(reference.decode(frame.tobytes()), array)


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.integers(1, 10**6), min_size=1, max_size=40),
    count=st.integers(1, 60_000),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([d for d in DTYPES if d != np.bool_]),
    key=st.sampled_from(KEYS),
)
def test_any_histogram(
    weights: list[int], count: int, seed: int, dtype: np.dtype, key: str
) -> None:
    """Long enough arrays for streams, tables and samples; alphabets anywhere in the dtype."""
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    alphabet = rng.integers(info.min, info.max, len(weights), dtype, endpoint=True)
    p = np.array(weights) / sum(weights)
    array = alphabet[rng.choice(len(weights), size=count, p=p)]
    options = {"sample_size": 50} if key in ("sh", "shs") else {}
    frame = gw.codec(key, **options).compress(array)
    assert_same(gw.decompress(frame), array)
    assert_same(reference.decode(frame.tobytes()), array)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layouts_of_memory(key: str, dtype: np.dtype) -> None:
    base = np.arange(7 * 11 * 13).reshape(7, 11, 13) % 5
    array = base.astype(dtype)
    views = [
        array[::2, 1:, ::-3],
        array.transpose(2, 0, 1),
        np.asfortranarray(array),
        array[3, 4],
        array[:, 0, 0],
        array.astype(dtype.newbyteorder(">")),
    ]
    for view in views:
        decoded = gw.decompress(gw.compress(view, codec=key))
        assert decoded.dtype == dtype
        assert np.array_equal(decoded, view)


@pytest.mark.parametrize("key", ["sh", "shs"])
def test_values_that_the_sample_missed(key: str) -> None:
    rng = np.random.default_rng(5)
    for dtype, rare in (
        (np.int8, [5, -128]),
        (np.int32, [2**31 - 1, -(2**31), 77]),
        (np.uint64, [2**64 - 1]),
    ):
        array = np.zeros(300_000, dtype)
        array[rng.choice(array.size, 40_000)] = 1
        places = rng.choice(array.size, 200)
        array[places] = np.array(rare, dtype)[np.arange(200) % len(rare)]
        frame = gw.codec(key, sample_size=2, seed=3).compress(array)
        assert gw.inspect(frame).raw_chunks == 0
        assert_same(gw.decompress(frame), array)
        assert_same(reference.decode(frame.tobytes()), array)


@pytest.mark.parametrize("key", KEYS)
def test_checksum_can_be_left_out(key: str) -> None:
    array = np.tile(np.array([0, 0, 0, 1], np.int8), 500)
    with_it, without = (gw.codec(key, checksum=c).compress(array) for c in (True, False))
    assert with_it.size == without.size + 4
    assert gw.inspect(with_it).checksum and not gw.inspect(without).checksum
    assert_same(gw.decompress(without), array)


def test_shs_of_as_many_values_as_a_code_book_has_room_for() -> None:
    array = np.tile(np.arange(65_536, dtype=np.int32), 16)
    codec = gw.codec("shs", max_run=64, sample_size=10**6)
    assert np.array_equal(gw.decompress(codec.compress(array)), array)
