"""A reference decoder of gradwire frames.

It follows cpp/FORMAT.md section by section and is deliberately slow and simple: a bit
stream is a string of '0' and '1', and a prefix code is a dictionary of such strings.
"""

from __future__ import annotations

import math

import numpy as np
from reference_blocks import read_blocks, read_exceptions
from reference_forms import read_form
from reference_parts import (
    ESCAPE,
    Bits,
    Book,
    Bytes,
    Elements,
    FormatError,
    read_book,
    require,
)

CODECS = ("rle", "huffman", "elias", "sh", "shs", "rlh", "entropy")
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


# Section 5: coded payloads. Each decoder returns the chunk's values and the bits of its code words.


def decode_runs(codec, data, count, elements, book, layout) -> tuple[list[int], int]:  # 5.1, 5.2
    bits = Bits(data)
    values: list[int] = []
    while len(values) < count:
        if codec == "rle":
            value = elements.of_key(int.from_bytes(book[2:], "little") + bits.field(book[0]))
            run = bits.field(book[1]) + 1
        else:
            mapped = bits.omega(largest_bits=65)
            value = mapped // 2 if mapped % 2 else -(mapped // 2)
            value, run = elements.of_key(value + elements.bias), bits.omega()
        require(run <= count - len(values), "a run goes beyond its chunk")
        values += [value] * run
    return values, bits.close()


def decode_pairs(codec, data, count, elements, book, layout) -> tuple[list[int], int]:  # 5.4
    values: list[int] = []

    def add(pair: tuple[int, int], escaped: Bits) -> None:
        key, run = pair
        if pair == ESCAPE:
            value, run = elements.of_memory(escaped.field(elements.width)), escaped.omega()
        else:
            value = elements.of_key(key)
        require(run <= count - len(values), "a run goes beyond its chunk")
        values.extend([value] * run)

    if len(book) > 256:
        bits = Bits(data)
        while len(values) < count:
            add(bits.symbol(book), bits)
        return values, bits.close()
    source, has_escape = Bytes(data), ESCAPE in book.values()
    escaped = Bits(source.take(source.varint()) if has_escape else b"")
    tokens = source.varint()
    require(tokens <= count, "a chunk has more code words than elements")
    pairs, total = read_code_words(source.take(len(data) - source.at), tokens, book, layout)
    for pair in pairs:
        add(pair, escaped)
    require(len(values) == count, "the runs do not fill their chunk")
    return values, total + escaped.close()


def read_nodes(bits: Bits, size: int, prefix: str, book: Book) -> list[str]:
    """The code words of `size` elements, all of which begin with `prefix`."""
    if size == 0 or prefix in book:
        return [prefix] * size
    depths = {len(word) - len(prefix) for word in book if word.startswith(prefix)}
    if len(depths) == 1:
        levels = [bits.take(size) for _ in range(depths.pop())]
        return [prefix + "".join(rest) for rest in zip(*levels)]
    node = bits.take(size)
    children = [iter(read_nodes(bits, node.count(bit), prefix + bit, book)) for bit in "01"]
    return [next(children[int(bit)]) for bit in node]


