"""Measures compressors on gradients: sizes, speeds, and break-even bandwidths."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradwire._floats import Float32Array, as_floats, to_float32
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
from gradwire.tools.pipelines import parse_pipeline
from gradwire.tools.progress import Progress
from gradwire.tools.read_array import read_array
from gradwire.tools.tables import print_table

ROUNDS = 10
WARM_UP = 10  # calls before measuring, in which SIDCo adapts
FLOAT_BITS = 32
FLOAT_BYTES = 4
SPARSIFIERS: tuple[type[Sparsifier], ...] = (
    *(TopK, RandomK, DGC, GaussianK, RedSync, RedSyncTrimmed),
    *(SIDCoExponential, SIDCoGammaPareto, SIDCoPareto),
)
SPARSIFIER_COLUMNS = (
    *("method", "ratio", "bits/element", "compress s", "std", "GB/s"),
    *("decompress s", "std", "GB/s"),
)
COMPRESSOR_COLUMNS = (
    *("compressor", "bits/element", "x float32"),
    *("compress GB/s", "decompress-add GB/s", "break-even Gbit/s"),
)


@dataclass(frozen=True)
class SparsifierMeasurement:
    """One sparsifier on one gradient. A GB is 1e9 bytes of float32."""

    method: str
    ratio: float
    bits_per_element: float
    frame_bytes: int
    compress_seconds: float
    compress_seconds_deviation: float
    compress_gb_per_s: float
    decompress_seconds: float
    decompress_seconds_deviation: float
    decompress_gb_per_s: float


@dataclass(frozen=True)
class CompressorMeasurement:
    """One compressor on one gradient, by median times. A GB is 1e9 bytes of float32."""

    compressor: str
    bits_per_element: float
    times_smaller_than_float32: float
    frame_bytes: int
    compress_gb_per_s: float
    decompress_add_gb_per_s: float
    break_even_gbit_per_s: float


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


def _measure_sparsifier(
    kind: type[Sparsifier], x: Float32Array, ratio: float, threads: int
) -> SparsifierMeasurement:
    compressor = Compressor(kind(ratio), threads=threads)
    for _ in range(WARM_UP):
        compressor.compress(x)
    frame, compress, decompress = _seconds(compressor, x, ROUNDS, accumulate=False)
    return SparsifierMeasurement(
        method=kind.__name__,
        ratio=inspect_gradient(frame).sent / x.size,
        bits_per_element=8 * frame.nbytes / x.size,
        frame_bytes=frame.nbytes,
        compress_seconds=statistics.mean(compress),
        compress_seconds_deviation=statistics.pstdev(compress),
        compress_gb_per_s=x.nbytes / statistics.mean(compress) / 1e9,
        decompress_seconds=statistics.mean(decompress),
        decompress_seconds_deviation=statistics.pstdev(decompress),
        decompress_gb_per_s=x.nbytes / statistics.mean(decompress) / 1e9,
    )


def _print_sparsifiers(title: str, results: Sequence[SparsifierMeasurement]) -> None:
    rows = [
        (
            r.method,
            f"{r.ratio:.6f}",
            f"{r.bits_per_element:.4f}",
            f"{r.compress_seconds:.6f}",
            f"{r.compress_seconds_deviation:.6f}",
            f"{r.compress_gb_per_s:.2f}",
            f"{r.decompress_seconds:.6f}",
            f"{r.decompress_seconds_deviation:.6f}",
            f"{r.decompress_gb_per_s:.2f}",
        )
        for r in results
    ]
    print_table(title, SPARSIFIER_COLUMNS, rows)


def _gradients(paths: Sequence[Path], megabytes: int | None) -> dict[str, Float32Array]:
    """The gradients to measure, by the names of their files."""
    if paths and megabytes is not None:
        raise ValueError("got FILE.npy and --size MB; pass only one of them")
    gradients = {}
    for path in paths:
        try:
            gradients[str(path)] = to_float32(*as_floats(read_array(path)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
    if not gradients:
        count = max(0, megabytes or 0) * 2**20 // FLOAT_BYTES
        gradients["normal"] = np.random.default_rng(0).standard_normal(count, np.float32)
    if any(x.size == 0 for x in gradients.values()):
        raise ValueError("there is nothing to measure; pass .npy files of floats, or --size MB")
    return gradients


def bench_sparsifiers(
    paths: Sequence[Path], megabytes: int | None, ratio: float, threads: int, as_json: bool
) -> list[dict[str, Any]]:
    """Measures all sparsifiers as SIDCo's microbenchmark does (MLSys 2021).

    Ratio is the achieved density; times are means and standard deviations over 10 rounds, from
    gradient to frame and back to a dense array.

    Args:
        paths: files of floats.
        megabytes: size in MiB of a normally distributed float32 gradient to use without files.
        ratio: wanted density.
        threads: at most this many.
        as_json: whether to print no tables.

    Returns:
        The figures of each gradient.

    Raises:
        ValueError: there is nothing to measure, or both ``paths`` and ``megabytes`` are given.
    """
    gradients = _gradients(paths, megabytes)
    report = []
    with Progress("measuring", len(gradients) * len(SPARSIFIERS)) as progress:
        for name, x in gradients.items():
            results = []
            for kind in SPARSIFIERS:
                results.append(_measure_sparsifier(kind, x, ratio, threads))
                progress.step(kind.__name__)
            if not as_json:
                progress.clear()
                title = f"{Path(name).name}: {x.size} elements, wanted ratio {ratio:g}"
                _print_sparsifiers(title, results)
            figures = [asdict(r) for r in results]
            report.append({"file": name, "elements": x.size, "results": figures})
    return report


def measure_compressors(
    x: Float32Array,
    pipelines: Sequence[str],
    threads: int | None,
    progress: Progress,
) -> list[CompressorMeasurement]:
    """Measures compressors with these pipelines on one gradient."""
    results = []
    for pipeline in pipelines:
        compressor = Compressor(parse_pipeline(pipeline), threads=threads)
        frame, *times = _seconds(compressor, x, ROUNDS, accumulate=True)
        compress, decompress = (statistics.median(seconds) for seconds in times)
        bits = 8 * frame.nbytes / x.size
        saved = (FLOAT_BITS - bits) * x.size
        results.append(
            CompressorMeasurement(
                compressor=pipeline,
                bits_per_element=bits,
                times_smaller_than_float32=FLOAT_BITS / bits,
                frame_bytes=frame.nbytes,
                compress_gb_per_s=x.nbytes / compress / 1e9,
                decompress_add_gb_per_s=x.nbytes / decompress / 1e9,
                break_even_gbit_per_s=saved / (compress + decompress) / 1e9,
            )
        )
        progress.step(pipeline)
    return results


def print_compressors(title: str, results: Sequence[CompressorMeasurement]) -> None:
    """Prints one table."""
    rows = [
        (
            r.compressor,
            f"{r.bits_per_element:.3f}",
            f"{r.times_smaller_than_float32:.1f}",
            f"{r.compress_gb_per_s:.2f}",
            f"{r.decompress_add_gb_per_s:.2f}",
            f"{r.break_even_gbit_per_s:.1f}",
        )
        for r in results
    ]
    print_table(title, COMPRESSOR_COLUMNS, rows)
