"""A reference decoder of gradwire frames, and textbook codes to compare the encoders with.

The decoder follows cpp/FORMAT.md section by section and is deliberately slow and simple: a bit
stream is a string of '0' and '1', and a prefix code is a dictionary of such strings.
"""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np

CODECS = ("rle", "huffman", "elias", "sh", "shs", "rlh")
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
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


# Section 5: coded payloads. Each decoder returns the chunk's values and the bits of its code words.


def decode_runs(codec, data, count, elements, book) -> tuple[list[int], int]:  # 5.1, 5.2, 5.4
    bits = Bits(data)
    values: list[int] = []
    while len(values) < count:
        if codec == "rle":
            value = elements.of_key(int.from_bytes(book[2:], "little") + bits.field(book[0]))
            run = bits.field(book[1]) + 1
        elif codec == "elias":
            mapped = bits.omega(largest_bits=65)
            value = mapped // 2 if mapped % 2 else -(mapped // 2)
            value, run = elements.of_key(value + elements.bias), bits.omega()
        else:
            key, run = bits.symbol(book)
            if (key, run) == ESCAPE:
                value, run = elements.of_memory(bits.field(elements.width)), bits.omega()
            else:
                value = elements.of_key(key)
        require(run <= count - len(values), "a run goes beyond its chunk")
        values += [value] * run
    return values, bits.close()


def decode_values(codec, data, count, elements, book) -> tuple[list[int], int]:  # 5.3
    source, total = Bytes(data), 0
    exceptions = source.take(source.varint()) if codec == "sh" else b""
    borders, sizes = [0, count], []
    if count >= 2**14:
        each = 64 * (count // 512 | 1)
        borders = [i * each for i in range(8)] + [count]
        sizes = [source.number(4) for _ in range(7)]
    sizes.append(len(data) - source.at - sum(sizes))
    require(sizes[-1] >= 0, "streams are larger than their payload")
    values: list[int] = []
    for begin, end, size in zip(borders, borders[1:], sizes):
        bits = Bits(source.take(size))
        values += [elements.of_key(bits.symbol(book)[0]) for _ in range(begin, end)]
        total += bits.close()
    if exceptions:
        bits, place = Bits(exceptions), -1
        for _ in range(bits.omega()):
            place += bits.omega()
            require(place < count, "an exception lies beyond its chunk")
            values[place] = elements.of_memory(bits.field(elements.width))
        total += bits.close()
    return values, total


# Sections 2, 3 and 7: the frame, its chunks and its checksum.


def crc32c(data: bytes) -> int:
    table = list(range(256))
    for _ in range(8):
        table = [entry >> 1 ^ (0x82F63B78 if entry & 1 else 0) for entry in table]
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def read_frame(frame: bytes) -> tuple[np.ndarray, int | None, int]:
    """Returns the array, the code length as counted (None if a chunk is raw) and as declared."""
    source = Bytes(frame)
    require(source.take(2) == b"GW" and source.number(1) == 1, "unknown magic or version")
    flags, codec_number, layout, dtype_number, log_chunk, dimensions = source.take(6)
    require(flags <= 1 and layout == 0, "unknown flag or layout")
    require(codec_number < 6 and dtype_number < 9, "unknown codec or dtype")
    require(log_chunk <= 20 and dimensions <= 64, "chunks too large or too many dimensions")
    codec, elements = CODECS[codec_number], Elements(DTYPES[dtype_number])
    shape = [source.varint() for _ in range(dimensions)]
    n = math.prod(shape)
    require(n * elements.size <= 2**62, "the array is too large")
    book_size = source.varint()

    chunks = -(-n // 2**log_chunk)  # rounds up
    require(4 * chunks <= len(frame), "the bytes end early")
    borders = [i * 2**log_chunk for i in range(chunks)] + [n]
    if codec in ("rle", "elias", "rlh"):
        for i in range(1, chunks):
            borders[i] += source.varint()
            require(borders[i - 1] <= borders[i] <= n, "a border is out of order")
    directory = [source.number(4) for _ in range(chunks)]
    payloads = [source.take(entry % 2**31) for entry in directory]
    book = book_bytes = source.take(book_size)
    declared = source.varint()
    if flags:
        require(crc32c(source.data[: source.at]) == source.number(4), "the checksum is wrong")
    require(source.at == len(frame), "bytes follow the frame")

    if codec == "rle" and book:
        require(len(book) == 2 + elements.size, "the code book has a wrong size")
        require(book[0] <= elements.width and book[1] <= 32, "a field is too wide")
        elements.of_key(int.from_bytes(book[2:], "little"))  # only to check its range
    elif book:
        require(codec != "elias", "elias has no code book")
        book = read_book(book, codec, elements)
    decode_chunk = decode_values if codec in ("huffman", "sh") else decode_runs

    values, counted = [], 0
    for entry, data, begin, end in zip(directory, payloads, borders, borders[1:]):
        count = end - begin
        if count == 0:
            require(entry == 0, "the entry of an empty chunk is not 0")
        elif entry >= 2**31:
            require(len(data) == count * elements.size, "a raw payload has a wrong size")
            raw = Bytes(data)
            values += [elements.of_memory(raw.number(elements.size)) for _ in range(count)]
            counted = None
        else:
            require(len(data) < count * elements.size, "a coded payload is too large")
            require(bool(book_bytes) or codec == "elias", "a chunk needs a code book")
            decoded, bits = decode_chunk(codec, data, count, elements, book)
            values += decoded
            counted = None if counted is None else counted + bits
    try:
        return np.array(values, elements.dtype).reshape(shape), counted, declared
    except ValueError as error:
        raise FormatError("no array has this shape") from error


def decode(frame: bytes) -> np.ndarray:
    """The array that a frame holds; raises FormatError if the frame breaks a rule."""
    return read_frame(bytes(frame))[0]


def code_length(frame: bytes) -> int | None:
    """The bits of the code words, counted in the chunks (section 6); None if a chunk is raw."""
    return read_frame(bytes(frame))[1]


def declared_code_length(frame: bytes) -> int:
    """The code length that the frame states."""
    return read_frame(bytes(frame))[2]


# Textbook codes, from first principles.


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
