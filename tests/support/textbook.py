"""Textbook codes, from first principles, to compare the encoders with."""

from __future__ import annotations

import heapq
import itertools

import numpy as np


def omega(n: int) -> str:
    """The Elias-omega code word of n, at least 1, as '0' and '1'."""
    word = "0"
    while n > 1:
        digits = format(n, "b")
        word, n = digits + word, len(digits) - 1
    return word


def runs(array: np.ndarray) -> list[tuple[int, int]]:
    """The maximal runs of equal elements in row-major order: value and run length."""
    values = np.asarray(array).ravel().tolist()
    return [(int(value), len(list(group))) for value, group in itertools.groupby(values)]


def elias_bits(array: np.ndarray) -> int:
    """The bits of the Elias-omega code words of all maximal runs, value then run length."""
    pairs = ((-2 * s if s < 0 else 2 * s + 1, length) for s, length in runs(array))
    return sum(len(omega(mapped)) + len(omega(length)) for mapped, length in pairs)


def huffman_bits(counts: list[int]) -> int:
    """The bits of an optimal prefix code for symbols that occur this often; 0 for one symbol."""
    heap, bits = sorted(int(count) for count in counts if count), 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        heapq.heappush(heap, merged)
        bits += merged
    return bits
