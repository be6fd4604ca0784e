"""Memory that is written must not be the memory that is read."""

from __future__ import annotations

import numpy as np
import pytest

import gradwire as gw

FRAME = gw.compress(np.arange(300, dtype=np.int8)).copy()
GRADIENT_FRAME = gw.Compressor(gw.QSGD(4)).compress(np.ones(1000, np.float32)).copy()


def inside(frame: np.ndarray, nbytes: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame at the end of memory for ``nbytes``, and that memory."""
    memory = np.zeros(max(nbytes, frame.size) + 8, np.uint8)
    place = memory.size - frame.size
    memory[place:] = frame
    return memory[place:], memory[:nbytes]


def test_frames_of_integers() -> None:
    frame, memory = inside(FRAME, 300)
    out = memory.view(np.int8)
    for call in (
        lambda: gw.decompress(frame, out=out),
        lambda: gw.decompress_into(frame, out),
        lambda: gw.decompress_into(frame, out, accumulate=True),
        lambda: gw.Huffman().decompress(frame, out=out),
        lambda: gw.decompress_into(bytearray(FRAME), bytearray(300)) or gw.decompress(frame, out),
    ):
        with pytest.raises(ValueError, match="out overlaps the frame; pass a separate buffer"):
            call()
    assert np.array_equal(frame, FRAME)


def test_frames_of_gradients() -> None:
    frame, memory = inside(GRADIENT_FRAME, 4000)
    out = memory.view(np.float32)
    for accumulate in (False, True):
        with pytest.raises(ValueError, match="out overlaps the frame"):
            gw.decompress_gradient(frame, out, accumulate=accumulate)
    for frames in ([frame, GRADIENT_FRAME], [GRADIENT_FRAME, frame]):
        with pytest.raises(ValueError, match="out overlaps one of the frames"):
            gw.decompress_sum(frames, out)
    lossless = gw.Compressor(gw.Lossless()).compress(np.ones(1000, np.float32))
    frame, memory = inside(lossless, 4000)
    with pytest.raises(ValueError, match="out overlaps the frame"):
        gw.decompress_gradient(frame, memory.view(np.float32))


def test_buffers_to_compress_into() -> None:
    q = np.zeros(1000, np.int8)
    with pytest.raises(ValueError, match="buffer overlaps q; pass a separate buffer"):
        gw.compress_into(q, q)
    memory = np.zeros(5000, np.uint8)
    with pytest.raises(ValueError, match="buffer overlaps q"):
        gw.compress_into(memory[2000:3000], memory[:2001])
    assert gw.compress_into(memory[2000:3000], memory[:2000]) > 0


def test_memory_side_by_side_is_taken() -> None:
    memory = np.zeros(FRAME.size + 300, np.uint8)
    memory[: FRAME.size] = FRAME
    frame, out = memory[: FRAME.size], memory[FRAME.size :].view(np.int8)
    assert np.array_equal(gw.decompress(frame, out=out), np.arange(300).astype(np.int8))
