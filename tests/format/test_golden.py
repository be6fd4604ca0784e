"""Frames that stay readable: the files in golden/ were written once and never change.

    PYTHONPATH=tests/support python tests/format/test_golden.py

writes the ones that are missing, for a new codec or a new case.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import reference

import gradwire as gw

FOLDER = Path(__file__).parent.parent / "golden"
MANIFEST = FOLDER / "manifest.json"


def cases() -> dict[str, np.ndarray]:
    """Arrays made without a random generator, whose numbers might change with NumPy."""
    i = np.arange(20_000, dtype=np.uint64)
    noise = (i * np.uint64(2654435761) >> np.uint64(16)) % np.uint64(1000)
    ternary = np.where(noise < 30, 1, np.where(noise < 55, -1, 0))
    laplace = np.where(noise < 500, 1, -1) * (np.log2(1 + noise % np.uint64(500)) * 3 - 20).round()
    kind = i // np.uint64(256) % np.uint64(4)
    blocks = np.select([kind == 0, kind == 1, kind == 2], [ternary, laplace, noise < 400])
    return {
        "ternary-int8": ternary.astype(np.int8)[:3000].reshape(3, 1000),
        "streams-int16": (laplace.astype(np.int64) % 23 - 9).astype(np.int16),
        "extremes-int64": np.array([-(2**63), 2**63 - 1, 0, 0, -1] * 30, np.int64),
        "wide-uint32": (laplace.astype(np.int64) ** 2 % 911 * 4_000_037 % 2**32).astype(np.uint32)[
            :4000
        ],
        "skewed-int16": np.tile(np.where(noise < 999, ternary, 7).astype(np.int16), 2),
        "classes-int16": blocks[:19_900].astype(np.int16),
        "bool": (noise[:999] < 100).reshape(27, 37),
        # forms of entropy: gaps, runs, differences, another codec, pairs
        "gaps-int32": np.where(noise < 950, 0, laplace * 1000).astype(np.int32)[:4000],
        "runs-int16": np.repeat(laplace.astype(np.int16)[:300], noise.astype(int)[:300] % 30 + 1),
        "sorted-int64": (np.cumsum(noise[:2000]) << np.uint64(20)).astype(np.int64),
        "far-int64": (noise[:6000] % np.uint64(300) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64),
        "eleven-uint8": (noise[:6000] % np.uint64(11)).astype(np.uint8),
        "wide-int64": (laplace[:2000] ** 5).astype(np.int64),
        "scalar-uint64": np.array(2**64 - 1, np.uint64),
        "empty-uint8": np.empty((0, 4), np.uint8),
    }


def entries() -> dict[str, dict]:
    return json.loads(MANIFEST.read_text())


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.mark.parametrize("name", entries() if MANIFEST.exists() else [])
def test_golden_frame(name: str) -> None:
    entry = entries()[name]
    frame = (FOLDER / name).read_bytes()
    assert hashlib.sha256(frame).hexdigest() == entry["frame_sha256"]
    for decode in (gw.decompress, reference.decode):
        array = decode(frame)
        assert (array.dtype.name, list(array.shape)) == (entry["dtype"], entry["shape"])
        assert digest(array) == entry["array_sha256"]
    info = gw.inspect(frame)
    assert (info.codec, info.code_length, info.nbytes) == (
        entry["codec"],
        entry["code_length"],
        entry["bytes"],
    )


GREW = {"extremes-int64.entropy.gw": 10}
"""Bytes more than golden frames have: bins of far values instead of a code book of huffman."""


@pytest.mark.parametrize("name", entries() if MANIFEST.exists() else [])
def test_frames_do_not_grow(name: str) -> None:
    """The encoder may find better frames, but not worse ones."""
    entry = entries()[name]
    array = gw.decompress((FOLDER / name).read_bytes())
    most = entry["bytes"] + GREW.get(name, 0)
    assert gw.compress(array, codec=entry["codec"]).nbytes <= most


def test_every_codec_and_case_has_a_golden_frame() -> None:
    assert set(entries()) == {f"{case}.{key}.gw" for case in cases() for key in gw.codecs()}
    assert {p.name for p in FOLDER.glob("*.gw")} == set(entries())


def main() -> None:
    """Writes what is missing."""
    manifest = entries() if MANIFEST.exists() else {}
    for case, array in cases().items():
        for key in gw.codecs():
            name = f"{case}.{key}.gw"
            if name in manifest:
                continue
            frame = gw.compress(array, codec=key)
            frame.tofile(FOLDER / name)
            manifest[name] = {
                "codec": key,
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "bytes": frame.nbytes,
                "code_length": gw.inspect(frame).code_length,
                "frame_sha256": hashlib.sha256(frame).hexdigest(),
                "array_sha256": digest(array),
            }
    MANIFEST.write_text(json.dumps(dict(sorted(manifest.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
