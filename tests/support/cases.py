"""Arrays of integers that several test files share."""

from __future__ import annotations

import numpy as np

import gradwire as gw

KEYS = sorted(gw.codecs())
DTYPES = [
    np.dtype(name)
    for name in ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
]


def ternary(count: int, zeros: float = 0.95, seed: int = 0) -> np.ndarray:
    """Independent -1, 0 and 1."""
    rng = np.random.default_rng(seed)
    p = [(1 - zeros) / 2, zeros, (1 - zeros) / 2]
    return rng.choice(np.array([-1, 0, 1], np.int8), size=count, p=p)


def corner_cases() -> dict[str, np.ndarray]:
    """Arrays that are easy to get wrong."""
    rng = np.random.default_rng(1)
    ramp = np.arange(-128, 128, dtype=np.int8)
    extremes = np.array([-(2**63), 2**63 - 1, 0, -1, 1], np.int64)
    return {
        "empty": np.empty((0, 3), np.int16),
        "scalar": np.array(7, np.uint32),
        "one": np.array([-1], np.int8),
        "one big": np.array([2**64 - 1], np.uint64),
        "constant": np.full(1000, 3, np.int8),
        "zeros past a chunk": np.zeros(600_000, np.int16),
        "all bytes": ramp,
        "all bytes, skewed": np.repeat(ramp, np.arange(256) ** 2 % 97 + 1),
        "alternating": np.tile(np.array([0, 1], np.uint8), 20_000),
        "extremes of int64": np.repeat(extremes, [100, 200, 3000, 5, 1]),
        "extremes of uint64": np.repeat(extremes.view(np.uint64), [1, 20, 3000, 5, 1]),
        "all different int32": rng.permutation(3000).astype(np.int32) * 700_001,
        "ternary": ternary(1000),
        "ternary, several chunks": ternary(700_000),
        "skewed": np.rint(rng.laplace(0, 0.5, 270_001)).astype(np.int8),
        "skewed int32": np.rint(rng.laplace(0, 0.4, 40_000)).astype(np.int32) - 77_777,
        "sparse": ternary(600_000, 0.9995),
        "dense": np.clip(np.rint(rng.normal(0, 20, 300_000)), -128, 127).astype(np.int8),
        "wide alphabet": np.rint(rng.laplace(0, 300, 40_000)).astype(np.int32),
        "narrow int64": np.rint(rng.laplace(0, 3, 40_000)).astype(np.int64) - 10**15,
        "half constant": np.concatenate(
            (np.zeros(300_000, np.int8), rng.integers(-128, 128, 300_000).astype(np.int8))
        ),
        "run over chunk borders": np.repeat(np.array([1, 0, 2], np.int8), [262_000, 600_000, 5]),
    }


CORNER_CASES = corner_cases()
