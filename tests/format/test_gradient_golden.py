"""Golden gradient frames: old ones stay readable.

    PYTHONPATH=tests/support python tests/format/test_gradient_golden.py

writes the files of golden/gradients/ that are missing, for a new method or a new case.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import reference_gradients
from gradient_cases import as_returned, bfloat16

import gradwire as gw

FOLDER = Path(__file__).parent.parent / "golden" / "gradients"
MANIFEST = FOLDER / "manifest.json"
NO_LONGER_MADE = {
    # of gradients with zeros, which were sent as 1 before there were ternary signs
    *("signs", "signs-float32", "signs-pairs-log8"),
    # larger than those with the forms that encoders choose now
    *("ternary-signs-float32", "sparse", "planes-float64"),
}


def golden_cases() -> dict[str, tuple[object, str, np.ndarray]]:
    """Pipelines, codecs and gradients; the latter from integers times powers of two."""
    i = np.arange(600, dtype=np.uint64)
    noise = (i * np.uint64(2654435761) >> np.uint64(16)) % np.uint64(1021)
    peaked = (noise.astype(np.int64) - 510) ** 3 // 4096  # within 2^15, many of them small
    x = (peaked / 2.0**20 * 2.0 ** (i // np.uint64(100))).astype(np.float32)
    sparse = np.where(noise < 900, 0, x).astype(np.float32)
    dense = np.where(x == 0, np.float32(2.0**-10), x)
    return {
        "levels-log8": (gw.QSGD(4, 32), "entropy", x),
        "levels-float32": (gw.QSGD(16, 30, norm="max", scale_dtype="float32"), "huffman", x),
        "levels-bfloat16": (gw.Uniform(8, 64, scale_dtype="bfloat16"), "sh", x.reshape(2, 3, 100)),
        "levels-few-scales": (gw.TernGrad(), "rlh", sparse.astype(np.float64)),
        "wide-levels-log8": (gw.QSGD(1000, 32), "huffman", x),
        "wide-levels-float32": (gw.QSGD(128, 30, norm="max", scale_dtype="float32"), "sh", x),
        "wide-levels-bfloat16": (gw.Uniform(16, 64, scale_dtype="bfloat16"), "elias", x[:300]),
        "wide-levels-few-scales": (gw.Uniform(9, None), "rlh", sparse.astype(np.float64)),
        "levels-empty": (gw.QSGD(4), "elias", x[:0].reshape(0, 3)),
        "signs-dense": (gw.SignSGD(), "rle", dense.astype(np.float16)),
        "signs-dense-float32": (gw.EFSignSGD(50), "entropy", dense),
        "signs-dense-pairs": (gw.OneBit(64, "float32"), "shs", dense.reshape(20, 30)),
        "ternary-signs": (gw.SignSGD(), "rle", x.astype(np.float16)),
        "ternary-signs-forms": (gw.EFSignSGD(50), "entropy", sparse),
        "ternary-signs-pairs-log8": (gw.OneBit(64), "shs", x.reshape(20, 30)),
        "ternary-signs-zeros": (gw.EFSignSGD(), "huffman", 0 * x),
        "powers": (gw.Natural(), "entropy", x),
        "planes-float32": (gw.Lossless(), "entropy", x[:100]),
        "planes-float16": (gw.Lossless(), "huffman", x[:100].astype(np.float16)),
        "planes-float64-blocks": (gw.Lossless(), "elias", x[:50].astype(np.float64)),
        "planes-bfloat16": (gw.Lossless(), "entropy", x[:100]),
        "planes-scalar": (gw.Lossless(), "sh", x[7].reshape(())),
        "sparse-forms": (gw.TopK(0.1), "entropy", x.reshape(3, 200)),
        "sparse-levels": (gw.Threshold(threshold=2.0**-8, values=gw.QSGD(4, 8)), "rlh", sparse),
        "random": (gw.RandomK(0.1, values="bfloat16", seed=5), "entropy", x),
        "random-powers": (gw.RandomK(0.25, values=gw.Natural()), "huffman", x.astype(np.float64)),
    }


def golden_frame(name: str) -> np.ndarray:
    pipeline, key, x = golden_cases()[name]
    return gw.Compressor(pipeline, key).compress(bfloat16(x) if name == "planes-bfloat16" else x)


def entries() -> dict[str, dict]:
    return json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}


def digest(data: np.ndarray) -> str:
    return hashlib.sha256(data.tobytes()).hexdigest()


def description(frame: np.ndarray, decoded: np.ndarray) -> dict:
    info = gw.inspect_gradient(frame)
    return {
        "method": info.method,
        "dtype": info.dtype,
        "decoded_dtype": decoded.dtype.name,
        "shape": list(decoded.shape),
        "sent": info.sent,
        "bytes": frame.nbytes,
        "frame_sha256": digest(frame),
        "decoded_sha256": digest(decoded),
    }


@pytest.mark.parametrize("name", entries())
def test_golden_frame(name: str) -> None:
    frame = np.fromfile(FOLDER / name, np.uint8)
    for decoded in (
        gw.decompress_gradient(frame),
        as_returned(reference_gradients.decode(frame.tobytes())),
    ):
        assert description(frame, decoded) == entries()[name]


@pytest.mark.parametrize("name", golden_cases())
def test_compressors_still_make_the_golden_frames(name: str) -> None:
    assert digest(golden_frame(name)) == entries()[f"{name}.gf"]["frame_sha256"]


def test_every_case_has_a_golden_frame() -> None:
    assert set(entries()) == {f"{name}.gf" for name in {*golden_cases(), *NO_LONGER_MADE}}
    assert {p.name for p in FOLDER.glob("*.gf")} == set(entries())
    methods = {entry["method"] for entry in entries().values()}
    assert methods == set(reference_gradients.METHODS)


def main() -> None:
    """Writes what is missing."""
    FOLDER.mkdir(exist_ok=True)
    manifest = entries()
    for case in golden_cases():
        name = f"{case}.gf"
        if name not in manifest:
            frame = golden_frame(case)
            frame.tofile(FOLDER / name)
            manifest[name] = description(frame, gw.decompress_gradient(frame))
    MANIFEST.write_text(json.dumps(dict(sorted(manifest.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
