"""Frames of entropy with the layout 2, made by strangers: two decoders agree on each of them."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from form_writer import (
    BitString,
    bins,
    bins_bits,
    differences,
    few_bytes,
    few_bytes_sequence,
    fields,
    forms_frame,
    gaps,
    one_byte,
    runs,
)
from gradient_cases import varint
from two_decoders import decoded, holds, refused

import gradwire as gw

MOST = 2**63 - 1


# Bins of a single symbol, 0: the symbols take no bytes.


def one_bin(dtype: str, payload: bytes, count: int = 5, symbol: int = 0, **what: object) -> bytes:
    return forms_frame(dtype, count, bins(dtype, one_byte("uint8", symbol), **what), payload)


def test_the_places_of_bins() -> None:
    f = fields(*[(i, 3) for i in range(5)])
    holds(one_bin("int32", f, center=100, wide=[(-3, 3)]), range(97, 102))
    holds(one_bin("int32", f, center=100, step=7, wide=[(-3, 3)]), range(79, 110, 7))
    holds(one_bin("uint8", f, center=250, step=3, wide=[(0, 3)]), [250, 253, 0, 3, 6])
    holds(one_bin("int64", f, center=0, wide=[(-(2**63), 3)]), range(-(2**63), -(2**63) + 5))
    holds(one_bin("int64", f, center=0, wide=[(MOST - 7, 3)]), range(MOST - 7, MOST - 2))
    holds(one_bin("int64", fields(), singles=[MOST]), [MOST] * 5)
    holds(one_bin("int64", fields(), singles=[-(2**63)]), [-(2**63)] * 5)
    holds(one_bin("int16", fields(), singles=[MOST]), [-1] * 5)
    holds(one_bin("int16", fields(), step=2**64 - 1, singles=[7]), [-7] * 5)
    holds(one_bin("int64", fields(), wide=[(MOST, 0)]), [MOST] * 5)


def test_wide_fields() -> None:
    rest = [1] * 30
    payload = few_bytes_sequence([0, 2, *rest], 2)

    def frame(dtype: str, width: int, center: int, **what: object) -> bytes:
        form = bins(dtype, few_bytes("uint8", 2), center=center, singles=[0], escape=True, **what)
        element = np.dtype(dtype).itemsize * 8
        number = 2 ** (width - 1) + 3
        return forms_frame(dtype, 32, form, payload + fields((number, width), (-7, element)))

    holds(frame("int64", 63, 9, wide=[(0, 63)]), [2**62 + 12, -7] + [9] * 30)
    holds(frame("int64", 57, 9, wide=[(0, 57)]), [2**56 + 12, -7] + [9] * 30)
    holds(frame("int64", 63, 0, wide=[(0, 63)], step=2**63 + 2), [2**63 - 2**63 + 6, -7] + [0] * 30)
    for width in (5, 31, 32, 33, 56, 57, 63):
        holds(frame("int8", width, 9, wide=[(0, width)]), [12 + 16 * (width == 5), -7] + [9] * 30)
        low = (2 ** (width - 1) + 3) * 7 % 2**16
        holds(frame("uint16", width, 0, wide=[(0, width)], step=7), [low, 2**16 - 7] + [0] * 30)


@pytest.mark.parametrize(
    "what",
    [
        {"wide": [(MOST - 6, 3)]},
        {"wide": [(MOST, 1)]},
        {"wide": [(0, 63), (MOST, 63)]},
        {"wide": [(0, 63), (2**63, 0)]},
        {"wide": [(1, 63)]},
        {"wide": [(-1, 64)]},
        {"wide": [(0, 3), (8, 70)]},
        {"singles": [2**63]},
        {"singles": [-(2**63) - 1]},
        {"singles": [MOST, 2**63]},
    ],
    ids=str,
)
def test_bins_too_far_or_too_wide(what: dict[str, list]) -> None:
    refused(one_bin("int64", fields(), **what), "bins extend past")


def test_a_bin_has_no_negative_width() -> None:
    bits = BitString().field(0, 32).omega(1).field(0, 1).omega(2).field(0, 1).omega(1, 2, 1).bytes()
    refused(
        forms_frame("int32", 5, b"\1" + varint(len(bits)) + bits + one_byte("uint8", 0), b"\0"),
        "bins extend past",
    )


def test_the_number_of_bins() -> None:
    f = fields()
    refused(one_bin("int8", fields()), "invalid number of bins")
    singles = list(range(256))
    holds(one_bin("int8", fields(), symbol=255, singles=singles), [-1] * 5)
    holds(one_bin("int8", fields(), singles=singles[:-1], escape=True), [0] * 5)
    refused(one_bin("int8", f, symbol=255, singles=singles, escape=True), "invalid number of bins")
    refused(one_bin("int8", f, wide=[(0, 0)], singles=singles), "invalid number of bins")
    refused(one_bin("int8", f, singles=range(257)), "more than 256|invalid number of bins")
    refused(one_bin("int8", f, singles=range(258)), "more than 256")


def test_a_symbol_without_a_bin() -> None:
    holds(one_bin("int8", fields(), symbol=1, singles=[4, 9]), [9] * 5)
    refused(one_bin("int8", fields(), symbol=2, singles=[4, 9]), "has no bin")


def test_fields_fill_their_bytes() -> None:
    good = fields(*[(1, 3)] * 5)
    what = {"wide": [(0, 3)]}
    holds(one_bin("int32", good, **what), [1] * 5)
    refused(one_bin("int32", b"\1" + good[1:-1], **what), "do not end where")
    refused(one_bin("int32", b"\3" + good[1:] + b"\0", **what), "do not end where")
    refused(one_bin("int32", good[:-1] + bytes([good[-1] | 128]), **what), "do not end where")
    refused(one_bin("int32", b"\0", **what), "do not end where")
    refused(one_bin("int32", b"\1\0", singles=[0]), "do not end where")
    refused(one_bin("int32", b"\3" + good[1:], **what))
    refused(one_bin("int32", good + b"\0", **what), "extra bytes")
    refused(one_bin("int32", b"", **what))


def test_the_bytes_of_bins_fill_their_size() -> None:
    bits = bins_bits("int32", singles=[5]).bytes()
    symbols = one_byte("uint8", 0)

    def frame(coded: bytes) -> bytes:
        return forms_frame("int32", 5, b"\1" + varint(len(coded)) + coded + symbols, b"\0")

    holds(frame(bits), [5] * 5)
    refused(frame(bits + b"\0"))
    refused(frame(bits[:-1] + bytes([bits[-1] | 128])))
    for size in range(len(bits)):
        refused(frame(bits[:size]))


def test_bins_of_bools() -> None:
    values = [0, 1, 1, 0, 1]
    f = fields(*[(value, 1) for value in values])
    holds(one_bin("bool", f, wide=[(0, 1)]), values)
    holds(one_bin("bool", fields(), center=255, step=2, wide=[(1, 0)]), [1] * 5)
    refused(one_bin("bool", fields(*[(3, 2)] * 5), wide=[(0, 2)]), "neither 0 nor 1")


# Gaps and runs


def gaps_frame(size: int, payload: bytes, count: int = 20) -> bytes:
    form = gaps("int32", 7, few_bytes("uint32", 3), one_byte("int32", 2))
    return forms_frame("int32", count, form, varint(size) + payload)


def test_gaps() -> None:
    two = -(2**31) + 2
    holds(gaps_frame(0, b""), [7] * 20)
    holds(gaps_frame(3, few_bytes_sequence([0, 0, 7], 3)), [two, two] + [7] * 7 + [two] + [7] * 10)
    holds(gaps_frame(20, few_bytes_sequence([0] * 20, 3)), [two] * 20)
    holds(
        gaps_frame(3, few_bytes_sequence([7, 7, 3], 3)),
        [7] * 7 + [two] + [7] * 7 + [two] + [7] * 3 + [two],
    )
    refused(gaps_frame(3, few_bytes_sequence([7, 7, 4], 3)), "past the end")
    refused(gaps_frame(3, few_bytes_sequence([7, 7, 7], 3)), "past the end")
    refused(gaps_frame(20, few_bytes_sequence([0] * 19 + [1], 3)), "past the end")
    refused(gaps_frame(21, few_bytes_sequence([0] * 21, 3)), "more elements than")
    refused(gaps_frame(2**64 - 1, few_bytes_sequence([0] * 21, 3)), "more elements than")
    refused(gaps_frame(0, b"\0"), "extra bytes")


def test_the_sum_of_gaps_does_not_wrap() -> None:
    far = bins("uint32", one_byte("uint8", 0), center=2**32 - 1, singles=[0])
    form = gaps("int32", 7, far, one_byte("int32", 2))
    for size in (1, 2, 3, 20):
        refused(forms_frame("int32", 20, form, varint(size) + fields()), "past the end")


def test_gaps_may_have_values_that_are_background() -> None:
    form = gaps("uint8", 2, few_bytes("uint32", 1), one_byte("uint8", 2))
    holds(forms_frame("uint8", 9, form, b"\2" + few_bytes_sequence([1, 0], 1)), [2] * 9)


def runs_frame(size: int, payload: bytes, count: int = 20) -> bytes:
    form = runs(few_bytes("uint32", 3), one_byte("uint16", 2))
    return forms_frame("uint16", count, form, varint(size) + payload)


def test_runs_fill_their_sequence() -> None:
    holds(runs_frame(3, few_bytes_sequence([7, 7, 3], 3)), [2] * 20)
    holds(runs_frame(20, few_bytes_sequence([0] * 20, 3)), [2] * 20)
    refused(runs_frame(3, few_bytes_sequence([7, 7, 2], 3)), "do not fill")
    refused(runs_frame(3, few_bytes_sequence([7, 7, 4], 3)), "past the end")
    refused(runs_frame(0, b""), "do not fill")
    refused(runs_frame(21, few_bytes_sequence([0] * 21, 3)), "more elements than")


def test_the_sum_of_lengths_does_not_wrap() -> None:
    for length in (2**32 - 1, 2**32 - 2):
        far = bins("uint32", one_byte("uint8", 0), center=length, singles=[0])
        form = runs(far, one_byte("uint8", 2))
        for size in (1, 2, 20):
            frame = forms_frame("uint8", 20, form, varint(size) + fields())
            refused(frame, "past the end")


# Differences and the nesting of forms


def test_differences() -> None:
    form = differences(one_byte("uint8", 100))
    holds(forms_frame("uint8", 5, form, b""), [100, 200, 44, 144, 244])
    refused(forms_frame("bool", 5, differences(one_byte("bool", 0)), b""), "differences of bools")
    of_runs = runs(one_byte("uint32", 0), differences(one_byte("bool", 0)))
    refused(forms_frame("bool", 5, of_runs, b"\5"), "differences of bools")


def nested(depth: int, dtype: str) -> bytes:
    form = one_byte(dtype, 1)
    for i in range(depth - 1):
        form = differences(form) if i % 2 else runs(one_byte("uint32", 0), form)
    return form


def test_six_forms_in_one_another() -> None:
    for depth in range(1, 7):
        for kind in ("uint8", "int64"):
            sizes = b"\x05" * (depth // 2)
            assert decoded(forms_frame(kind, 5, nested(depth, kind), sizes)) is not None
    refused(forms_frame("uint8", 5, nested(7, "uint8"), b"\5" * 3), "nested")
    refused(forms_frame("uint8", 5, b"\4" * 5000, b""), "nested")
    refused(forms_frame("uint8", 5, b"\3" * 5000, b""), "nested")
    deep = bins("uint8", bins("uint8", one_byte("uint8", 0), singles=[0]), singles=[0])
    for _ in range(4):
        deep = bins("uint8", deep, singles=[0])
    assert decoded(forms_frame("uint8", 5, deep[4:], fields() * 6)) is None


@pytest.mark.parametrize("kind", [7, 8, 127, 128, 255])
def test_unknown_kinds(kind: int) -> None:
    form = bytes([kind]) + one_byte("uint8", 1)
    refused(forms_frame("uint8", 5, form, b""), "unknown form")
    refused(forms_frame("uint8", 5, differences(form), b""), "unknown form")


def test_the_code_book_of_huffman_is_no_form() -> None:
    refused(forms_frame("uint8", 5, b"\0\0" + bytes(9), b""), "invalid number of classes")


def test_code_books_end_with_their_form() -> None:
    for form in (one_byte("uint8", 1), differences(one_byte("uint8", 1))):
        assert decoded(forms_frame("uint8", 5, form, b"")) is not None
        refused(forms_frame("uint8", 5, form + b"\0", b""), "declared size")
        refused(forms_frame("uint8", 5, form[:-1], b""))
        refused(forms_frame("uint8", 5, form, b"\0"), "extra bytes")


# Chunks


def test_own_code_books_of_chunks() -> None:
    one, two = one_byte("uint8", 1), differences(one_byte("uint8", 2))
    empty = b""

    def frame(*own: bytes, book: bytes = one, raw: tuple[int, ...] = ()) -> bytes:
        chunks = [bytes(16) if i in raw else b"" for i in range(len(own))]
        return forms_frame("uint8", 16 * len(own), book, *chunks, log_chunk=4, own=own, raw=raw)

    evens = list(range(2, 34, 2))
    holds(frame(empty, two, empty), [1] * 16 + evens + [1] * 16)
    holds(frame(two, two, empty, raw=(1,)), evens + [0] * 16 + [1] * 16)
    refused(frame(empty, two + b"\0", empty), "declared size")
    refused(frame(empty, two[:-1], empty))
    refused(frame(empty, b"\7", empty), "unknown form")
    refused(frame(two, two, book=b""))  # the frame needs a code book, too
    assert decoded(frame(two, two, book=b"", raw=(0, 1))) is not None
    refused(frame(two, two, book=b"\7"), "unknown form")


def test_a_chunk_has_at_least_a_byte() -> None:
    frame = bytearray(forms_frame("uint8", 16, one_byte("uint8", 1), b""))
    assert decoded(bytes(frame)) is not None
    entry = 11
    assert frame[entry : entry + 5] == b"\1\0\0\0\0"
    refused(bytes(frame[:entry] + bytes(4) + frame[entry + 5 :]))


def test_coded_payloads_are_smaller_than_raw_ones() -> None:
    refused(forms_frame("uint8", 1, one_byte("uint8", 1), b""))
    holds(forms_frame("uint16", 1, one_byte("uint16", 1), b""), [1])


def test_values_of_sequences_may_lie_outside_the_type() -> None:
    """Only the elements of the decoded chunk must belong to it."""
    form = gaps("bool", 9, one_byte("uint32", 0), one_byte("bool", 1))
    holds(forms_frame("bool", 5, form, b"\5"), [1] * 5)
    refused(forms_frame("bool", 5, form, b"\4"), "neither 0 nor 1")


def test_pairs() -> None:
    def frame(base: int, pairs: list[int], count: int, dtype: str = "uint8") -> bytes:
        form = bytes([6, base]) + few_bytes("uint8", 4)
        return forms_frame(dtype, count, form, few_bytes_sequence(pairs, 4))

    holds(frame(3, [0, 4, 8, 2], 7), [0, 0, 1, 1, 2, 2, 2])
    holds(frame(4, [15, 4], 4), [3, 3, 0, 1])
    refused(frame(3, [9, 0, 0, 0], 8), "too large")
    refused(frame(3, [0, 0, 0, 3], 7), "too large")  # the second of the last pair is not 0
    for base in (0, 1, 17, 255):
        refused(frame(base, [0, 0], 4), "bytes below 2 to 16")
    refused(frame(3, [0, 0], 4, "int8"), "bytes below 2 to 16")


def test_another_codec() -> None:
    values = np.array([7, -7, 7, 7], np.int16)
    book, payload = parts_of(gw.codec("huffman", checksum=False).compress(np.tile(values, 20)))

    def frame(number: int, layout: int, book: bytes, payload: bytes = payload) -> bytes:
        form = bytes([5, number, layout]) + varint(len(book)) + book
        return forms_frame("int16", 80, form, payload)

    holds(frame(1, 0, book), np.tile(values, 20).tolist())
    refused(frame(1, 0, book, payload[:-1]))
    refused(frame(1, 0, book, payload + b"\0"))
    refused(frame(1, 0, book[:-1]))
    refused(frame(1, 2, book), "unknown codec or layout")
    refused(frame(0, 1, book), "unknown codec or layout")
    for number in (6, 7, 255):
        refused(frame(number, 0, book), "unknown codec or layout")
    inner = bytes([5, 1, 0]) + varint(len(book)) + book
    refused(forms_frame("int16", 80, differences(inner), payload), "outermost")


def parts_of(frame: np.ndarray) -> tuple[bytes, bytes]:
    """The code book of a frame with one chunk and no checksum, and the chunk's payload."""
    source = reference.Bytes(frame.tobytes())
    source.take(9)
    source.varint()
    size = source.varint()
    payload = source.take(source.number(4))
    return source.take(size), payload
