"""Section 5.6 of docs/FORMAT.md: forms of entropy, for the reference decoder.

Elements are their bits as unsigned numbers. A form is a function that takes a number of elements
off the front of a payload and returns them, and the bits of their code words and fields.
"""

from __future__ import annotations

from collections.abc import Callable

from reference_parts import Bits, Bytes, Elements, require

Sequence = tuple[list[int], int]
Form = Callable[[Bytes, int], Sequence]

MOST_NESTED = 6
BYTES = Elements("uint8")
COUNTS = Elements("uint32")


def read_form(source: Bytes, elements: Elements, read_blocks, read_codec, nested: int = 1) -> Form:
    """``read_blocks(source, elements)`` reads what section 5.5 describes, ``read_codec`` kind 5."""
    require(nested <= MOST_NESTED, "too many forms in one another")

    def read_part(part: Elements) -> Form:
        return read_form(source, part, read_blocks, read_codec, nested + 1)

    kind = source.number(1)
    if kind == 0:
        return read_blocks(source, elements)
    if kind == 1:
        return bins_form(read_bins(source, elements), read_part(BYTES), elements)
    if kind == 2:
        background = source.number(elements.size)
        return gaps_form(background, read_part(COUNTS), read_part(elements))
    if kind == 3:
        return runs_form(read_part(COUNTS), read_part(elements))
    if kind == 4:
        require(elements.dtype != bool, "differences of bool")
        return differences_form(read_part(elements), elements)
    if kind == 5:
        require(nested == 1, "another codec is not the outermost form")
        return read_codec(source, elements)
    require(kind == 6 and elements.dtype == "uint8", "an unknown form")
    base = source.number(1)
    require(2 <= base <= 16, "a wrong base of pairs")
    return pairs_form(base, read_part(BYTES))


def read_places(bits: Bits, widths: bool) -> list[tuple[int, int]]:
    """Places and widths of bins."""
    bins: list[tuple[int, int]] = []
    free = width = 0
    for i in range(count_below(bits.omega() - 1)):
        if i == 0:
            place = -bits.omega() if bits.take(1) == "1" else bits.omega() - 1
        else:
            place = free + bits.omega() - 1
        if widths:
            change = bits.omega()
            width += change // 2 if change % 2 else -(change // 2)
        require(0 <= width < 64, "a bin has an impossible width")
        free = place + 2**width
        require(place >= -(2**63) and free <= 2**63, "a bin lies too far away")
        bins.append((place, width))
    return bins


def count_below(count: int) -> int:
    require(count <= 256, "too many bins")
    return count


def read_bins(source: Bytes, elements: Elements) -> list[tuple[int, int, int]]:
    """For each bin: the bits of its first element, the step, and the width of its fields."""
    bits = Bits(source.take(source.varint()))
    center, step, has_escape = bits.field(elements.width), bits.omega(), bits.take(1) == "1"
    places = read_places(bits, widths=True) + read_places(bits, widths=False)
    bits.close()
    bins = [(center + step * place, step, width) for place, width in places]
    if has_escape:
        bins.append((0, 1, elements.width))
    require(1 <= len(bins) <= 256, "a wrong number of bins")
    return bins


def bins_form(bins: list[tuple[int, int, int]], symbols: Form, elements: Elements) -> Form:
    def read(source: Bytes, count: int) -> Sequence:
        found, total = symbols(source, count)
        require(max(found) < len(bins), "a symbol has no bin")
        fields = Bits(source.take(source.varint()))
        chosen = [bins[symbol] for symbol in found]
        out = [
            (low + step * fields.field(width)) % 2**elements.width for low, step, width in chosen
        ]
        return out, total + fields.close()

    return read


def gaps_form(background: int, gaps: Form, values: Form) -> Form:
    def read(source: Bytes, count: int) -> Sequence:
        out, size = [background] * count, source.varint()
        require(size <= count, "more values than elements")
        if size == 0:
            return out, 0
        between, gap_bits = gaps(source, size)
        others, value_bits = values(source, size)
        place = -1
        for gap, value in zip(between, others):
            place += gap + 1
            require(place < count, "a value lies beyond its sequence")
            out[place] = value
        return out, gap_bits + value_bits

    return read


def runs_form(lengths: Form, values: Form) -> Form:
    def read(source: Bytes, count: int) -> Sequence:
        size = source.varint()
        require(1 <= size <= count, "a wrong number of runs")
        less_one, length_bits = lengths(source, size)
        repeated, value_bits = values(source, size)
        require(sum(less_one) + size == count, "the runs do not fill their sequence")
        runs = zip(repeated, less_one)
        return [v for v, n in runs for _ in range(n + 1)], length_bits + value_bits

    return read


def differences_form(differences: Form, elements: Elements) -> Form:
    def read(source: Bytes, count: int) -> Sequence:
        changes, total = differences(source, count)
        out, value = [], 0
        for change in changes:
            value = (value + change) % 2**elements.width
            out.append(value)
        return out, total

    return read


def pairs_form(base: int, pairs: Form) -> Form:
    def read(source: Bytes, count: int) -> Sequence:
        found, total = pairs(source, -(-count // 2))
        out = [element for pair in found for element in (pair % base, pair // base)]
        require(max(out) < base, "a pair is too large")
        require(count % 2 == 0 or out.pop() == 0, "the last pair is too large")
        return out, total

    return read
