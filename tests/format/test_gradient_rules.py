"""Gradient frames made by hand, each of which breaks one rule of the format."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import reference
import reference_gradients
from gradient_cases import as_returned, assert_same_bits, by_hand, integers, small_frames, varint

import gradwire as gw

UNCHECKED = small_frames(checksum=False)


def floats(*values: float, dtype: str = "float32") -> bytes:
    return gw.Compressor(gw.Lossless()).compress(np.array(values, dtype)).tobytes()


def levels(
    size: int = 4, most: int = 4, kind: int = 0, scales: bytes | None = None, **options: object
) -> bytes:
    scales = struct.pack("<f", 2) if scales is None else scales
    part = integers([1, -2, 0, 4], "int8")
    return by_hand(0, varint(size) + bytes([most, kind]) + scales, part, **options)


def wide_levels(most: int = 1000, dtype: str = "int16", method: int = 7, **options) -> bytes:
    part = integers([1, np.iinfo(dtype).min, 0, np.iinfo(dtype).max], dtype)
    return by_hand(method, b"\4" + varint(most) + b"\0" + struct.pack("<f", 2), part, **options)


def bucket_levels(kind: int, scales: bytes, first: int | None = None) -> bytes:
    """Nine elements with a scale each."""
    parameters = bytes([1, 4, kind]) + (b"" if first is None else varint(first))
    return by_hand(0, parameters, integers([1] * 9, "int8"), scales, shape=(9,))


def signs(byte: int = 5, size: int = 4, per_bucket: int = 0, kind: int = 0, scales=b"") -> bytes:
    return by_hand(1, varint(size) + bytes([per_bucket, kind]) + scales, integers([byte]))


def ternary(
    byte: int = 11, kept: int = 5, m: int = 3, size: int = 4, per_bucket: int = 0, scales=b""
) -> bytes:
    """Elements 0, 1 and 3 of four are not zero; the first and the last of these are negative."""
    parameters = varint(size) + bytes([per_bucket, 0]) + scales + varint(m)
    return by_hand(6, parameters, integers([byte]), integers([kept] if m else []))


def planes(*parts: bytes, shape: tuple[int, ...] = (4,), m: int | None = None) -> bytes:
    kind = b"\0" if m is None else b"\1" + varint(m)
    return by_hand(3, kind, *parts, shape=shape, kind=1)


def sparse(tokens: list[int], bits: list[int], values: bytes, n: int = 10, m: int = 0) -> bytes:
    parts = integers(tokens), integers(bits), values
    return by_hand(4, varint(m or len(tokens)), *parts, shape=(n,))


def drawn(values: bytes, n: int, m: int, stream: int = 0) -> bytes:
    return by_hand(5, varint(m) + varint(stream), values, shape=(n,))


NOTHING = integers([])
PLANE, LONG_PLANE = integers([1, 2, 3, 4]), integers([1, 2, 3, 4, 5])
NINE = [1.0] * 9
VALID = {
    "levels": levels(),
    "levels, largest bucket": levels(size=2**64 - 1),
    "levels beyond the number of levels": levels(most=1),
    "levels, shape of their own": levels(shape=(2, 2)),
    "levels, 32 dimensions": levels(shape=(1,) * 31 + (4,)),
    "levels, zero as scale": levels(scales=struct.pack("<f", 0.0)),
    "levels, negative zero as scale": levels(scales=struct.pack("<f", -0.0)),
    "levels, smallest scale": levels(scales=struct.pack("<f", 1e-45)),
    "levels, other types of few scales": levels(kind=2),
    "wide levels": wide_levels(),
    "wide levels, one level": wide_levels(1),
    "wide levels, as many as int8 has": wide_levels(127),
    "wide levels, most levels": wide_levels(32767),
    "wide levels, many scales": by_hand(
        7, b"\1\x80\1\0", integers([300] * 9, "int16"), floats(*range(9)), shape=(9,)
    ),
    "log8": bucket_levels(2, integers([0, 1, 2, 3, 100, 200, 252, 253, 255]), first=768),
    "log8 of uint16": bucket_levels(2, integers([*range(8), 1792], "uint16"), first=0),
    "signs": signs(),
    "signs, a pair": signs(per_bucket=2, scales=struct.pack("<2f", 1, 2)),
    "signs, zero as scale": signs(per_bucket=1, scales=struct.pack("<f", 0)),
    "signs, negative zero as scale": signs(per_bucket=1, scales=struct.pack("<f", -0.0)),
    "ternary signs": ternary(),
    "ternary signs, a pair": ternary(per_bucket=2, scales=struct.pack("<2f", 1, 2)),
    "ternary signs, two buckets": ternary(size=3, per_bucket=1, scales=struct.pack("<2f", 1, 0)),
    "ternary signs, all there": ternary(byte=15, m=4),
    "ternary signs, nothing there": ternary(byte=0, m=0),
    "ternary signs, many scales": by_hand(
        6,
        b"\1\1\0\3",
        *(integers([0x41, 1]), integers([5]), floats(*range(9))),
        shape=(9,),
    ),
    "powers": by_hand(2, b"\x85", integers([0, -1, 127, -128], "int8")),
    "powers, smallest": by_hand(2, b"\0", integers([0, -1, 127, -128], "int8")),
    "powers, largest": by_hand(2, b"\xff", integers([0, -1, 127, -128], "int8")),
    "signs, an empty chunk at the end": bytes.fromhex(
        "4746010001000109090000174757010000000500010200010200008000000000000000"
    ),
    "planes": planes(PLANE, PLANE),
    "planes, zeros left out": planes(integers([0x2D]), PLANE, PLANE, shape=(6,), m=4),
    "planes, nothing but zeros": planes(integers([0]), NOTHING, NOTHING, shape=(6,), m=0),
    "planes of two codecs": planes(PLANE, integers([4, 5, 6, 7], key="entropy")),
    "sparse": sparse([0, 8], [], floats(1, -2)),
    "sparse, long gaps": sparse([127, 31], [0x55, 0x95], floats(1, -2), n=2**18),
    "sparse, nothing": sparse([], [], floats()),
    "sparse, not finite": sparse([0, 8], [], floats(np.inf, np.nan)),
    "sparse, float64": sparse([0, 0, 0], [], floats(1 / 3, -1e300, 1 + 2**-24, dtype="float64")),
    "random": drawn(floats(1, 2, 3), 100, 3, 12345),
    "random, sums past 2^64": drawn(floats(1, 2, 3), 100, 3, 2**64 - 2),
    "random, all": drawn(floats(1, 2, 3), 3, 3),
    "random, nothing": drawn(floats(), 3, 0),
}
BROKEN = {
    "no product of dimensions": levels(shape=(2**59 + 1, 0)),
    "65 dimensions": levels(shape=(1,) * 64 + (4,)),
    "another shape": levels(size=9, shape=(5,)),
    "unknown type": by_hand(2, b"\1", integers([0] * 4, "int8"), kind=4),
    "unknown method": by_hand(8, b"\1", integers([0] * 4, "int8")),
    "a longer varint": by_hand(0, b"\x84\0\4\0\0\0\0\0", integers([0] * 4, "int8")),
    "bytes that follow": levels() + b"\0",
    "levels, no bucket": levels(size=0),
    "levels, no level": levels(most=0),
    "levels, 128 levels": levels(most=128),
    "levels, unknown scales": levels(kind=3),
    "levels, infinite scale": levels(scales=struct.pack("<f", np.inf)),
    "levels, no scale": levels(scales=struct.pack("<f", np.nan)),
    "levels, negative scale": levels(scales=struct.pack("<f", -1)),
    "levels, two scales": levels(scales=struct.pack("<2f", 1, 1)),
    "levels of int16": wide_levels(4, method=0),
    "levels, a varint of 128": wide_levels(128, method=0),
    "wide levels, no level": wide_levels(0),
    "wide levels, 32768 levels": wide_levels(32768),
    "wide levels, 2^16 + 1 levels": wide_levels(2**16 + 1),
    "wide levels of int8": wide_levels(dtype="int8"),
    "wide levels of uint16": wide_levels(dtype="uint16"),
    "wide levels of int32": wide_levels(dtype="int32"),
    "wide levels, another number": wide_levels(shape=(5,)),
    "levels of uint8": by_hand(0, b"\4\4\0\0\0\0\0", PLANE),
    "many scales, infinite": bucket_levels(0, floats(*NINE[1:], np.inf)),
    "many scales, negative": bucket_levels(0, floats(*NINE[1:], -1)),
    "many scales, too many": bucket_levels(0, floats(*NINE, 1)),
    "many scales, too few": bucket_levels(0, floats(*NINE[1:])),
    "many scales, another type": bucket_levels(1, floats(*NINE)),
    "many scales, not planes": bucket_levels(
        0, gw.Compressor(gw.Natural()).compress(np.array(NINE)).tobytes()
    ),
    "log8, no first scale": bucket_levels(2, integers([0] * 9), first=1792),
    "log8, too large": bucket_levels(2, integers([0] * 8 + [2]), first=1791),
    "log8, a step too far": bucket_levels(2, integers([0] * 8 + [1793], "uint16"), first=0),
    "log8 of int8": bucket_levels(2, integers([1] * 9, "int8"), first=0),
    "log8, too many": bucket_levels(2, integers([1] * 10), first=0),
    "signs, three scales": signs(per_bucket=3, scales=struct.pack("<3f", 1, 2, 3)),
    "signs, no bucket": signs(size=0),
    "signs, bits that follow": signs(byte=0x15),
    "signs of int8": by_hand(1, b"\4\0\0", integers([5], "int8")),
    "signs, too many": by_hand(1, b"\4\0\0", integers([5, 0])),
    "ternary signs, no bucket": ternary(size=0),
    "ternary signs, three scales": ternary(per_bucket=3, scales=struct.pack("<3f", 1, 2, 3)),
    "ternary signs, infinite scale": ternary(per_bucket=1, scales=struct.pack("<f", np.inf)),
    "ternary signs, fewer there": ternary(byte=3),
    "ternary signs, more there": ternary(byte=15),
    "ternary signs, more than elements": ternary(byte=15, m=5),
    "ternary signs, ones past the end": ternary(byte=0x13),
    "ternary signs, bits that follow": ternary(kept=13),
    "ternary signs of int8": by_hand(6, b"\4\0\0\3", integers([11], "int8"), integers([5])),
    "ternary signs, kept as int8": by_hand(6, b"\4\0\0\3", integers([11]), integers([5], "int8")),
    "ternary signs, too many": by_hand(6, b"\4\0\0\3", integers([11]), integers([5, 0])),
    "ternary signs, part missing": by_hand(6, b"\4\0\0\3", integers([11])),
    "ternary signs, part too many": by_hand(6, b"\4\0\0\3", *[integers([11])] * 3),
    "powers of uint8": by_hand(2, b"\1", PLANE),
    "planes, one missing": planes(PLANE),
    "planes, no bits": planes(PLANE, PLANE, m=4),
    "planes, other ones": planes(integers([0x07]), PLANE, PLANE, shape=(6,), m=4),
    "planes, ones past the end": planes(integers([0x87]), PLANE, PLANE, shape=(6,), m=4),
    "planes, more than there are": planes(integers([0x0F]), LONG_PLANE, LONG_PLANE, m=5),
    "planes, unknown kind": by_hand(3, b"\2", PLANE, PLANE, shape=(4,), kind=1),
    "planes, one too many": planes(PLANE, PLANE, PLANE),
    "planes of int8": planes(PLANE, integers([1, 2, 3, 4], "int8")),
    "planes, moving borders": planes(PLANE, integers([1, 2, 3, 4], key="rlh")),
    "planes, another length": planes(PLANE, LONG_PLANE),
    "sparse, index past the end": sparse([0, 9], [], floats(1, 2)),
    "sparse, no such token": sparse([240], [0] * 4, floats(1)),
    "sparse, bits missing": sparse([16], [], floats(1), n=100),
    "sparse, bits that follow": sparse([16], [2], floats(1), n=100),
    "sparse, bytes that follow": sparse([16], [1, 0], floats(1), n=100),
    "sparse, more than there are": sparse([0, 0], [], floats(1, 2), n=1),
    "sparse, too few tokens": sparse([0, 0], [], floats(1, 2, 3), m=3),
    "sparse, too few values": sparse([0, 0], [], floats(1)),
    "sparse in sparse": sparse([0], [], sparse([0], [], floats(1), n=1)),
    "random in sparse": sparse([0], [], drawn(floats(1), 1, 1)),
    "sparse in random": drawn(sparse([0], [], floats(1), n=1), 1, 1),
    "random, more than there are": drawn(floats(1, 2), 1, 2),
    "sparse, more than 2^32": sparse([0], [], floats(1), n=2**32 + 1),
}


@pytest.mark.parametrize("name", VALID)
def test_odd_frames(name: str) -> None:
    decoded = gw.decompress_gradient(VALID[name])
    assert_same_bits(decoded, as_returned(reference_gradients.decode(VALID[name])))


@pytest.mark.parametrize("name", BROKEN)
def test_frames_that_break_a_rule(name: str) -> None:
    with pytest.raises(ValueError):
        reference_gradients.decode(BROKEN[name])
    with pytest.raises(gw.Error):
        gw.decompress_gradient(BROKEN[name])


@pytest.mark.parametrize(
    ("offset", "value"), [(2, 0), (2, 2), (3, 2), (3, 3), (3, 0x80), (4, 8), (5, 4), (6, 65)]
)
def test_formats_of_the_future(offset: int, value: int) -> None:
    frame = bytearray(UNCHECKED["powers"])
    frame[offset] = value
    with pytest.raises(gw.Error):
        gw.decompress_gradient(frame)
    with pytest.raises(gw.Error):
        gw.inspect_gradient(frame)
    with pytest.raises(reference.FormatError):
        reference_gradients.decode(frame)


@pytest.mark.parametrize("n", [2**40, 2**59])
def test_a_short_frame_cannot_declare_a_long_gradient(n: int) -> None:
    part = integers([0] * 4, "int8")
    for frame in (
        by_hand(0, b"\4\4\0", part, PLANE, shape=(n,)),
        by_hand(1, b"\4\0\0", PLANE, shape=(n,)),
        by_hand(2, b"\1", part, shape=(n,)),
        wide_levels(shape=(n,)),
        by_hand(6, b"\4\0\0\3", PLANE, PLANE, shape=(n,)),
        by_hand(6, b"\4\0\0" + varint(n), PLANE, PLANE, shape=(n,)),
        planes(PLANE, PLANE, shape=(n,)),
    ):
        with pytest.raises(gw.CorruptFrameError):
            gw.decompress_gradient(frame)


@pytest.mark.parametrize("junk", [b"", b"\0", b"GF", b"GW" * 20, b"PK\3\4" * 20, bytes(1000)])
def test_junk_raises(junk: bytes) -> None:
    for read in (gw.decompress_gradient, gw.inspect_gradient):
        with pytest.raises(gw.CorruptFrameError):
            read(junk)
