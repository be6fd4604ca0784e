"""Frames come from the network: nothing in them is trusted."""

from __future__ import annotations

import numpy as np
import pytest
from cases import KEYS, ternary
from gradient_cases import varint

import gradwire as gw


def small_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {
        "ternary": ternary(300),
        "wide": np.rint(rng.laplace(0, 30, 200)).astype(np.int32),
        "noise": rng.integers(-128, 128, 60).astype(np.int8),
        "constant": np.zeros((4, 50), np.uint16),
        "empty": np.empty(0, np.int64),
    }


ARRAYS = small_arrays()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("checksum", [True, False])
def test_every_prefix_raises(key: str, name: str, checksum: bool) -> None:
    frame = gw.codec(key, checksum=checksum).compress(ARRAYS[name]).tobytes()
    for size in range(len(frame)):
        with pytest.raises(gw.TruncatedFrameError):
            gw.decompress(frame[:size])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ARRAYS)
def test_every_bit_flip_raises(key: str, name: str) -> None:
    frame = bytearray(gw.compress(ARRAYS[name], codec=key).tobytes())
    for bit in range(8 * len(frame)):
        frame[bit // 8] ^= 1 << bit % 8
        with pytest.raises(gw.Error):
            gw.decompress(frame)
        with pytest.raises(gw.Error):
            gw.inspect(frame)
        frame[bit // 8] ^= 1 << bit % 8


def classes(dtype: str) -> np.ndarray:
    """Blocks of different kinds, which become classes of `entropy`; the last one is short."""
    rng = np.random.default_rng(5)
    kinds = [
        ternary(16 * 256, 0.99),
        np.rint(rng.laplace(0, 9, 16 * 256)),
        np.zeros(16 * 256),
        ternary(16 * 256, 0.6),
    ]
    blocks = np.concatenate(kinds).reshape(-1, 256)[rng.permutation(64)]
    return blocks.reshape(-1)[:-77].astype(dtype)


LARGE_ARRAYS = {
    "classes": classes("int8"),
    "classes of wide elements": classes("int16"),
    "pivot layout": ternary(17_000),
    "pivot layout of runs": np.tile(np.array([0, 1], np.uint8), 9000),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", [*ARRAYS, *LARGE_ARRAYS])
def test_damage_without_a_checksum_stays_in_bounds(key: str, name: str) -> None:
    """Such frames may decode to something else, or raise; sanitizers watch the rest."""
    array = (ARRAYS | LARGE_ARRAYS)[name]
    frame = gw.codec(key, checksum=False).compress(array).tobytes()
    rng = np.random.default_rng(3)
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(400):
        damaged = bytearray(frame)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        try:
            decoded = gw.decompress(damaged, max_size=1 << 24)
            outcomes["decoded"] += 1
            assert decoded.nbytes <= 1 << 24
        except gw.Error:
            outcomes["refused"] += 1
    assert sum(outcomes.values()) == 400 and outcomes["refused"] > 0


@pytest.mark.parametrize("key", ["huffman", "rlh"])
@pytest.mark.parametrize("values", [np.arange(300, dtype=np.int16), np.zeros(300, np.int16)])
def test_pivot_layout_of_a_code_book_that_it_does_not_fit(key: str, values: np.ndarray) -> None:
    frame = bytearray(gw.codec(key, checksum=False).compress(np.tile(values, 20)))
    frame[5] = 1
    with pytest.raises(gw.CorruptFrameError, match="does not fit the pivot layout"):
        gw.decompress(frame)


@pytest.mark.parametrize("key", KEYS)
def test_trailing_bytes_raise(key: str) -> None:
    frame = gw.codec(key, checksum=False).compress(ARRAYS["ternary"]).tobytes()
    with pytest.raises(gw.CorruptFrameError, match="1 bytes follow"):
        gw.decompress(frame + b"\0")


@pytest.mark.parametrize("codec", range(len(KEYS)))
@pytest.mark.parametrize("dtype", range(9))
def test_a_short_frame_cannot_declare_a_long_array(codec: int, dtype: int) -> None:
    header = bytes([0x47, 0x57, 1, 0, codec, 0, dtype, 20, 1])
    frame = header + varint(2**60) + varint(0)
    frame += bytes(30 - len(frame))
    with pytest.raises(gw.CorruptFrameError):
        gw.decompress(frame)
    with pytest.raises(gw.CorruptFrameError, match=r"2\^62 bytes"):
        gw.inspect(header[:-1] + b"\2" + varint(2**60) * 2 + bytes(9))


def test_max_size_is_asked_before_anything_is_allocated() -> None:
    frame = gw.compress(np.zeros(10**6, np.int8), codec="elias")
    with pytest.raises(
        gw.BufferTooSmallError, match="decodes to 1000000 bytes, max_size allows 99"
    ):
        gw.decompress(frame, max_size=99)
    assert gw.decompress(frame, max_size=10**6).size == 10**6


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (2, 9, "format version 9"),
        (3, 0x40, "flags 64"),
        (4, 77, "codec 77"),
        (5, 3, "layout 3"),
        (6, 12, "dtype 12"),
        (7, 33, "chunk size exponent 33"),
        (8, 65, "number of dimensions 65"),
    ],
)
def test_formats_of_the_future(offset: int, value: int, message: str) -> None:
    frame = bytearray(gw.codec("rlh", checksum=False).compress(ARRAYS["ternary"]))
    frame[offset] = value
    with pytest.raises(gw.UnsupportedFormatError, match=message):
        gw.decompress(frame)


def test_damage_is_not_mistaken_for_the_future() -> None:
    frame = bytearray(gw.compress(ARRAYS["ternary"]))
    frame[4] = 77
    with pytest.raises(gw.CorruptFrameError, match="checksum"):
        gw.decompress(frame)


@pytest.mark.parametrize("junk", [b"", b"\0", b"GW", b"PK\3\4" * 20, bytes(1000)])
def test_junk_raises(junk: bytes) -> None:
    with pytest.raises(gw.CorruptFrameError):
        gw.decompress(junk)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        # a raw bool array that holds a 2
        ("475701000100001201" + "0200" + "02000080" + "0102" + "00", "neither 0 nor 1"),
        # an empty chunk that says it is raw
        (
            "475701000200080201" + "08" + "00" + "04" + "02000000" + "00000080" + "000000",
            "chunk 1 has",
        ),
        # no element, in dimensions that no array can have: 2^62, 2^62, 0
        ("475701000100011203" + ("80" * 8 + "40") * 2 + "00" + "0000", r"2\^62 bytes"),
    ],
)
def test_frames_made_by_hand(frame: str, message: str) -> None:
    with pytest.raises(gw.CorruptFrameError, match=message):
        gw.decompress(bytes.fromhex(frame))


def test_bool_arrays_hold_bools() -> None:
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        gw.compress(np.array([0, 1, 2], np.uint8).view(np.bool_))


def test_damage_inside_a_whole_frame_is_not_truncation() -> None:
    levels = np.random.default_rng(1).integers(-2, 3, 3000).astype(np.int8)
    frame = bytearray(gw.Entropy(checksum=False).compress(levels))
    frame[17] ^= 1  # the size of the only stream
    with pytest.raises(gw.CorruptFrameError) as raised:
        gw.decompress(bytes(frame))
    assert not isinstance(raised.value, gw.TruncatedFrameError)
