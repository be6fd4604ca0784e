"""Frames that name a code book instead of carrying it."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import reference
from cases import ternary

import gradwire as gw

SAMPLE = ternary(300_000)


@pytest.mark.parametrize(
    "array",
    [
        ternary(1000, seed=1),
        ternary(5000, 0.5, seed=1),
        ternary(600_000, 0.99, seed=1),
        np.zeros(70_000, np.int8),
        np.arange(-128, 128).repeat(40).astype(np.int8),
        np.empty((0, 4), np.int8),
    ],
    ids=["small", "dense", "large", "zeros", "all-bytes", "empty"],
)
def test_round_trip(array: np.ndarray) -> None:
    codec = gw.Entropy().fit(SAMPLE)
    frame = codec.compress(array)
    assert np.array_equal(codec.decompress(frame), array)
    assert np.array_equal(gw.decompress(frame), array)
    if array.size < 100_000:
        shared = reference.read_shared_book(codec.code_book)
        assert np.array_equal(reference.decode(frame.tobytes(), shared), array)


def test_it_saves_the_code_book() -> None:
    array = ternary(1000, seed=1)
    frame = gw.Entropy().fit(SAMPLE).compress(array)
    info = gw.inspect(frame)
    assert info.shared_code_book and info.code_book_bytes == 8
    assert info.nbytes < gw.compress(array).nbytes
    assert info.nbytes < gw.shannon_entropy(array) * array.size / 8 + 40
    assert not gw.inspect(gw.compress(array)).shared_code_book


def test_values_that_the_sample_lacks() -> None:
    array = ternary(20_000)
    array[::1000] = 99
    frame = gw.Entropy().fit(SAMPLE).compress(array)
    assert gw.inspect(frame).shared_code_book
    assert np.array_equal(gw.Entropy().fit(SAMPLE).decompress(frame), array)


def test_arrays_that_it_does_not_fit_carry_their_own() -> None:
    codec = gw.Entropy().fit(np.array([1000, 1001] * 50, np.int32))
    for array in (np.arange(900, 1002, dtype=np.int32), np.zeros(100, np.int8)):
        frame = codec.compress(array)
        assert not gw.inspect(frame).shared_code_book
        assert np.array_equal(gw.decompress(frame), array)
    near = np.array([1000, 1001, 1200] * 99, np.int32)
    assert gw.inspect(codec.compress(near)).shared_code_book
    assert np.array_equal(codec.decompress(), near)


def test_another_process_needs_the_code_book(run_python: Callable[..., str]) -> None:
    codec = gw.Entropy().fit(SAMPLE)
    frame = codec.compress(ternary(1000)).tobytes().hex()
    script = """
import sys
import gradwire as gw
frame, book = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2])
try:
    gw.decompress(frame)
except gw.MissingCodeBookError as error:
    print(error)
codec = gw.Entropy(code_book=book)
print(gw.decompress(frame).size, codec.compress(gw.decompress(frame)).tobytes() == frame)
"""
    printed = run_python(script, frame, codec.code_book.hex())
    assert "shared code book" in printed and "1000 True" in printed


def test_it_is_forgotten_with_its_last_codec() -> None:
    codec = gw.Entropy().fit(ternary(2000, 0.7, seed=9))
    frame = codec.compress(ternary(1000))
    book = codec.code_book
    del codec
    with pytest.raises(gw.MissingCodeBookError):
        gw.decompress(frame)
    again = gw.Entropy(code_book=book)
    assert np.array_equal(again.decompress(frame), ternary(1000))


@pytest.mark.parametrize("dies_first", [0, 1])
def test_books_that_differ_only_for_encoders_do_not_replace_each_other(dies_first: int) -> None:
    codecs = [gw.Entropy().fit(np.zeros(size, np.int8)) for size in (4096, 8192)]
    frames = [codec.compress(np.zeros(3000, np.int8)) for codec in codecs]
    assert np.array_equal(*frames) and codecs[0].code_book != codecs[1].code_book
    del codecs[dies_first]
    assert gw.decompress(frames[0]).size == 3000


def test_pickled_codecs_keep_it() -> None:
    codec = gw.Entropy().fit(SAMPLE)
    assert pickle.loads(pickle.dumps(codec)) == codec


def test_damaged_code_books_are_refused() -> None:
    book = gw.Entropy().fit(ternary(5000)).code_book
    for size in range(len(book)):
        with pytest.raises(gw.Error):
            gw.Entropy(code_book=book[:size])
    refused = 0
    for bit in range(8 * len(book)):
        changed = bytearray(book)
        changed[bit // 8] ^= 1 << bit % 8
        array = ternary(3000, 0.8)
        try:
            codec = gw.Entropy(code_book=bytes(changed))
        except gw.Error:
            refused += 1
            continue
        assert np.array_equal(codec.decompress(codec.compress(array)), array)
    assert refused > len(book)


def test_a_sample_is_needed() -> None:
    with pytest.raises(ValueError, match="empty"):
        gw.Entropy().fit(np.empty(0, np.int8))
    with pytest.raises(TypeError, match="float"):
        gw.Entropy().fit([0.5])
