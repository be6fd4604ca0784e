"""Parts of the reference decoder: cpp/FORMAT.md, sections 1 and 4."""

from __future__ import annotations

import itertools

import numpy as np

BYTE_BITS = [format(byte, "08b")[::-1] for byte in range(256)]
ESCAPE = (-1, 0)  # stands among the symbols, which are pairs of key and run length
Book = dict[str, tuple[int, int]]  # from code words to symbols


class FormatError(ValueError):
    """The frame breaks a rule of the format."""


def require(condition: bool, rule: str) -> None:
    if not condition:
        raise FormatError(rule)


# Section 1: conventions.


class Bytes:
    """Reads bytes, numbers and varints from the front of a buffer."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        require(count <= len(self.data) - self.at, "the bytes end early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        groups = [self.number(1)]
        while groups[-1] > 127:
            require(len(groups) < 10, "a varint has more than ten bytes")
            groups.append(self.number(1))
        require(groups[-1] > 0 or len(groups) == 1, "a varint is not in its shortest form")
        value = sum((group & 127) << (7 * i) for i, group in enumerate(groups))
        require(value < 2**64, "a varint is too large")
        return value


class Bits:
    """Reads fields and code words from the front of a bit stream."""

    def __init__(self, data: bytes) -> None:
        self.bits, self.at = "".join(BYTE_BITS[byte] for byte in data), 0

    def take(self, count: int) -> str:
        require(count <= len(self.bits) - self.at, "a bit stream ends early")
        self.at += count
        return self.bits[self.at - count : self.at]

    def field(self, width: int) -> int:
        return int("0" + self.take(width)[::-1], 2)

    def omega(self, largest_bits: int = 64) -> int:
        number = 1
        while self.take(1) == "1":
            require(number < largest_bits, "an omega number is too large")
            number = int("1" + self.take(number), 2)
        return number

    def symbol(self, book: Book) -> tuple[int, int]:
        for length in range(25):
            word = self.bits[self.at : self.at + length]
            if word in book:
                self.at += length
                return book[word]
        raise FormatError("a bit stream ends within a code word")

    def close(self) -> int:
        """Checks the bits that fill the last byte and returns the number of those before."""
        rest = self.bits[self.at :]
        require(len(rest) < 8 and "1" not in rest, "bits follow the end of a bit stream")
        return self.at


class Elements:
    """The type of the elements."""

    def __init__(self, name: str) -> None:
        self.dtype = np.dtype(name)
        self.size = self.dtype.itemsize
        self.width = 8 * self.size
        self.bias = 2 ** (self.width - 1) if self.dtype.kind == "i" else 0
        self.max_key = 1 if name == "bool" else 2**self.width - 1

    def of_key(self, key: int) -> int:
        require(0 <= key <= self.max_key, "a value lies outside the range of its type")
        return key - self.bias

    def of_memory(self, number: int) -> int:
        """The element whose bits in memory, in two's complement if signed, are ``number``."""
        return self.of_key((number + self.bias) % 2**self.width)


# Section 4: prefix codes and their code books.


def canonical_code(symbols: list[tuple[int, int]], lengths: list[int]) -> Book:
    require(sum(2 ** (24 - length) for length in lengths) == 2**24, "the code is not complete")
    book, code, before = {}, 0, 0
    for length, i in sorted(zip(lengths, itertools.count())):
        code <<= length - before
        book[format(code, f"0{length}b") if length else ""] = symbols[i]
        code, before = code + 1, length
    return book


def read_ranges(bits: Bits, smallest: int, largest: int) -> list[int]:
    numbers: list[int] = []
    for i in range(bits.omega()):
        start = smallest if i == 0 else numbers[-1] + bits.omega() + 1
        size = bits.omega()
        require(len(numbers) + size <= 2**16, "a code book has too many symbols")
        require(start + size - 1 <= largest, "a range goes too far")
        numbers += range(start, start + size)
    return numbers


def read_lengths(bits: Bits, count: int) -> list[int]:
    lengths, length = [], bits.field(5)
    while True:
        repeats = bits.omega()
        require(0 <= length <= 24, "a code word has an impossible length")
        require(repeats <= count - len(lengths), "a code book has more lengths than symbols")
        lengths += [length] * repeats
        if len(lengths) == count:
            return lengths
        d = bits.omega()
        length += (d + 1) // 2 if d % 2 else -(d // 2)


def read_book(data: bytes, codec: str, elements: Elements) -> Book:
    bits = Bits(data)
    has_escape, has_values = bits.take(1) == "1", bits.take(1) == "1"
    require(not has_escape or codec in ("shs", "rlh"), "an escape in huffman or sh")
    require(has_escape or has_values, "a code book has no symbols")
    keys = read_ranges(bits, bits.field(elements.width), elements.max_key) if has_values else []
    symbols: list[tuple[int, int]] = []
    for key in keys:
        lengths = [1] if codec in ("huffman", "sh") else read_ranges(bits, bits.omega(), 2**64 - 1)
        symbols += [(key, length) for length in lengths]
        require(len(symbols) <= 2**16, "a code book has too many symbols")
    symbols += [ESCAPE] if has_escape else []
    book = canonical_code(symbols, read_lengths(bits, len(symbols)))
    bits.close()
    return book
