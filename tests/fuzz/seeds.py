"""Writes inputs with forms of entropy, from which the fuzzers start.

    python tests/fuzz/seeds.py FOLDER

makes a folder in FOLDER for each fuzzer whose inputs have forms.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import gradwire as gw

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def arrays() -> dict[str, np.ndarray]:
    """Small arrays that are coded in each of the forms."""
    rng = np.random.default_rng(1)
    sparse = (rng.random(400) < 0.1) * rng.integers(-(2**40), 2**40, 400)
    return {
        "bins": rng.laplace(0, 3000, 300).astype(np.int32),
        "steps": 12 * rng.laplace(0, 300, 300).astype(np.int16),
        "gaps": sparse,
        "gaps of bytes": (rng.random(900) < 0.01) * rng.integers(-9, 9, 900).astype(np.int8),
        "runs": np.repeat(rng.integers(0, 500, 30), rng.geometric(0.1, 30)).astype(np.uint16),
        "runs of bools": np.repeat([True, False] * 20, rng.geometric(0.05, 40)),
        "differences": np.cumsum(rng.geometric(0.02, 300)).astype(np.uint64),
        "differences of bytes": np.cumsum(rng.geometric(0.3, 900)).astype(np.uint8),
    }


def write(folder: Path) -> None:
    targets = ("fuzz_decompress", "fuzz_round_trip", "fuzz_shared_code_book", "fuzz_gradient")
    for target in targets:
        (folder / target).mkdir(parents=True, exist_ok=True)
    codec = gw.Entropy(checksum=False)
    for name, array in arrays().items():
        number, data = DTYPES.index(array.dtype.name), array.tobytes()
        book = codec.fit(array).code_book
        (folder / targets[0] / name).write_bytes(codec.compress(array).tobytes())
        for shared in (False, True):
            # This number modulo 7 is 6, entropy; elements are neither repeated nor changed.
            head = bytes([69 if shared else 6, 0, number, 0])
            (folder / targets[1] / f"{name}, shared {shared}").write_bytes(head + data)
        size = len(book).to_bytes(2, "little")
        (folder / targets[2] / name).write_bytes(size + book + data[:400])
    gradient = np.random.default_rng(2).laplace(size=300).astype(np.float32)
    for levels in (300, 30000):
        frame = gw.Compressor(gw.QSGD(levels, 64), codec).compress(gradient)
        (folder / targets[3] / f"levels {levels}").write_bytes(frame.tobytes())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
