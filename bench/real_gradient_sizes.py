"""Bits of whole frames of real gradients, relative to the order-0 entropy of their levels.

    python bench/capture.py FOLDER && python bench/real_gradient_sizes.py FOLDER

For each captured gradient and for QSGD (4, 16 and 127 levels), TernGrad and Natural: the entropy
H0 in bits per element, each codec's bits relative to it, and the speed of `entropy` on one thread
through Python, in GB of levels per second (medians): encoding, with classes and code books that
were fitted to the same levels before, as in later steps of a training run, and decoding.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

import gradwire as gw
from gradwire.tools.progress import Progress
from gradwire.tools.tables import print_table

CODECS = ("entropy", "rlh", "shs", "elias", "huffman", "sh", "rle")
SECONDS = 0.4  # of each measurement, or FEWEST rounds
FEWEST = 9


QUANTIZERS = {
    "QSGD(4)": gw.QSGD(4),
    "QSGD(16)": gw.QSGD(16),
    "QSGD(127)": gw.QSGD(127),
    "TernGrad": gw.TernGrad(),
    "Natural": gw.Natural(),
}


def speeds(levels: np.ndarray) -> tuple[float, float, float]:
    """GB/s of compressing, the same with a fitted code book, and of decompressing."""
    frame = np.empty(gw.max_compressed_size(levels), np.uint8)
    out = np.empty_like(levels)
    codec = gw.Entropy(threads=1)
    fitted = codec.fit(levels)
    seconds: list[list[float]] = [[], [], []]
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(seconds[0]) < FEWEST:
        begin = time.perf_counter()
        gw.compress_into(levels, frame, codec=fitted)
        middle = time.perf_counter()
        size = gw.compress_into(levels, frame, codec=codec)
        last = time.perf_counter()
        gw.decompress_into(frame[:size], out, threads=1)
        times = (last - middle, middle - begin, time.perf_counter() - last)
        for kept, took in zip(seconds, times):
            kept.append(took)
    assert np.array_equal(out, levels)
    encode, again, decode = (levels.nbytes / 1e9 / statistics.median(s) for s in seconds)
    return encode, again, decode


def row(gradient_name: str, quantizer: str, gradient: np.ndarray) -> list[str]:
    """A line of the table."""
    levels = QUANTIZERS[quantizer].quantize(gradient)[0].reshape(-1)
    bound = gw.shannon_entropy(levels) * levels.size
    shares = [8 * gw.compress(levels, codec=key).nbytes / bound for key in CODECS]
    return [
        f"{gradient_name} {quantizer}",
        f"{bound / levels.size:.3f}",
        *(f"{share:.3f}" for share in shares),
        *(f"{speed:.2f}" for speed in speeds(levels)),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.npy"))
    if not files:
        parser.error(f"{options.folder} has no *.npy files; make them with bench/capture.py")
    rows = []
    with Progress("measuring", len(files)) as progress:
        for path in files:
            gradient = np.load(path)
            rows += [row(path.stem, name, gradient) for name in QUANTIZERS]
            progress.step(path.name)
    heads = ["gradient", "H0", *CODECS, "encode GB/s", "fitted", "decode GB/s"]
    print_table("Bits of whole frames relative to H0", heads, rows)


if __name__ == "__main__":
    main()
