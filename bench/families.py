"""The codec `entropy` on families of integers that nobody tuned for, beside other codecs.

    pip install '.[bench]' pcodec
    python bench/families.py [--elements 2000000] [--match int16] [--worst 20]

makes each array of `tests/support/families.py` and prints its order-0 entropy H0, and what the
frame of `entropy` has in bytes over H0 (plus 200, and for independent families 2 for each
distinct value), over the smallest frame of all codecs (less 64), over pcodec (default level; it
takes no int8) and over zstandard -1; and GB/s of both directions on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

import gradwire as gw
from gradwire.tools.tables import print_table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from families import FAMILIES, Family

try:
    from pcodec import ChunkConfig, standalone
except ImportError:
    standalone = None

ROUNDS = 3


def seconds(work: Callable[[], Any]) -> float:
    """Median time of a few calls."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def pcodec_bytes(array: np.ndarray) -> int | None:
    """The size that pcodec makes of an array; None if it does not take it."""
    if standalone is None or array.dtype.itemsize == 1:
        return None
    return len(standalone.simple_compress(array, ChunkConfig()))


def row_of(family: Family, count: int) -> dict[str, Any]:
    """The figures of one family."""
    array = family.array(count)
    codec = gw.Entropy(threads=1)
    frame = codec.compress(array)
    out = np.empty_like(array)
    entropy = gw.shannon_entropy(array) * array.size / 8
    allowed = entropy + 200
    if family.kind == "independent":
        allowed += 2 * np.unique(array).size
    best = min(gw.compress(array, key, threads=1).nbytes for key in gw.codecs())
    pcodec = pcodec_bytes(array)
    zstd = len(zstandard.ZstdCompressor(level=1).compress(array.data))
    gw.decompress_into(frame, out)
    assert np.array_equal(out, array)
    return {
        "family": family.name,
        "H0": gw.shannon_entropy(array),
        "bytes": frame.nbytes,
        "over H0": frame.nbytes / allowed,
        "over best": max(0, frame.nbytes - 64) / best,
        "over pcodec": frame.nbytes / pcodec if pcodec else None,
        "over zstd": frame.nbytes / zstd,
        "encode": array.nbytes / 1e9 / seconds(lambda: codec.compress(array)),
        "decode": array.nbytes / 1e9 / seconds(lambda: gw.decompress_into(frame, out, threads=1)),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=2_000_000)
    parser.add_argument("--match", default="", help="only families whose name contains this")
    parser.add_argument("--worst", type=int, help="print only that many, the farthest from H0")
    options = parser.parse_args()
    rows = []
    for family in FAMILIES:
        if options.match in family.name:
            print(f"  {family.name}", file=sys.stderr, flush=True)
            rows.append(row_of(family, options.elements))
    if options.worst:
        rows.sort(key=lambda row: -row["over H0"])
    shown = rows[: options.worst]
    heads = [*shown[0]]
    table = [
        [row["family"], f"{row['H0']:.4f}", str(row["bytes"])]
        + ["" if row[head] is None else f"{row[head]:.3f}" for head in heads[3:]]
        for row in shown
    ]
    print_table(f"{options.elements} elements each", heads, table)
    short = sum(row["over H0"] > 1.02 for row in rows)
    behind = sum(row["over best"] > 1.02 for row in rows)
    print(f"{short} of {len(rows)} above 1.02 times H0, {behind} above 1.02 times the best codec")


if __name__ == "__main__":
    main()
