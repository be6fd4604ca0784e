"""Quantizers, and gradient frames made by hand, that several test files share."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import reference
import reference_gradients
from cases import KEYS

import gradwire as gw

QUANTIZERS = [
    gw.QSGD(4),
    gw.QSGD(127, bucket_size=100, norm="max", scale_dtype="float32"),
    gw.QSGD(1000),
    gw.QSGD(32767, bucket_size=100, norm="max", scale_dtype="float32"),
    gw.QSGD(1, bucket_size=None, scale_dtype="bfloat16"),
    gw.TernGrad(),
    gw.TernGrad(clip=1.0, bucket_size=64, scale_dtype="log8"),
    gw.Uniform(2),
    gw.Uniform(8, bucket_size=None, stochastic=True),
    gw.Uniform(9, bucket_size=64),
    gw.Uniform(16, bucket_size=None, stochastic=True, scale_dtype="bfloat16"),
    gw.SignSGD(),
    gw.EFSignSGD(),
    gw.EFSignSGD(bucket_size=33),
    gw.OneBit(),
    gw.OneBit(bucket_size=None, scale_dtype="float32"),
    gw.Natural(),
]


def bfloat16(x: np.ndarray) -> object:
    """A torch tensor of the higher halves of float32."""
    torch = pytest.importorskip("torch", reason="NumPy has no bfloat16, and PyTorch is missing")
    halves = (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return torch.from_numpy(halves.view(np.int16)).view(torch.bfloat16)


def as_returned(decoded: np.ndarray) -> np.ndarray:
    """What gradwire returns where the reference decodes this: bfloat16 as float32."""
    if decoded.dtype == np.uint16:
        return reference_gradients.to_float32(decoded)
    return decoded


def assert_same_bits(decoded: np.ndarray, wanted: np.ndarray) -> None:
    assert (decoded.dtype, decoded.shape) == (wanted.dtype, wanted.shape)
    assert decoded.tobytes() == wanted.tobytes()


def varint(n: int) -> bytes:
    groups = []
    while n >= 0x80:
        groups.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*groups, n])


def by_hand(
    method: int, parameters: bytes, *parts: bytes, shape: tuple[int, ...] = (4,), kind: int = 0
) -> bytes:
    frame = b"GF\1\1" + bytes([method, kind, len(shape)]) + b"".join(map(varint, shape))
    frame += parameters + b"".join(varint(len(part)) for part in parts)
    return frame + struct.pack("<I", reference.crc32c(frame)) + b"".join(parts)


def integers(values: list[int], dtype: str = "uint8", key: str = "huffman") -> bytes:
    return gw.compress(np.array(values, dtype), codec=key).tobytes()


def small_frames(checksum: bool) -> dict[str, bytes]:
    """A frame of each kind, by name."""
    x = np.random.default_rng(11).laplace(size=100).astype(np.float32)
    dense = x.copy()
    x[::3] = 0
    pipelines = {
        "levels": gw.QSGD(4, 8),
        "levels, float32": gw.QSGD(4, 8, scale_dtype="float32"),
        "levels, few scales": gw.TernGrad(bucket_size=40),
        "signs": gw.SignSGD(),
        "signs, pairs of scales": gw.OneBit(10),
        "ternary signs": gw.SignSGD(),
        "ternary signs, pairs of scales": gw.OneBit(10),
        "ternary signs, a scale": gw.EFSignSGD(),
        "powers": gw.Natural(),
        "planes": gw.Lossless(),
        "sparse": gw.TopK(0.2, values="bfloat16"),
        "sparse levels": gw.TopK(0.3, values=gw.QSGD(4, 2)),
        "random": gw.RandomK(0.1),
        "wide levels": gw.QSGD(1000, 8),
        "wide levels, few scales": gw.Uniform(16, None),
    }
    gradients = {"planes": x[:20], "signs": dense, "signs, pairs of scales": dense}
    return {
        name: gw.Compressor(pipeline, gw.codec(KEYS[i % len(KEYS)], checksum=checksum))
        .compress(gradients.get(name, x))
        .tobytes()
        for i, (name, pipeline) in enumerate(pipelines.items())
    }
