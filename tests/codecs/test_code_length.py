"""What the codecs promise about their numbers of bits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import textbook
from cases import CORNER_CASES, ternary
from hypothesis import given, settings
from hypothesis import strategies as st

import gradwire as gw

LARGE = 1 << 14


def is_nearly(bits: int, best: int, count: int) -> bool:
    """Large arrays may have words of at most 12 bits (cpp/src/prefix/code_lengths.hpp)."""
    return bits == best if count < LARGE else best <= bits <= best * 1.0052


def code_length(key: str, array: np.ndarray) -> int:
    codec = gw.codec(key)
    codec.compress(array)
    return codec.code_length


def value_counts(array: np.ndarray) -> list[int]:
    return np.unique(array, return_counts=True)[1].tolist()


def test_huffman_is_optimal(corner_case: np.ndarray) -> None:
    best = textbook.huffman_bits(value_counts(corner_case))
    assert is_nearly(code_length("huffman", corner_case), best, corner_case.size)


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(st.integers(1, 300), min_size=1, max_size=256))
def test_huffman_is_optimal_for_any_histogram(counts: list[int]) -> None:
    array = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
    best = textbook.huffman_bits(counts)
    assert is_nearly(code_length("huffman", array), best, array.size)


def test_huffman_with_counts_that_bind_the_length_limit() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 29:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    for dtype in (np.uint8, np.int32):
        array = np.repeat(np.arange(29).astype(dtype) * 9, fibonacci)
        best = textbook.huffman_bits(fibonacci)
        frame = gw.compress(array, codec="huffman")
        assert is_nearly(gw.inspect(frame).code_length, best, array.size)
        assert np.array_equal(gw.decompress(frame), array)


def test_elias_is_the_textbook_code(corner_case: np.ndarray) -> None:
    assert code_length("elias", corner_case) == textbook.elias_bits(corner_case)


def test_rlh_is_near_the_optimum_over_pairs() -> None:
    for zeros in (0.6, 0.95, 0.995):
        array = ternary(400_000, zeros)
        best = textbook.huffman_bits(list(Counter(textbook.runs(array)).values()))
        assert best * 0.999 <= code_length("rlh", array) <= best * 1.01
    dense = CORNER_CASES["dense"]
    best = textbook.huffman_bits(list(Counter(textbook.runs(dense)).values()))
    assert best * 0.999 <= code_length("rlh", dense) <= best * 1.01


def test_sh_is_near_huffman() -> None:
    for array in (ternary(500_000), ternary(500_000, 0.995), CORNER_CASES["dense"]):
        assert code_length("sh", array) <= code_length("huffman", array) * 1.02


def test_shs_beats_huffman_where_zeros_dominate() -> None:
    for zeros in (0.9, 0.95, 0.995):
        array = ternary(300_000, zeros)
        assert code_length("shs", array) < code_length("huffman", array)
        entropy = gw.shannon_entropy(array) * array.size
        assert code_length("shs", array) < 1.45 * entropy


def test_shs_has_fewer_run_symbols_in_small_arrays() -> None:
    """A bit for each symbol of the longest run: of max(16, n / 24) zeros, from 2048 on of 200."""
    assert code_length("shs", np.zeros(160, np.int8)) == 160 // 16
    assert code_length("shs", np.zeros(2040, np.int8)) == 2040 // 85
    assert code_length("shs", np.zeros(2200, np.int8)) == 2200 // 200


@pytest.mark.parametrize("key", ["huffman", "rlh", "shs", "sh", "elias", "rle", "entropy"])
def test_small_frames_are_small(key: str) -> None:
    array = ternary(1000)
    frame = gw.compress(array, codec=key)
    assert frame.nbytes < 200
    info = gw.inspect(frame)
    overhead = info.nbytes - info.code_book_bytes - info.code_length / 8
    assert overhead <= 24


def test_paper_metric_of_raw_chunks() -> None:
    noise = np.random.default_rng(0).integers(-128, 128, 5000).astype(np.int8)
    codec = gw.EliasOmega()
    frame = codec.compress(noise)
    assert gw.inspect(frame).raw_chunks == 1
    assert codec.code_length == textbook.elias_bits(noise) > 8 * noise.size


@pytest.mark.parametrize("key", ["rle", "huffman", "elias", "sh", "shs", "rlh"])
def test_encoding_explains_the_code_length(key: str) -> None:
    array = ternary(3000)
    codec = gw.codec(key)
    codec.compress(array)
    words = codec.encoding
    assert codec.reverse_encoding == {word: symbol for symbol, word in words.items()}
    assert set("".join(words.values())) <= {"0", "1"}
    assert sum(len(words[s]) for s in symbols(key, array, words)) == codec.code_length


def symbols(key: str, array: np.ndarray, words: dict) -> list:
    if key in ("huffman", "sh"):
        return array.tolist()
    made = []
    for value, run in textbook.runs(array):
        if key == "shs" and value != 0:
            made += [value] * run
        elif key == "shs":
            made += [(0, 200)] * (run // 200) + ([(0, run % 200)] if run % 200 else [])
        elif key == "rle":
            longest = max(r for _, r in words)
            made += [(value, longest)] * (run // longest)
            made += [(value, run % longest)] if run % longest else []
        else:
            made.append((value, run))
    return made


def test_prefix_property() -> None:
    codec = gw.RunLengthHuffman()
    codec.compress(ternary(5000))
    words = sorted(codec.encoding.values())
    assert all(not b.startswith(a) for a, b in zip(words, words[1:]))


@pytest.mark.parametrize(
    ("values", "bits"), [([0, 0, 1, 1], 1.0), ([3] * 9, 0.0), ([], 0.0), (range(8), 3.0)]
)
def test_shannon_entropy(values: list[int], bits: float) -> None:
    assert gw.shannon_entropy(values) == pytest.approx(bits)
    assert gw.shannon_entropy(np.array(values, np.int8)) == pytest.approx(bits)
