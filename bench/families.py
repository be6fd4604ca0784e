"""The codec `entropy` on families of integers that nobody tuned for, beside other codecs.

    pip install '.[bench]' pcodec
    python bench/families.py [--elements 2000000] [--match int16] [--worst 20]

makes each array of `tests/support/families.py`, and of `families_held_out.py`, whose families were
made to find what fails. It prints the order-0 entropy H0, and what the frame of `entropy` has in
bytes over H0 (plus 200, and for independent families 2 for each distinct value), over a model of
16 classes of blocks (for families of rows), over the smallest frame of all codecs (less 64), over
pcodec (default level; it takes no int8) and over zstandard -1; and GB/s of both directions on one
thread, and how many times as fast as pcodec that is.
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
from class_model import class_model_bytes

import gradwire as gw
from gradwire.tools.tables import print_table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from families import FAMILIES, Family
from families_held_out import HELD_OUT

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


def by_pcodec(array: np.ndarray) -> tuple[int, float, float] | None:
    """Bytes, and seconds of both directions; None if pcodec does not take the array."""
    if standalone is None or array.dtype.itemsize == 1:
        return None
    compressed = standalone.simple_compress(array, ChunkConfig())
    return (
        len(compressed),
        seconds(lambda: standalone.simple_compress(array, ChunkConfig())),
        seconds(lambda: standalone.simple_decompress(compressed)),
    )


def group_of(family: Family) -> str:
    """The row of the summary that a family belongs to."""
    if family in HELD_OUT:
        return f"held out, {family.kind}"
    return family.name.rpartition(", ")[0] if " zeros, " in family.name else family.kind


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
    pcodec = by_pcodec(array)
    zstd = len(zstandard.ZstdCompressor(level=1).compress(array.data))
    gw.decompress_into(frame, out)
    assert np.array_equal(out, array)
    encode = seconds(lambda: codec.compress(array))
    decode = seconds(lambda: gw.decompress_into(frame, out, threads=1))
    return {
        "group": group_of(family),
        "family": family.name,
        "H0": gw.shannon_entropy(array),
        "bytes": frame.nbytes,
        "over H0": frame.nbytes / allowed,
        "over classes": (
            frame.nbytes / (class_model_bytes(array) + 200) if family.kind == "rows" else None
        ),
        "over best": max(0, frame.nbytes - 64) / best,
        "over pcodec": frame.nbytes / pcodec[0] if pcodec else None,
        "over zstd": frame.nbytes / zstd,
        "encode": array.nbytes / 1e9 / encode,
        "decode": array.nbytes / 1e9 / decode,
        "encode over pcodec": pcodec[1] / encode if pcodec else None,
        "decode over pcodec": pcodec[2] / decode if pcodec else None,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=2_000_000)
    parser.add_argument("--match", default="", help="only families whose name contains this")
    parser.add_argument("--worst", type=int, help="print only that many, the farthest from H0")
    options = parser.parse_args()
    rows = []
    for family in [*FAMILIES, *HELD_OUT]:
        if options.match in family.name:
            print(f"  {family.name}", file=sys.stderr, flush=True)
            rows.append(row_of(family, options.elements))
    if options.worst:
        print_rows(options.elements, sorted(rows, key=lambda row: -row["over H0"])[: options.worst])
    print_groups(options.elements, rows)
    print_rare(rows)
    print_sums(rows)


def print_rare(rows: list[dict[str, Any]]) -> None:
    """How much longer bytes with many rare values take than two signs."""
    by_name = {row["family"]: row for row in rows}
    for share in ("90", "99", "99.9"):
        signs = by_name.get(f"int8, {share} % zeros, ternary")
        rare = by_name.get(f"int8, {share} % zeros, Laplace 30")
        if signs and rare:
            ways = [f"{way} {signs[way] / rare[way]:.1f}" for way in ("encode", "decode")]
            print(f"{share} % zeros, Laplace 30 over two signs, times as long: {', '.join(ways)}")


def print_rows(elements: int, rows: list[dict[str, Any]]) -> None:
    """Each family."""
    heads = [head for head in rows[0] if head != "group"]
    table = [
        [row["family"], f"{row['H0']:.4f}", str(row["bytes"])]
        + ["" if row[head] is None else f"{row[head]:.3f}" for head in heads[3:]]
        for row in rows
    ]
    print_table(f"{elements} elements each", heads, table)


def print_groups(elements: int, rows: list[dict[str, Any]]) -> None:
    """The worst ratios of each group, and the geometric means of its speeds."""
    heads = ["families", "", "over H0", "over classes", "over best", "over pcodec", "over zstd"]
    speeds = ["encode", "decode", "encode over pcodec", "decode over pcodec"]
    table = []
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [row for row in rows if row["group"] == group]
        line = [group, str(len(own))]
        for head in heads[2:]:
            known = [row[head] for row in own if row[head] is not None]
            line.append(f"{max(known):.3f}" if known else "")
        for head in speeds:
            known = [row[head] for row in own if row[head] is not None]
            line.append(f"{statistics.geometric_mean(known):.2f}" if known else "")
        table.append(line)
    print_table(f"{elements} elements each: worst ratios, mean speeds", heads + speeds, table)


def print_sums(rows: list[dict[str, Any]]) -> None:
    """All families together."""
    tuned_for = [row for row in rows if not row["group"].startswith("held out")]
    for name, some in {"families": tuned_for, "all, with those held out": rows}.items():
        if not some:
            continue
        short = sum(row["over H0"] > 1.02 for row in some)
        behind = sum(row["over best"] > 1.02 for row in some)
        slowest = min(min(row["encode"], row["decode"]) for row in some)
        slow = sum(min(row["encode"], row["decode"]) < 0.3 for row in some)
        print(f"{len(some)} {name}: {short} above 1.02 times H0, {behind} above that of the best")
        print(f"  slowest {slowest:.2f} GB/s, {slow} below 0.3")
        wide = [row for row in some if row["over pcodec"] is not None]
        if wide:
            ways = [
                statistics.geometric_mean(row[f"{way} over pcodec"] for row in wide)
                for way in ("encode", "decode")
            ]
            larger = sum(row["over pcodec"] > 1.005 for row in wide)
            print(f"  {len(wide)} wide: {larger} more than 0.5 % larger than with pcodec;")
            print(f"  {ways[0]:.2f} and {ways[1]:.2f} times as fast as pcodec (encode, decode)")


if __name__ == "__main__":
    main()