def read_code_words(data: bytes, count: int, book: Book, layout: int):  # 5.3
    """What `count` code words stand for, and the number of their bits."""
    source = Bytes(data)
    if layout == 1:
        bits, words = Bits(source.take(len(data))), []
        for begin in range(0, count, 2**14):
            words += read_nodes(bits, min(2**14, count - begin), "", book)
        return [book[word] for word in words], bits.close()
    borders, sizes = [0, count], []
    if count >= 2**14:
        each = 64 * (count // 512 | 1)
        borders = [i * each for i in range(8)] + [count]
        sizes = [source.number(4) for _ in range(7)]
    sizes.append(len(data) - source.at - sum(sizes))
    require(sizes[-1] >= 0, "streams are larger than their payload")
    symbols, total = [], 0
    for begin, end, size in zip(borders, borders[1:], sizes):
        bits = Bits(source.take(size))
        symbols += [bits.symbol(book) for _ in range(begin, end)]
        total += bits.close()
    return symbols, total


def decode_values(codec, data, count, elements, book, layout) -> tuple[list[int], int]:  # 5.3
    source = Bytes(data)
    exceptions = source.take(source.varint()) if codec == "sh" else b""
    symbols, total = read_code_words(source.take(len(data) - source.at), count, book, layout)
    values = [elements.of_key(key) for key, _ in symbols]
    return values, total + read_exceptions(exceptions, values, elements)


def read_entropy_book(data: bytes, elements: Elements, layout: int):
    """A form (a function, see reference_forms), or a code book of huffman."""
    if layout == 0 and data[0] == 0:
        return read_book(data[1:], "huffman", elements)
    source = Bytes(data)
    if layout == 0:
        form = read_blocks(source, elements)
    else:
        form = read_form(source, elements, read_blocks, read_codec)
    require(source.at == len(data), "bytes follow the last part of a code book")
    return form


def read_codec(source: Bytes, elements: Elements):  # 5.6, kind 5
    number, layout = source.number(1), source.number(1)
    require(number < 6, "an unknown codec")
    require(layout <= (number in (1, 3, 4, 5)), "an unknown layout")
    codec = CODECS[number]
    book = read_codec_book(source.take(source.varint()), codec, elements, layout)

    def read(payload: Bytes, count: int):
        data = payload.take(len(payload.data) - payload.at)
        require(bool(book) or codec == "elias", "a chunk needs a code book")
        values, bits = DECODERS[codec](codec, data, count, elements, book, layout)
        return [value % 2**elements.width for value in values], bits

    return read


def decode_entropy(codec, data, count, elements, book, layout) -> tuple[list[int], int]:
    if isinstance(book, dict):
        return decode_values("huffman", data, count, elements, book, layout)
    source = Bytes(data)
    own_book = source.take(source.varint()) if layout == 2 else b""
    form = read_entropy_book(own_book, elements, layout) if own_book else book
    bits, total = form(source, count)
    require(source.at == len(data), "bytes follow the last part of a chunk")
    return [elements.of_memory(value) for value in bits], total


def read_codec_book(book: bytes, codec: str, elements: Elements, layout: int):
    """What the decoder of a codec needs to know; an empty book stays as it is."""
    if codec == "rle" and book:
        require(len(book) == 2 + elements.size, "the code book has a wrong size")
        require(book[0] <= elements.width and book[1] <= 32, "a field is too wide")
        elements.of_key(int.from_bytes(book[2:], "little"))  # only to check its range
        return book
    if book and codec == "entropy":
        return read_entropy_book(book, elements, layout)
    if book:
        require(codec != "elias", "elias has no code book")
        book = read_book(book, codec, elements)
        keys = [key for key, _ in book.values()]
        fits = len(book) <= 256 if codec in ("shs", "rlh") else max(keys) - min(keys) <= 255
        require(layout == 0 or (fits and len(book) > 1), "a book does not fit the pivot layout")
    return book


DECODERS = {
    "rle": decode_runs,
    "elias": decode_runs,
    "huffman": decode_values,
    "sh": decode_values,
    "shs": decode_pairs,
    "rlh": decode_pairs,
    "entropy": decode_entropy,
}


# Sections 2, 3 and 7: the frame, its chunks and its checksum.


def crc32c(data: bytes) -> int:
    table = list(range(256))
    for _ in range(8):
        table = [entry >> 1 ^ (0x82F63B78 if entry & 1 else 0) for entry in table]
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def read_frame(
    frame: bytes, shared: dict[int, bytes] | None = None
) -> tuple[np.ndarray, int | None, int]:
    """Returns the array, the code length as counted (None if a chunk is raw) and as declared."""
    source = Bytes(frame)
    require(source.take(2) == b"GW" and source.number(1) == 1, "unknown magic or version")
    flags, codec_number, layout, dtype_number, log_chunk, dimensions = source.take(6)
    layouts = (0, 2) if codec_number == 6 else (0, 1) if codec_number in (1, 3, 4, 5) else (0,)
    require(flags <= 3 and layout in layouts, "unknown flag or layout")
    require(codec_number < 7 and dtype_number < 9, "unknown codec or dtype")
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
    if flags & 1:
        require(crc32c(source.data[: source.at]) == source.number(4), "the checksum is wrong")
    require(source.at == len(frame), "bytes follow the frame")

    if flags & 2:
        require(codec == "entropy" and len(book) == 8, "a shared code book has no name")
        name = int.from_bytes(book, "little")
        require(name in (shared or {}), "the shared code book is missing")
        book = shared[name]
        require(layout == 2 or book[0] > 128, "a shared code book must have exceptions")
    book = read_codec_book(book, codec, elements, layout)
    decode_chunk = DECODERS[codec]

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
            decoded, bits = decode_chunk(codec, data, count, elements, book, layout)
            values += decoded
            counted = None if counted is None else counted + bits
    try:
        return np.array(values, elements.dtype).reshape(shape), counted, declared
    except ValueError as error:
        raise FormatError("no array has this shape") from error


def read_shared_book(data: bytes) -> dict[int, bytes]:  # 8
    """A shared code book by its name."""
    source = Bytes(data)
    magic, version = source.take(2), source.number(1)
    require(magic == b"GB" and version in (1, 2), "unknown magic or version")
    dtype = source.take(1)
    require(version == 1 or source.number(1) in (0, 2), "unknown layout")
    book = source.take(source.varint())
    name = 0xCBF29CE484222325
    for byte in dtype + book:
        name = (name ^ byte) * 0x100000001B3 % 2**64
    return {name: book}


def decode(frame: bytes, shared: dict[int, bytes] | None = None) -> np.ndarray:
    """The array that a frame holds; raises FormatError if the frame breaks a rule."""
    return read_frame(bytes(frame), shared)[0]


def code_length(frame: bytes) -> int | None:
    """The bits of the code words, counted in the chunks (section 6); None if a chunk is raw."""
    return read_frame(bytes(frame))[1]


def declared_code_length(frame: bytes) -> int:
    """The code length that the frame states."""
    return read_frame(bytes(frame))[2]
