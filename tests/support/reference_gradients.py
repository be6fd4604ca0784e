"""A reference decoder of gradient frames: cpp/FORMAT.md, section 9.

As slow and simple as tests/reference.py, which decodes the frames of integers inside.
"""

from __future__ import annotations

import math

import numpy as np
import reference
from reference_parts import Bits, Bytes, require

METHODS = (
    *("levels", "signs", "powers", "planes", "sparse", "random", "ternary signs", "wide levels"),
)
TYPES = ("float32", "float16", "bfloat16", "float64")
DTYPES = {"float32": "float32", "float16": "float16", "bfloat16": "uint16", "float64": "float64"}
SCALE_TYPES = ("float32", "bfloat16", "log8")
STEPS_OF_SCALES = 1792
EIGHTH_POWERS = np.frombuffer(
    bytes.fromhex("3F800000 3F8B95C2 3F9837F0 3FA5FED7 3FB504F3 3FC5672A 3FD744FD 3FEAC0C7"), ">f4"
).astype(np.float32)
BORDERS_STAY = ("huffman", "sh", "shs", "entropy")  # section 3

Shared = dict[int, bytes]  # section 8: code books by their names


# Section 9.1: layout.


class Frame:
    """A gradient frame taken apart: what all methods share, and the reader of the rest."""

    def __init__(self, data: bytes, shared: Shared | None) -> None:
        self.source, self.shared = Bytes(bytes(data)), shared
        magic, version = self.source.take(2), self.source.number(1)
        require(magic == b"GF" and version == 1, "unknown magic or version")
        self.flags, method, kind, dimensions = self.source.take(4)
        require(self.flags <= 1 and method < 8 and kind < 4, "unknown flag, method or type")
        require(dimensions <= 64, "too many dimensions")
        self.method, self.type = METHODS[method], TYPES[kind]
        self.shape = [self.source.varint() for _ in range(dimensions)]
        require(math.prod(d for d in self.shape if d) <= 2**59, "the gradient is too large")
        self.n = self.sent = math.prod(self.shape)

    def parts(self, count: int) -> list[bytes]:
        """What follows the parameters, to the end."""
        source = self.source
        sizes = [source.varint() for _ in range(count)]
        if self.flags & 1:
            computed = reference.crc32c(source.data[: source.at])
            require(computed == source.number(4), "the checksum is wrong")
        parts = [source.take(size) for size in sizes]
        require(source.at == len(source.data), "bytes follow the parts")
        return parts

    def integers(self, part: bytes, count: int | None, *dtypes: str) -> np.ndarray:
        """The elements of a part that is a frame of section 2."""
        array = reference.decode(part, self.shared)
        require(array.dtype.name in dtypes, "the integers of a part have a wrong type")
        require(count is None or array.size == count, "a part has a wrong number of elements")
        return array.reshape(-1)


