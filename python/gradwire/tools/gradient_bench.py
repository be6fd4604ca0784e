"""Measures compressors on gradients: sizes, speeds, and break-even bandwidths."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradwire._floats import Float32Array, as_floats, to_float32
from gradwire._quantizer import Quantizer
from gradwire._sparsifier import Sparsifier
from gradwire.compressor import Compressor
from gradwire.gradient_frames import decompress_gradient, inspect_gradient
from gradwire.sparsifiers import (
    DGC,
    GaussianK,
    RandomK,
    RedSync,
    RedSyncTrimmed,
    SIDCoExponential,
    SIDCoGammaPareto,
    SIDCoPareto,
    TopK,
)
from gradwire.tools.progress import Progress
from gradwire.tools.tables import print_table

ROUNDS = 10
WARM_UP = 10  # calls before measuring, in which SIDCo adapts
FLOAT_BITS = 32
SPARSIFIERS: tuple[type[Sparsifier], ...] = (
    *(TopK, RandomK, DGC, GaussianK, RedSync, RedSyncTrimmed),
    *(SIDCoExponential, SIDCoGammaPareto, SIDCoPareto),
)
SPARSIFIER_COLUMNS = (
    *("method", "ratio", "compress s", "std", "ME/s"),
    *("decompress s", "std", "ME/s", "bits/element"),
)
COMPRESSOR_COLUMNS = (
    *("compressor", "bits/element", "x float32"),
    *("compress GE/s", "decompress-add GE/s", "break-even Gbit/s"),
)


def _seconds(
    compressor: Compressor, x: Float32Array, rounds: int, accumulate: bool
) -> tuple[Any, list[float], list[float]]:
    """The last frame, and the seconds of each compression and each decompression."""
    out = np.zeros_like(x)
    compress, decompress = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        frame = compressor.compress(x)
        middle = time.perf_counter()
        decompress_gradient(frame, out=out, accumulate=accumulate, threads=compressor.threads)
        compress.append(middle - begin)
        decompress.append(time.perf_counter() - middle)
    return frame, compress, decompress


def _sparsifier_row(
    kind: type[Sparsifier], x: Float32Array, ratio: float, threads: int
) -> list[str]:
    compressor = Compressor(kind(ratio), threads=threads)
    for _ in range(WARM_UP):
        compressor.compress(x)
    frame, *times = _seconds(compressor, x, ROUNDS, accumulate=False)
    row = [kind.__name__, f"{inspect_gradient(frame).sent / x.size:.6f}"]
    for seconds in times:
        mean = statistics.mean(seconds)
        row += [f"{mean:.6f}", f"{statistics.pstdev(seconds):.6f}", f"{x.size / mean / 1e6:.1f}"]
    return [*row, f"{8 * frame.nbytes / x.size:.4f}"]


def bench_sparsifiers(
    paths: Sequence[Path], megabytes: int | None, ratio: float, threads: int
) -> None:
    """Prints the columns of SIDCo's microbenchmark (MLSys 2021) for each sparsifier.

    Ratio is the achieved density; times are means and standard deviations over 10 rounds, from
    gradient to frame and back to a dense array; 1 ME/s is 1e6 elements per second.

    Args:
        paths: .npy files of floats.
        megabytes: size in MiB of a normally distributed float32 gradient to use without files.
        ratio: wanted density.
        threads: at most this many.

    Raises:
        ValueError: there is nothing to measure, or both ``paths`` and ``megabytes`` are given.
    """
    if paths and megabytes is not None:
        raise ValueError("got FILE.npy and --size MB; pass only one of them")
    sources = {path.name: to_float32(*as_floats(np.load(path))) for path in paths}
    if not sources:
        count = (megabytes or 0) * 2**20 // 4
        sources["normal"] = np.random.default_rng(0).standard_normal(count, np.float32)
    if any(x.size == 0 for x in sources.values()):
        raise ValueError("there is nothing to measure; pass .npy files of floats, or --size MB")
    with Progress("measuring", len(sources) * len(SPARSIFIERS)) as progress:
        for name, x in sources.items():
            rows = []
            for kind in SPARSIFIERS:
                rows.append(_sparsifier_row(kind, x, ratio, threads))
                progress.step(kind.__name__)
            title = f"{name}: {x.size} elements, wanted ratio {ratio:g}"
            print_table(title, SPARSIFIER_COLUMNS, rows)


def print_compressors(
    title: str,
    x: Float32Array,
    pipelines: Mapping[str, Callable[[], Quantizer | Sparsifier]],
    threads: int | None,
    rounds: int = ROUNDS,
) -> None:
    """Prints a table of compressors on one gradient; speeds are from median times."""
    rows = []
    for name, pipeline in pipelines.items():
        compressor = Compressor(pipeline(), threads=threads)
        frame, *times = _seconds(compressor, x, rounds, accumulate=True)
        compress, decompress = (statistics.median(seconds) for seconds in times)
        bits = 8 * frame.nbytes / x.size
        saved = (FLOAT_BITS - bits) * x.size
        rows.append(
            (
                name,
                f"{bits:.3f}",
                f"{FLOAT_BITS / bits:.1f}",
                f"{x.size / compress / 1e9:.2f}",
                f"{x.size / decompress / 1e9:.2f}",
                f"{saved / (compress + decompress) / 1e9:.1f}",
            )
        )
    print_table(title, COMPRESSOR_COLUMNS, rows)
