"""Kernels of all instruction sets side by side: which of them pay.

    python bench/datasets.py data
    python bench/kernels.py build/bench/cpp/gradwire_bench data [--filter tokens]

Runs the rows of kernels of gradwire_bench, their repetitions interleaved, and prints the speed of
each table's functions in GB (1e9 bytes) of elements per second, and how many times as fast as
AVX2's those of AVX-512 are. Of all repetitions, the fastest one counts: other programs can only
slow a row down. "-": the table has the function of the one before it. "goes": on no row is
AVX-512's function 1.05 times as fast as AVX2's, which should take its place.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from gradwire.tools.tables import print_table

TABLES = ("scalar", "avx2", "avx512")  # slowest first
LEAST_GAIN = 1.05

Speeds = dict[str, dict[str, dict[str, float]]]  # kernel, data, table: GB/s


def measure(options: argparse.Namespace) -> Speeds:
    """The highest speeds of all repetitions, in GB/s."""
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        subprocess.run(
            [
                str(options.binary),
                str(options.folder),
                f"--benchmark_filter=^kernel/.*{options.filter}",
                f"--benchmark_repetitions={options.repetitions}",
                "--benchmark_enable_random_interleaving=true",
                f"--benchmark_min_time={options.min_time}",
                f"--benchmark_out={output.name}",
                "--benchmark_out_format=json",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        rows = json.loads(Path(output.name).read_text())["benchmarks"]
    speeds: Speeds = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    for row in rows:
        if row["run_type"] == "iteration":
            _, kernel, data, table = row["run_name"].split("/")
            of_row = speeds[kernel][data]
            of_row[table] = max(of_row[table], row["bytes_per_second"] / 1e9)
    return speeds


def print_speeds(speeds: Speeds) -> None:
    """A line for each kernel and kind of data; then the functions that do not pay."""
    rows, go = [], []
    for kernel, of_kernel in sorted(speeds.items()):
        ratios = [s["avx512"] / s["avx2"] for s in of_kernel.values() if "avx512" in s]
        goes = bool(ratios) and max(ratios) < LEAST_GAIN
        go += [kernel] * goes
        for data, of_row in sorted(of_kernel.items()):
            row = [kernel, data]
            row += [f"{of_row[table]:.2f}" if table in of_row else "-" for table in TABLES]
            row += [f"{of_row['avx512'] / of_row['avx2']:.2f}" if "avx512" in of_row else "-"]
            rows.append([*row, "goes" if goes else ""])
    print_table("GB/s", ("kernel", "data", *TABLES, "avx512/avx2", ""), rows)
    print(f"AVX-512 functions that go: {', '.join(go) or 'none'}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path, help="gradwire_bench")
    parser.add_argument("folder", type=Path, help="what bench/datasets.py made")
    parser.add_argument("--filter", default="", help="regular expression for KERNEL/DATA/TABLE")
    parser.add_argument("--min-time", type=float, default=0.05, help="seconds for each repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    print_speeds(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
