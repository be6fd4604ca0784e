"""Section 5.5 of docs/FORMAT.md: blocks and tokens of entropy, for the reference decoder."""

from __future__ import annotations

import functools
import itertools

from reference_parts import ESCAPE, Bits, Book, Bytes, Elements, read_book, require


def read_exceptions(data: bytes, values, elements) -> int:
    """Puts exceptions into their places; returns the bits of their list."""
    if not data:
        return 0
    bits, place = Bits(data), -1
    for _ in range(bits.omega()):
        place += bits.omega()
        require(place < len(values), "an exception lies beyond its chunk")
        values[place] = elements.of_memory(bits.field(elements.width))
    return bits.close()


def read_blocks(source: Bytes, elements: Elements):  # 5.5
    first = source.number(1)
    classes = first % 128
    require(1 <= classes <= 16, "a wrong number of classes")
    smallest, background = source.number(elements.size), source.number(1)
    require(smallest <= max(0, elements.max_key - 255), "the smallest key is too large")
    books = [read_token_book(source.take(source.varint())) for _ in range(classes)]
    return functools.partial(decode_blocks, elements, smallest, background, books, first >= 128)


def read_token_book(data: bytes) -> Book:
    tokens = read_book(data, "shs", Elements("int8"))
    require(len(tokens) <= 256, "too many tokens")
    require(all(token != ESCAPE and token[1] <= 256 for token in tokens.values()), "a bad token")
    return {word: (key - 128, run) for word, (key, run) in tokens.items()}


def add_token(out: list[int], token: tuple[int, int], size: int) -> None:
    value, run = token
    require(len(out) < size, "a sequence has too many tokens")
    require(value == 0 or run <= size - len(out), "a token passes the end of its sequence")
    out += [0] * (run - 1) + [value]


def read_sequence(source: Bytes, size: int, book: Book) -> tuple[list[int], int]:
    """The bytes of a sequence, as int8, and the bits of its code words."""
    out: list[int] = []
    if len(book) == 1:
        value, run = book[""]
        out = ([0] * (run - 1) + [value]) * -(-size // run)
        require(value == 0 or len(out) == size, "a token passes the end of its sequence")
        return out[:size], 0
    if size < 2**12:
        bits = Bits(source.take(source.varint()))
        while len(out) < size:
            add_token(out, bits.symbol(book), size)
        return out[:size], bits.close()
    tokens = source.varint() if any(run > 1 for _, run in book.values()) else size
    require(tokens <= size, "a sequence has too many tokens")
    streams, each = (1, tokens) if tokens < 2**12 else (8, 64 * (tokens // 512 | 1))
    total = 0
    for i, stream_size in enumerate([source.number(4) for _ in range(streams)]):
        bits = Bits(source.take(stream_size))
        for _ in range(each if i + 1 < streams else tokens - i * each):
            add_token(out, bits.symbol(book), size)
        total += bits.close()
    require(len(out) >= size, "a sequence has too few tokens")
    return out[:size], total


def decode_blocks(
    elements, smallest, background, books, has_exceptions, source: Bytes, count: int
) -> tuple[list[int], int]:  # 5.5
    """The elements as unsigned bits, and the bits of their code words."""
    blocks, total = -(-count // 256), 0
    classes = [0] * blocks
    if len(books) > 1:
        label_book = read_token_book(source.take(source.varint()))
        classes, total = read_sequence(source, blocks, label_book)
        require(all(0 <= k < len(books) for k in classes), "a class does not exist")
    sequences = []
    for k, tokens in enumerate(books):
        size = sum(min(256, count - 256 * b) for b in range(blocks) if classes[b] == k)
        values, bits = read_sequence(source, size, tokens) if size else ([], 0)
        sequences.append(iter(values))
        total += bits
    values = []
    for b, k in enumerate(classes):
        for byte in itertools.islice(sequences[k], min(256, count - 256 * b)):
            key = smallest + (byte + background) % 256
            values.append((key - elements.bias) % 2**elements.width)
    if has_exceptions:
        total += read_exceptions(source.take(source.varint()), values, elements)
    return values, total
