"""Measures the sizes and speeds of the codecs on arrays."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradwire._arrays import IntegerArray, as_integers
from gradwire.codecs import codec
from gradwire.entropy import shannon_entropy
from gradwire.frames import decompress, inspect
from gradwire.quantizers import QSGD
from gradwire.tools.progress import Progress
from gradwire.tools.read_array import dtype_name, is_float, read_array
from gradwire.tools.tables import print_table

ROUNDS = 7
MIN_SECONDS = 0.05
FLOAT_BITS = 32
COLUMNS = (
    *("codec", "bits/element", "x float32", "x elias", "% of entropy"),
    *("encode GB/s", "decode GB/s"),
)


@dataclass(frozen=True)
class Measurement:
    """One codec on one array. Sizes are of whole frames; a GB is 1e9 bytes of symbols."""

    codec: str
    bits_per_element: float
    times_smaller_than_float32: float
    times_smaller_than_elias: float
    share_of_entropy: float | None  # None if the entropy is 0
    code_length: int
    frame_bytes: int
    encode_gb_per_s: float
    decode_gb_per_s: float


def _median_seconds(work: Callable[[], Any]) -> float:
    work()
    times: list[float] = []
    while len(times) < ROUNDS or sum(times) < MIN_SECONDS:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measure(
    array: IntegerArray, keys: Sequence[str], threads: int | None, progress: Progress
) -> list[Measurement]:
    """Measures each codec on an array, and checks that decompression restores the array."""
    entropy = shannon_entropy(array)
    elias_bytes = codec("elias", threads=threads).compress(array).nbytes
    out = np.empty_like(array, order="C")
    results = []
    for key in keys:
        coder = codec(key, threads=threads)
        frame = coder.compress(array)
        if not np.array_equal(decompress(frame, out=out), array):
            raise AssertionError(f"codec {key!r} did not restore the array")
        encode = _median_seconds(lambda: coder.compress(array))  # noqa: B023
        decode = _median_seconds(lambda: coder.decompress(frame, out=out))  # noqa: B023
        bits = 8 * frame.nbytes / array.size
        results.append(
            Measurement(
                codec=key,
                bits_per_element=bits,
                times_smaller_than_float32=FLOAT_BITS / bits,
                times_smaller_than_elias=elias_bytes / frame.nbytes,
                share_of_entropy=bits / entropy if entropy else None,
                code_length=inspect(frame).code_length,
                frame_bytes=frame.nbytes,
                encode_gb_per_s=array.nbytes / encode / 1e9,
                decode_gb_per_s=array.nbytes / decode / 1e9,
            )
        )
        progress.step(key)
    return results


def print_measurements(title: str, results: Sequence[Measurement]) -> None:
    """Prints one table."""
    rows = [
        (
            r.codec,
            f"{r.bits_per_element:.3f}",
            f"{r.times_smaller_than_float32:.1f}",
            f"{r.times_smaller_than_elias:.2f}",
            "-" if r.share_of_entropy is None else f"{100 * r.share_of_entropy:.0f}",
            f"{r.encode_gb_per_s:.2f}",
            f"{r.decode_gb_per_s:.2f}",
        )
        for r in results
    ]
    print_table(title, COLUMNS, rows)


def load(path: Path, levels: int) -> tuple[IntegerArray, str]:
    """An integer array from a file, and a note on it; floats are quantized by QSGD.

    Raises:
        ValueError: the file holds no array to measure; the message begins with its name.
    """
    try:
        array = read_array(path)
        name = dtype_name(array)
        if not is_float(array):
            integers, note = as_integers(array)[0], name
        else:
            note = f"{name} quantized by QSGD({levels}, 512), stochastic rounding, without scales"
            integers = QSGD(levels).quantize(array)[0]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if integers.size == 0:
        raise ValueError(f"{path} holds an empty array; there is nothing to measure")
    return integers, note


def describe(name: str, array: IntegerArray, note: str) -> str:
    """The title of a table."""
    zeros = 100 * np.count_nonzero(array == 0) / array.size
    return (
        f"{name}: {array.size} elements, {note}; {zeros:.1f} % zeros, "
        f"entropy {shannon_entropy(array):.3f} bits/element"
    )


def describe_kernels(kernels: Mapping[str, str]) -> str:
    """One line: how many kernels of each instruction set are used.

    Args:
        kernels: ``build_info()["kernels"]``.
    """
    counts = Counter(kernels.values()).items()
    used = ", ".join(f"{count} of {isa}" for isa, count in sorted(counts, reverse=True))
    return f"Kernels used: {used} (--json names them)."


def bench_files(
    paths: Sequence[Path], keys: Sequence[str], threads: int | None, levels: int, as_json: bool
) -> list[dict[str, Any]]:
    """Measures the codecs on all files; returns the figures, prints tables unless ``as_json``."""
    report = []
    with Progress("measuring", len(paths) * len(keys)) as progress:
        for path in paths:
            array, note = load(path, levels)
            results = measure(array, keys, threads, progress)
            if not as_json:
                progress.clear()
                print_measurements(describe(path.name, array, note), results)
            report.append(
                {
                    "file": str(path),
                    "elements": array.size,
                    "input": note,
                    "entropy_bits": shannon_entropy(array),
                    "results": [asdict(r) for r in results],
                }
            )
    return report