def to_float32(elements: np.ndarray) -> np.ndarray:
    """Elements of planes as float32; uint16 stands for bfloat16."""
    if elements.dtype == np.uint16:
        return (elements.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return elements.astype(np.float32)


# Section 9.2: levels.


def read_scales(frame: Frame, count: int) -> tuple[list[bytes], np.ndarray]:
    """The other parts, and the scales: they are among the parameters, or the last part."""
    kind = frame.source.number(1)
    require(kind < 3, "unknown type of scales")
    is_log8 = SCALE_TYPES[kind] == "log8" and count > 8
    if count <= 8:
        scales = np.frombuffer(frame.source.take(4 * count), "<f4")
    elif is_log8:
        first = frame.source.varint()
        require(first < STEPS_OF_SCALES, "the first scale is too large")
    others = 1
    if frame.method == "ternary signs":
        others = 2
        frame.sent = frame.source.varint()
        require(frame.sent <= frame.n, "more elements than the gradient has")
    *parts, last = frame.parts(others + (count > 8))
    if count <= 8:
        parts.append(last)
    elif is_log8:
        scales = log8_scales(first, frame.integers(last, count, "uint8", "uint16"))
    else:
        planes = Frame(last, frame.shared)
        require(planes.method == "planes", "scales are not a frame of planes")
        require(planes.type == SCALE_TYPES[kind] and planes.n == count, "these are other scales")
        scales = to_float32(read_planes(planes))
    require(bool(np.all(np.isfinite(scales) & (scales >= 0))), "a scale is negative or not finite")
    return parts, scales


def log8_scales(first: int, numbers: np.ndarray) -> np.ndarray:
    scales = np.zeros(numbers.size, np.float32)
    for i, number in enumerate(numbers.tolist()):
        if number > 0:
            step = first + number - 1
            require(step < STEPS_OF_SCALES, "a scale is too large")
            scales[i] = np.ldexp(EIGHTH_POWERS[step % 8], step // 8 - 96)
    return scales


def read_levels(frame: Frame) -> np.ndarray:
    is_wide = frame.method == "wide levels"
    bucket_size = frame.source.varint()
    most = frame.source.varint() if is_wide else frame.source.number(1)
    require(bucket_size >= 1, "a wrong bucket size")
    require(1 <= most <= (32767 if is_wide else 127), "a wrong number of levels")
    (part,), scales = read_scales(frame, -(-frame.n // bucket_size))
    values = np.zeros(frame.n, np.float32)
    with np.errstate(over="ignore"):
        for i, level in enumerate(frame.integers(part, frame.n, "int16" if is_wide else "int8")):
            scale = scales[i // bucket_size]
            if any(scale.tobytes()):
                values[i] = np.float32(level) * (scale / np.float32(most))
    return values


# Sections 9.3 and 9.4: signs, and ternary signs.


def read_bits(frame: Frame, part: bytes, count: int) -> np.ndarray:
    """One bit for each of ``count`` elements."""
    bits = np.unpackbits(frame.integers(part, -(-count // 8), "uint8"), bitorder="little")
    require(not bits[count:].any(), "bits follow those of the last element")
    return bits[:count].astype(bool)


def read_signs(frame: Frame) -> np.ndarray:
    bucket_size, per_bucket = frame.source.varint(), frame.source.number(1)
    require(bucket_size >= 1 and per_bucket <= 2, "a wrong bucket size or number of scales")
    parts, scales = read_scales(frame, -(-frame.n // bucket_size) * per_bucket)
    if per_bucket == 0:
        scales = np.ones(1, np.float32)
    there = np.ones(frame.n, bool)
    if frame.method == "ternary signs":
        there = read_bits(frame, parts[0], frame.n)
        require(int(there.sum()) == frame.sent, "another number of elements is not zero")
    indices = np.flatnonzero(there).tolist()
    values = np.zeros(frame.n, np.float32)
    for i, bit in zip(indices, read_bits(frame, parts[-1], len(indices))):
        at = i // bucket_size * per_bucket
        scale = scales[at + per_bucket // 2] if bit else scales[at]
        if any(scale.tobytes()):
            values[i] = -scale if bit else scale
    return values


# Section 9.5: powers.


def read_powers(frame: Frame) -> np.ndarray:
    smallest = frame.source.number(1)
    (part,) = frame.parts(1)
    values = np.zeros(frame.n, np.float32)
    for i, level in enumerate(frame.integers(part, frame.n, "int8").tolist()):
        if level:
            values[i] = math.copysign(2.0 ** (min(smallest + abs(level), 254) - 127), level)
    return values


# Section 9.6: planes.


def borders(exponent: int, n: int) -> int:
    """Elements of a chunk, if there is more than one."""
    return min(1 << exponent, n)


def read_planes(frame: Frame) -> np.ndarray:
    dtype = np.dtype(DTYPES[frame.type])
    width = 8 * dtype.itemsize
    without_zeros = frame.source.number(1)
    require(without_zeros <= 1, "unknown kind of planes")
    m = frame.source.varint() if without_zeros else frame.n
    require(m <= frame.n, "more elements than the gradient has")
    parts = frame.parts(without_zeros + dtype.itemsize)
    there = np.ones(frame.n, bool)
    if without_zeros:
        there = read_bits(frame, parts.pop(0), frame.n)
        require(int(there.sum()) == m, "another number of elements is there")
    bits = np.zeros(m, np.uint64)
    first = borders(parts[0][7], m)
    for k, part in enumerate(parts):
        bits |= frame.integers(part, m, "uint8").astype(np.uint64) << np.uint64(8 * k)
        require(reference.CODECS[part[4]] in BORDERS_STAY, "a codec of planes moves borders")
        require(borders(part[7], m) == first, "the chunks of planes differ")
    sign = (bits & np.uint64(1)) << np.uint64(width - 1)
    elements = np.zeros(frame.n, f"uint{width}")
    elements[there] = bits >> np.uint64(1) | sign
    return elements.view(dtype)


# Section 9.7: sparse and random.


def mix(x: int) -> int:
    """The finalizer of SplitMix64, after its step."""
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


def random_indices(n: int, m: int, stream: int) -> list[int]:
    borders = [n // m * i + n % m * i // m for i in range(m + 1)] if m else []
    shift = (mix((stream - 1) % 2**64) >> 32) * n >> 32
    return sorted(
        (begin + ((mix((stream + i) % 2**64) >> 32) * (end - begin) >> 32) + shift) % n
        for i, (begin, end) in enumerate(zip(borders, borders[1:]))
    )


def sparse_indices(tokens: np.ndarray, data: bytes) -> list[int]:
    bits, indices, index = Bits(data), [], -1
    for token in tokens.tolist():
        require(token < 240, "a token does not exist")
        gap = token
        if token >= 16:
            width = (token - 16) // 8 + 1
            gap = (8 + (token - 16) % 8) * 2**width + bits.field(width)
        index += gap + 1
        indices.append(index)
    bits.close()
    return indices


def read_chosen(frame: Frame) -> np.ndarray:
    m = frame.source.varint()
    require(m <= frame.n <= 2**32, "more elements sent than there are, or too many")
    if frame.method == "random":
        stream = frame.source.varint()
        (last,) = frame.parts(1)
        indices = random_indices(frame.n, m, stream)
    else:
        tokens, bits, last = frame.parts(3)
        data = frame.integers(bits, None, "uint8").tobytes()
        indices = sparse_indices(frame.integers(tokens, m, "uint8"), data)
    require(all(index < frame.n for index in indices), "an index is too large")
    sent = Frame(last, frame.shared)
    require(sent.method not in ("sparse", "random"), "the values are sparse themselves")
    require(sent.n == m, "a wrong number of values")
    values = np.zeros(frame.n, np.float32)
    values[indices] = to_float32(READERS[sent.method](sent))
    return values


READERS_IN_ORDER = (read_levels, read_signs, read_powers, read_planes, read_chosen, read_chosen)
READERS = dict(zip(METHODS, (*READERS_IN_ORDER, read_signs, read_levels)))


def decode(data: bytes, shared: Shared | None = None) -> np.ndarray:
    """The gradient: float32, or of planes the very elements, with bfloat16 as uint16."""
    frame = Frame(data, shared)
    return READERS[frame.method](frame).reshape(frame.shape)
