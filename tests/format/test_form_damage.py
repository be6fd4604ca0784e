"""Damaged frames and code books of entropy with forms."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from cases import ternary
from form_writer import (
    BitString,
    bins,
    blocks,
    differences,
    few_bytes,
    few_bytes_sequence,
    fields,
    forms_frame,
    gaps,
    one_byte,
    runs,
    token_book,
)
from gradient_cases import varint
from reference_parts import FormatError
from two_decoders import decoded

import gradwire as gw
from gradwire import _core


def test_chunks_that_differ_bring_their_own_code_books() -> None:
    rng = np.random.default_rng(1)
    size = 2**18
    array = np.concatenate(
        [
            rng.laplace(0, 3000, size),
            np.repeat(rng.integers(0, 9, size // 64), 64),
            np.cumsum(rng.geometric(0.1, size)),
            (rng.random(size) < 0.01) * rng.integers(-(2**31), 2**31, size),
        ]
    ).astype(np.int32)
    frame = gw.codec("entropy", checksum=False).compress(array).tobytes()
    assert frame[5] == 2 and frame[7] == 18
    at = 9 + len(varint(array.size))
    source = reference.Bytes(frame)
    source.take(at)
    source.varint()
    sizes = [source.number(4) for _ in range(4)]
    first = source.at
    own = [frame[first + sum(sizes[:i])] != 0 for i in range(4)]
    assert any(own)
    assert np.array_equal(gw.decompress(frame), array)
    assert np.array_equal(reference.decode(frame), array)


def test_code_books_for_other_arrays_hold_every_element() -> None:
    """Few values spread widely, and multiples of 3, were fitted with bins past the dtype once."""
    rng = np.random.default_rng(2)
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        info = np.iinfo(dtype)
        for size in (1, 9, 22, 64, 110):
            for factor in (1, 3, 16):
                sample = rng.integers(info.min, info.max, size, dtype=dtype, endpoint=True)
                sample = (sample // factor * factor).astype(dtype)
                codec = gw.Entropy().fit(sample)
                wide = rng.integers(info.min, info.max, 5000, dtype=dtype, endpoint=True)
                for array in (wide, np.tile(sample, 300)):
                    assert np.array_equal(gw.decompress(codec.compress(array)), array)


def small_frames() -> dict[str, bytes]:
    symbols = few_bytes("uint8", 2)
    f = [(3, 4), (-5, 32), (9, 4), (1, 4)]
    escaped = bins("int32", symbols, center=-50, step=3, wide=[(-20, 4)], singles=[5, 77], escape=1)
    classes = blocks(
        "int16",
        token_book([(1, 1), (0, 1)]),
        token_book([(1, 1), (2, 1), (1, 2), (0, 4)], [1, 2, 3, 3]),
        smallest=2**15,
        background=3,
        exceptions=True,
    )
    exceptions = BitString().omega(2, 5).field(77, 16).omega(250).field(-1, 16).bytes()
    labels = token_book([(0, 1), (1, 1)])
    tokens = BitString().field(0, 10).field(0b11101101, 8).bytes()
    payload = varint(len(labels)) + labels + b"\1\2"
    payload += varint(32) + bytes(32) + varint(len(tokens)) + tokens
    payload += varint(len(exceptions)) + exceptions
    few = few_bytes("uint32", 3)
    return {
        "classes": forms_frame("int16", 300, classes, payload),
        "bins": forms_frame(
            "int32", 6, escaped, few_bytes_sequence([0, 3, 1, 0, 2, 0], 2) + fields(*f)
        ),
        "gaps": forms_frame(
            "int32",
            20,
            gaps("int32", 7, few, few_bytes("int32", 1)),
            b"\3" + few_bytes_sequence([7, 2, 3], 3) + few_bytes_sequence([0, 1, 1], 1),
        ),
        "runs": forms_frame(
            "uint16",
            20,
            runs(few, few_bytes("uint16", 1)),
            b"\4" + few_bytes_sequence([7, 7, 1, 1], 3) + few_bytes_sequence([0, 1, 1, 0], 1),
        ),
        "differences": forms_frame(
            "int64", 20, differences(few_bytes("int64", 4)), few_bytes_sequence([3, 1] * 10, 4)
        ),
        "nested": forms_frame(
            "int32",
            30,
            gaps("int32", 5, few, runs(few, differences(escaped))),
            b"\6"
            + few_bytes_sequence([3, 0, 1, 5, 2, 7], 3)
            + b"\2"
            + few_bytes_sequence([1, 3], 3)
            + few_bytes_sequence([0, 1], 2)
            + fields((4, 4)),
        ),
        "pairs": forms_frame(
            "uint8", 7, b"\6\3" + few_bytes("uint8", 4), few_bytes_sequence([0, 4, 8, 2], 4)
        ),
        "own code book": forms_frame(
            "int32",
            30,
            one_byte("int32", 3),
            b"",
            few_bytes_sequence([4] * 14, 3),
            log_chunk=4,
            own=[b"", few_bytes("int32", 3)],
        ),
    }


@pytest.mark.parametrize("name", small_frames())
def test_damage_of_every_byte(name: str) -> None:
    frame = small_frames()[name]
    assert decoded(frame) is not None
    outcomes = [0, 0]
    for place in range(10, len(frame)):  # the rest is the header, see test_hostile.py
        for change in (*(1 << bit for bit in range(8)), 0xFF, frame[place]):
            damaged = bytearray(frame)
            damaged[place] ^= change
            outcomes[decoded(bytes(damaged)) is None] += 1
    assert min(outcomes) > 0


@pytest.mark.parametrize("name", small_frames())
def test_every_prefix(name: str) -> None:
    frame = small_frames()[name]
    for size in range(len(frame)):
        assert decoded(frame[:size]) is None


def fitted_frames() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    arrays = {
        "wide": rng.laplace(0, 3000, 300).astype(np.int32),
        "sparse": (rng.random(400) < 0.1) * rng.integers(-(2**40), 2**40, 400),
        "runs": np.repeat(rng.integers(0, 500, 30), rng.geometric(0.1, 30)).astype(np.uint16),
        "sorted": np.cumsum(rng.geometric(0.02, 300)).astype(np.uint64),
        "steps": 12 * rng.laplace(0, 300, 300).astype(np.int16),
    }
    far = rng.integers(-(2**62), 2**62, 140)
    arrays["another codec"] = far[rng.integers(0, far.size, 1000)]
    codec = gw.codec("entropy", checksum=False)
    return {name: codec.compress(array).tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("name", fitted_frames())
def test_damage_of_frames_that_encoders_write(name: str) -> None:
    frame = fitted_frames()[name]
    assert frame[5] == 2 and decoded(frame) is not None
    rng = np.random.default_rng(4)
    outcomes = [0, 0]
    for _ in range(700):
        damaged = bytearray(frame)
        for _ in range(rng.integers(1, 3)):
            damaged[rng.integers(11, len(frame))] ^= 1 << rng.integers(8)
        outcomes[decoded(bytes(damaged)) is None] += 1
    assert min(outcomes) > 0


# Shared code books of version 2


def samples() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "wide": rng.laplace(0, 3000, 4000).astype(np.int32),
        "sparse": ((rng.random(6000) < 0.1) * rng.integers(-(2**40), 2**40, 6000)),
        "runs": np.repeat(rng.integers(0, 500, 300), rng.geometric(0.1, 300)).astype(np.uint16),
        "sorted": np.cumsum(rng.geometric(0.02, 3000)).astype(np.uint64),
        "steps": 12 * rng.laplace(0, 300, 300).astype(np.int16),
        "few wide values": rng.integers(-(2**15), 2**15, 9).astype(np.int16),
    }


@pytest.mark.parametrize("name", samples())
def test_shared_code_books(name: str) -> None:
    sample = samples()[name]
    codec = gw.Entropy(checksum=False).fit(sample)
    other = np.concatenate([sample[::-1], np.arange(50).astype(sample.dtype)])[:2000]
    frame = codec.compress(other).tobytes()
    shared = reference.read_shared_book(codec.code_book)
    assert np.array_equal(gw.decompress(frame), other)
    assert np.array_equal(reference.decode(frame, shared), other)


@pytest.mark.parametrize("layout", [0, 2])
def test_frames_have_the_layout_and_dtype_of_their_shared_code_book(layout: int) -> None:
    sample = samples()["wide"] if layout else ternary(3000)
    codec = gw.Entropy(checksum=False).fit(sample)
    frame = bytearray(codec.compress(sample))
    assert gw.inspect(frame).shared_code_book and frame[5] == layout
    shared = reference.read_shared_book(codec.code_book)
    assert np.array_equal(reference.decode(bytes(frame), shared), sample)
    for place, value in ((5, 2 - layout), (6, frame[6] + 4)):  # the latter: unsigned
        other = frame.copy()
        other[place] = value
        with pytest.raises(gw.CorruptFrameError, match="another dtype or layout"):
            gw.decompress(other)
        with pytest.raises(gw.CorruptFrameError, match="another dtype or layout"):
            _core.code_words(np.frombuffer(other, np.uint8))
        if place == 5:
            with pytest.raises(FormatError):
                reference.decode(bytes(other), shared)


@pytest.mark.parametrize("name", samples())
def test_damaged_shared_code_books_code_arrays_or_are_refused(name: str) -> None:
    sample = samples()[name]
    book = gw.Entropy().fit(sample).code_book
    assert book[2] == 2
    info = np.iinfo(sample.dtype)
    rng = np.random.default_rng(6)
    wide = rng.integers(info.min, info.max, 700, dtype=sample.dtype, endpoint=True)
    arrays = (np.concatenate([wide, sample[:300]]), np.tile(sample[:40], 40))
    for size in range(len(book)):
        with pytest.raises(gw.Error):
            gw.Entropy(code_book=book[:size])
    outcomes = [0, 0]
    bits = rng.permutation(8 * len(book))[:1500]
    for bit in bits:
        changed = bytearray(book)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            codec = gw.Entropy(code_book=bytes(changed))
        except gw.Error:
            outcomes[1] += 1
            continue
        outcomes[0] += 1
        for array in arrays:
            assert np.array_equal(codec.decompress(codec.compress(array)), array)
    assert min(outcomes) > 0


def shared_book(dtype: str, form: bytes, *costs: bytes) -> bytes:
    number = reference.DTYPES.index(dtype)
    return b"GB\2" + bytes([number, 2]) + varint(len(form)) + form + b"".join(costs)


def test_shared_code_books_by_hand() -> None:
    every = token_book([(byte, 1) for byte in range(256)])
    symbols = blocks("uint8", every, exceptions=True)
    signs, groups = bytes(5), b"\1" + bytes([128, 255, 0, 0, 1, 2, 127]) + bytes(9)

    def load(form: bytes, *costs: bytes, dtype: str = "int8") -> gw.Entropy:
        return gw.Entropy(code_book=shared_book(dtype, form, *costs))

    good = bins("int8", symbols, wide=[(0, 5)], escape=True)
    rng = np.random.default_rng(7)
    array = np.tile(rng.integers(0, 4, 900), 3).astype(np.int8)
    array[::31] = -5
    for costs in (signs, groups):
        codec = load(good, costs)
        assert np.array_equal(gw.decompress(codec.compress(array)), array)
    bad = {
        "lack an escape": (bins("int8", symbols, wide=[(0, 5)]), signs),
        "lacks exceptions": (bins("int8", few_bytes("uint8", 8), escape=True), signs),
        "lacks tokens": (
            bins("int8", blocks("uint8", token_book([(0, 1)]), exceptions=True), escape=True),
            signs,
        ),
        "not in the form": (bins("int8", symbols, wide=[(0, 63)], escape=True), signs),
        "invalid cost": (good, b"\0" + varint(4097) + bytes(3)),
        "do not ascend": (good, b"\1" + bytes([1, 0, 0, 0, 0, 0, 0]) + bytes(9)),
        "unknown kind of classes": (good, b"\2" + bytes(4)),
        "extra bytes": (good, signs, b"\0"),
        "differences of bools": (differences(symbols), signs),
    }
    for message, (form, *costs) in bad.items():
        dtype = "bool" if "bools" in message else "int8"
        with pytest.raises(gw.CorruptFrameError, match=message):
            load(form, *costs, dtype=dtype)
    many = bins("int32", symbols, singles=range(255), escape=True)
    with pytest.raises(gw.CorruptFrameError, match="not in the form"):
        load(many, signs, dtype="int32")
    with pytest.raises(gw.CorruptFrameError, match="not in the form"):
        load(symbols, signs, dtype="uint8")  # blocks alone have the layout 0
