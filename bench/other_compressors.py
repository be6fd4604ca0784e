"""gradwire beside the compressors that people reach for, in Python, on the same arrays.

    pip install '.[bench]'
    python bench/other_compressors.py [FILE.npy ...] [--mib 16] [--threads 1]

measures the six synthetic data sets, or the integer arrays of the files: bits per element of what
would be sent, and GB/s of int8 input, medians of interleaved rounds. Peers are zstandard (level 1),
lz4 (cramjam), blosc2 (zstd 1 with bit shuffle), zipnn (Huffman). Trust ratios within a table.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blosc2
import cramjam
import datasets
import numpy as np
import zipnn
import zstandard
from tqdm import tqdm

import gradwire as gw
from gradwire.tools.tables import print_table

ROUNDS = 7
Method = tuple[Callable[[np.ndarray], Any], Callable[[Any], Any]]


def methods(threads: int) -> dict[str, Method]:
    """Name to compressor and decompressor, each from array to bytes and back."""
    table: dict[str, Method] = {}
    for key in gw.codecs():
        codec = gw.codec(key, threads=threads)
        table[f"gradwire {key}"] = (codec.compress, codec.decompress)
    zstd = zstandard.ZstdCompressor(level=1, threads=threads if threads > 1 else 0)
    unzstd = zstandard.ZstdDecompressor()
    table["zstandard -1"] = (lambda a: zstd.compress(a.data), unzstd.decompress)
    table["lz4 (cramjam)"] = (cramjam.lz4.compress_block, cramjam.lz4.decompress_block)
    blosc2.set_nthreads(threads)
    parameters = {"codec": blosc2.Codec.ZSTD, "clevel": 1, "typesize": 1}
    parameters["filter"] = blosc2.Filter.BITSHUFFLE
    table["blosc2 zstd 1"] = (lambda a: blosc2.compress(a, **parameters), blosc2.decompress)
    coder = zipnn.ZipNN(input_format="byte", bytearray_dtype="float32", threads=threads)
    table["zipnn"] = (lambda a: coder.compress(a.tobytes()), coder.decompress)
    return table


def as_bytes(decoded: Any) -> bytes:
    """What a decompressor returned, for the comparison with the input."""
    return decoded.tobytes() if isinstance(decoded, np.ndarray) else bytes(decoded)


def seconds(work: Callable[[], Any]) -> float:
    """Time of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def bench(name: str, array: np.ndarray, threads: int) -> None:
    """Prints one table. The first round warms up, and checks what comes back."""
    table = methods(threads)
    times: dict[str, tuple[list[float], list[float]]] = {m: ([], []) for m in table}
    sizes: dict[str, int] = {}
    for round_number in tqdm(range(ROUNDS + 1), desc=name, leave=False, disable=None):
        for method, (compress, decompress) in table.items():
            frame = compress(array)
            if round_number == 0:
                sizes[method] = len(frame)
                if as_bytes(decompress(frame)) != array.tobytes():
                    raise AssertionError(f"{method} does not give back {name}")
                continue
            times[method][0].append(seconds(lambda: compress(array)))  # noqa: B023
            times[method][1].append(seconds(lambda: decompress(frame)))  # noqa: B023
    rows = []
    for method, (encode, decode) in times.items():
        speeds = (array.nbytes / statistics.median(t) / 1e9 for t in (encode, decode))
        rows.append(
            (method, f"{8 * sizes[method] / array.size:.3f}", *(f"{s:.2f}" for s in speeds))
        )
    title = f"{name}: {array.size} elements, entropy {gw.shannon_entropy(array):.3f} bits/element"
    print_table(title, ("method", "bits/element", "encode GB/s", "decode GB/s"), rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--mib", type=float, default=16, help="size of the synthetic sets")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    for path in options.files:
        bench(path.name, np.load(path, allow_pickle=False), options.threads)
    if not options.files:
        for name in datasets.DATA_SETS:
            bench(name, datasets.make(name, int(options.mib * 2**20)), options.threads)


if __name__ == "__main__":
    main()
