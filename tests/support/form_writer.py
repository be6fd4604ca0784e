"""Writes frames of entropy with the layout 2 by hand (docs/FORMAT.md, sections 5.5 and 5.6).

A form is made of bytes, and so is a sequence that is coded in it: valid ones and others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gradient_cases import varint
from reference import DTYPES
from textbook import omega

Token = tuple[int, int]  # a byte and a run length


class BitString:
    """A bit stream that grows."""

    def __init__(self) -> None:
        self.bits = ""

    def field(self, number: int, width: int) -> BitString:
        if width:
            self.bits += format(number % 2**width, f"0{width}b")[::-1]
        return self

    def omega(self, *numbers: int) -> BitString:
        self.bits += "".join(map(omega, numbers))
        return self

    def bytes(self) -> bytes:
        filled = self.bits + "0" * (-len(self.bits) % 8)
        return bytes(int(filled[i : i + 8][::-1], 2) for i in range(0, len(filled), 8))


def ranges(numbers: Sequence[int]) -> list[int]:
    """The numbers that follow the smallest one, each to be written as omega."""
    starts = [i for i, n in enumerate(numbers) if i == 0 or n > numbers[i - 1] + 1]
    out = [len(starts)]
    for start, end in zip(starts, [*starts[1:], len(numbers)]):
        if start:
            out.append(numbers[start] - numbers[start - 1] - 1)
        out.append(end - start)
    return out


def token_book(tokens: Sequence[Token], lengths: Sequence[int] | None = None) -> bytes:
    """By default all code words are equally long: the number of tokens is a power of two."""
    order = sorted(((byte + 128) % 256, run) for byte, run in tokens)
    keys = sorted({key for key, _ in order})
    bits = BitString().field(0, 1).field(1, 1).field(keys[0], 8).omega(*ranges(keys))
    for key in keys:
        runs = [run for other, run in order if other == key]
        bits.omega(runs[0], *ranges(runs))
    lengths = lengths or [len(order).bit_length() - 1] * len(order)
    bits.field(lengths[0], 5)
    starts = [i for i, n in enumerate(lengths) if i == 0 or n != lengths[i - 1]]
    for start, end in zip(starts, [*starts[1:], len(lengths)]):
        if start:
            change = lengths[start] - lengths[start - 1]
            bits.omega(2 * change - 1 if change > 0 else -2 * change)
        bits.omega(end - start)
    return bits.bytes()


def blocks(
    dtype: str,
    *books: bytes,
    smallest: int = 0,
    background: int = 0,
    exceptions: bool = False,
) -> bytes:
    size = np.dtype(dtype).itemsize
    form = bytes([0, len(books) + 128 * exceptions])
    form += smallest.to_bytes(size, "little") + bytes([background])
    return form + b"".join(varint(len(book)) + book for book in books)


def one_byte(dtype: str, byte: int) -> bytes:
    """A form in which all elements are equal; their sequences take no bytes."""
    return blocks(dtype, token_book([(byte, 1)]))


def few_bytes(dtype: str, bits: int) -> bytes:
    """A form for the elements whose keys are the numbers below ``2**bits``."""
    return blocks(dtype, token_book([(byte, 1) for byte in range(2**bits)]))


def few_bytes_sequence(values: Sequence[int], bits: int) -> bytes:
    """Such a sequence; shorter than 2^12."""
    stream = BitString()
    order = sorted(range(2**bits), key=lambda byte: (byte + 128) % 256)
    for value in values:
        stream.field(int(format(order.index(value), f"0{bits}b")[::-1], 2), bits)
    coded = stream.bytes()
    return varint(len(coded)) + coded


def write_place(bits: BitString, place: int, end: int | None) -> None:
    if end is not None:
        bits.omega(place - end + 1)
    else:
        bits.field(place < 0, 1).omega(-place if place < 0 else place + 1)


def bins_bits(
    dtype: str,
    center: int = 0,
    step: int = 1,
    escape: bool = False,
    wide: Sequence[tuple[int, int]] = (),
    singles: Sequence[int] = (),
) -> BitString:
    """``wide``: places and widths."""
    bits = BitString().field(center, 8 * np.dtype(dtype).itemsize).omega(step).field(escape, 1)
    bits.omega(len(wide) + 1)
    end, before = None, 0
    for place, width in wide:
        write_place(bits, place, end)
        change = width - before
        bits.omega(2 * change + 1 if change >= 0 else -2 * change)
        end, before = place + 2**width, width
    bits.omega(len(singles) + 1)
    end = None
    for place in singles:
        write_place(bits, place, end)
        end = place + 1
    return bits


def bins(dtype: str, symbols: bytes, **what: object) -> bytes:
    """``symbols``: a form of uint8. The others are those of ``bins_bits``."""
    coded = bins_bits(dtype, **what).bytes()
    return b"\1" + varint(len(coded)) + coded + symbols


def fields(*pairs: tuple[int, int]) -> bytes:
    """The fields of bins: numbers and widths."""
    bits = BitString()
    for number, width in pairs:
        bits.field(number, width)
    return varint(len(bits.bytes())) + bits.bytes()


def gaps(dtype: str, background: int, gap_form: bytes, values: bytes) -> bytes:
    return b"\2" + background.to_bytes(np.dtype(dtype).itemsize, "little") + gap_form + values


def runs(lengths: bytes, values: bytes) -> bytes:
    return b"\3" + lengths + values


def differences(form: bytes) -> bytes:
    return b"\4" + form


def forms_frame(
    dtype: str,
    count: int,
    code_book: bytes,
    *payloads: bytes,
    log_chunk: int = 12,
    own: Sequence[bytes] = (),
    raw: Sequence[int] = (),
    shared: bool = False,
) -> bytes:
    """``payloads``: of the chunks, without their own code books, which are ``own`` if given.
    ``raw``: the numbers of the chunks that are raw."""
    coded = []
    for i, payload in enumerate(payloads):
        book = own[i] if own else b""
        coded.append(payload if i in raw else varint(len(book)) + book + payload)
    head = bytes([0x47, 0x57, 1, 2 * shared, 6, 2, DTYPES.index(dtype), log_chunk, 1])
    head += varint(count) + varint(len(code_book))
    entries = [len(payload) + (i in raw) * 2**31 for i, payload in enumerate(coded)]
    directory = b"".join(entry.to_bytes(4, "little") for entry in entries)
    return head + directory + b"".join(coded) + code_book + b"\0"
