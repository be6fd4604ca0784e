"""Makes the six synthetic data sets of the benchmarks: int8 symbols, independent after quantizing.

    python bench/datasets.py DIR [--mib 64]

writes DIR/qsgd4.i8, qsgd127.i8, tern95.i8, tern995.i8, gauss20.i8 and geo64.i8 and prints a
table of what they hold. The same seed and size always give the same bytes.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

BUCKET = 512
PIECE = 1 << 22
Generator = np.random.Generator


def qsgd(rng: Generator, count: int, levels: int) -> np.ndarray:
    """Laplace gradients, QSGD with an l2 norm per bucket and stochastic rounding."""
    buckets = -(-count // BUCKET)
    sign = np.where(rng.random((buckets, BUCKET), np.float32) < 0.5, -1, 1)
    x = rng.standard_exponential((buckets, BUCKET), np.float32)
    scaled = x / np.sqrt((x * x).sum(1, keepdims=True)) * levels
    level = np.floor(scaled)
    level += rng.random(scaled.shape, np.float32) < scaled - level
    return (sign * level).astype(np.int8).reshape(-1)[:count]


def ternary(rng: Generator, count: int, zeros: float) -> np.ndarray:
    """-1, 0 and 1, both signs alike."""
    u = rng.random(count)
    return np.where(u < zeros, 0, np.where(u < (1 + zeros) / 2, 1, -1)).astype(np.int8)


def gauss(rng: Generator, count: int, deviation: float) -> np.ndarray:
    """Rounded normal numbers, clipped to int8."""
    x = np.rint(rng.standard_normal(count, np.float32) * deviation)
    return np.clip(x, -128, 127).astype(np.int8)


def geometric(rng: Generator, count: int, states: int, factor: float) -> np.ndarray:
    """States whose probability falls by a factor from one to the next."""
    p = factor ** np.arange(states) + 2e-6
    cumulated = np.cumsum(p / p.sum())
    cumulated[-1] = 2
    return np.searchsorted(cumulated, rng.random(count), side="right").astype(np.int8)


DATA_SETS: dict[str, Callable[[Generator, int], np.ndarray]] = {
    "qsgd4": lambda rng, n: qsgd(rng, n, 4),
    "qsgd127": lambda rng, n: qsgd(rng, n, 127),
    "tern95": lambda rng, n: ternary(rng, n, 0.95),
    "tern995": lambda rng, n: ternary(rng, n, 0.995),
    "gauss20": lambda rng, n: gauss(rng, n, 20),
    "geo64": lambda rng, n: geometric(rng, n, 64, 0.615),
}


def make(name: str, count: int) -> np.ndarray:
    """The first ``count`` symbols of a data set."""
    rng = np.random.default_rng(sorted(DATA_SETS).index(name))
    sizes = [PIECE] * (count // PIECE) + [count % PIECE]
    pieces = [DATA_SETS[name](rng, size) for size in sizes if size]
    return np.concatenate(pieces) if pieces else np.empty(0, np.int8)


def huffman_bits(counts: np.ndarray) -> float:
    """Mean length of an optimal prefix code for these counts, in bits."""
    heap = [int(c) for c in counts if c]
    heapq.heapify(heap)
    bits = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        bits += merged
        heapq.heappush(heap, merged)
    return bits / float(counts.sum())


def rows(folder: Path, count: int) -> Iterator[str]:
    """Writes the files that are missing; describes each."""
    yield f"{'name':8} {'distinct':>8} {'P(0)':>6} {'entropy':>8} {'Huffman':>8}"
    for name in DATA_SETS:
        path = folder / f"{name}.i8"
        if not path.exists() or path.stat().st_size != count:
            make(name, count).tofile(path)
        counts = np.bincount(np.fromfile(path, np.uint8), minlength=256)
        p = counts[counts > 0] / count
        entropy = -(p * np.log2(p)).sum()
        yield (
            f"{name:8} {p.size:8} {counts[0] / count:6.3f} {entropy:8.3f} "
            f"{huffman_bits(counts):8.3f}"
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mib", type=float, default=64, help="size of each file (default 64)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for row in rows(options.folder, int(options.mib * 2**20)):
        print(row, flush=True)


if __name__ == "__main__":
    main()
