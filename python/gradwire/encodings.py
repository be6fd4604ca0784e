"""The code words of a document as text, for inspection and comparison with the paper's code."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from gradwire import _core
from gradwire._arrays import ByteArray, IntegerArray
from gradwire.frames import decompress, inspect

Symbol = Union[int, tuple[int, int], tuple[int, int, int], tuple[str, int, int, int, int], str]
"""A value, (value, run length), (class of blocks, value, run length), or ``"escape"``.

Frames of ``entropy`` whose layout is ``"forms"`` have (part, class of blocks, value, run length,
plain bits). The part is "" for the elements as they are, or says what is made of them, such as
"gaps" and "values". Plain bits follow the code words of a run of bins: they say how far above the
value the element is. An escape has the value 0, and as many plain bits as an element.
"""


def omega(n: int) -> str:
    """Elias-omega code word of n >= 1 (Elias, IEEE Trans. Inf. Theory 21(2), 1975).

    >>> omega(1), omega(4), omega(100)
    ('0', '101000', '1011011001000')
    """
    word = "0"
    while n > 1:
        group = f"{n:b}"
        word = group + word
        n = len(group) - 1
    return word


def encoding_of(frame: ByteArray) -> dict[Symbol, str]:
    """The code words of a document, by symbol, as strings of '0' and '1'."""
    info = inspect(frame)
    if info.raw_chunks == info.chunks:
        bits = 8 * info.dtype.itemsize
        values = np.unique(decompress(frame)).tolist()
        return {int(v): f"{int(v) & ((1 << bits) - 1):0{bits}b}" for v in values}
    if info.codec == "elias":
        return {
            (value, run): omega(2 * -value if value < 0 else 2 * value + 1) + omega(run)
            for value, run in _distinct_runs(decompress(frame))
        }
    if info.codec == "rle":
        return _fixed_width(frame, info.dtype)
    words = _core.code_words(frame)
    if info.layout == "forms" and any(part or bits for *_, part, bits in words):
        return {
            (part, block_class, _signed(value, info.dtype), run, bits): word
            for value, run, _, word, block_class, part, bits in words
        }
    return {
        _symbol(value, run, escape, block_class, info.codec, info.dtype): word
        for value, run, escape, word, block_class, _, _ in words
    }


def _symbol(
    bits: int, run: int, escape: bool, block_class: int, codec: str, dtype: np.dtype[Any]
) -> Symbol:
    if escape:
        return "escape"
    value = _signed(bits, dtype)
    if codec == "entropy":
        return block_class, value, run
    if codec == "rlh" or (codec == "shs" and value == 0):
        return value, run
    return value


def _signed(bits: int, dtype: np.dtype[Any]) -> int:
    return bits - (1 << 64) if dtype.kind == "i" and bits >> 63 else bits


def _distinct_runs(array: IntegerArray) -> list[tuple[int, int]]:
    flat = array.reshape(-1)
    starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
    lengths = np.diff(np.concatenate((starts, [flat.size])))
    return sorted(set(zip((int(v) for v in flat[starts]), lengths.tolist())))


def _fixed_width(frame: ByteArray, dtype: np.dtype[Any]) -> dict[Symbol, str]:
    minimum, value_bits, run_bits = _core.run_length_widths(frame)
    minimum = _signed(minimum, dtype)
    longest = 1 << run_bits
    pairs = set()
    for value, run in _distinct_runs(decompress(frame)):
        if run >= longest:
            pairs.add((value, longest))
        if run % longest:
            pairs.add((value, run % longest))
    words: dict[Symbol, str] = {}
    for value, run in sorted(pairs):
        fields = ((value - minimum, value_bits), (run - 1, run_bits))
        words[value, run] = "".join(f"{n:0{width}b}" if width else "" for n, width in fields)
    return words
