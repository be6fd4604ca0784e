"""Codecs and peers side by side: size against speed, on one thread.

    python bench/datasets.py data
    python bench/throughput.py build/bench/cpp/gradwire_bench data [--plot FILE.svg]

Runs gradwire_bench, its repetitions interleaved, and takes medians: all figures are of one run.
Prints GB of symbols per second, and beside it how many times that is the speed of memcpy, of huff0
(zstd's Huffman coder) and of rans32x16 (htscodecs) on the same data. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from gradwire.tools.tables import print_table

PEERS = ("huff0", "rans32x16")
CODERS = ("entropy", "huffman", "sh", "shs", "rlh", "elias", "rle", *PEERS)
SETS = ("qsgd4", "tern95", "tern995", "geo64", "qsgd127", "gauss20")
MARKERS = "osv^D<>PX"  # of coders
WORDS = (
    "GB of symbols per second: open markers encode, filled markers decode\n"
    "Better is down and right: fewer bits, more speed. Dotted line: the speed of memcpy."
)

Figures = dict[str, dict[str, dict[str, float]]]  # data set, coder: encode, decode, bits


def measure(binary: Path, folder: Path, repetitions: int) -> Figures:
    """Medians of all repetitions; speeds in GB/s."""
    wanted = f"({'|'.join(SETS)})/(({'|'.join(CODERS)})/threads:1/(encode|decode)|kernel/memcpy)"
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        subprocess.run(
            [
                str(binary),
                str(folder),
                f"--benchmark_filter=^{wanted}",
                f"--benchmark_repetitions={repetitions}",
                "--benchmark_enable_random_interleaving=true",
                "--benchmark_min_time=0.05",
                f"--benchmark_out={output.name}",
                "--benchmark_out_format=json",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        rows = json.loads(Path(output.name).read_text())["benchmarks"]
    speeds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    figures: Figures = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["run_type"] != "iteration":
            continue
        if row.get("error_occurred"):
            raise SystemExit(f"{row['run_name']}: {row['error_message']}")
        data, coder, *rest = row["run_name"].removesuffix("/real_time").split("/")
        direction = "decode" if rest[-1] == "decode" else "encode"
        name = "memcpy" if coder == "kernel" else coder
        speeds[data, name, direction].append(row["bytes_per_second"] / 1e9)
        if "bits" in row:
            figures[data][name]["bits"] = row["bits"]
    for (data, coder, direction), values in speeds.items():
        figures[data][coder][direction] = statistics.median(values)
    return figures


def print_figures(figures: Figures) -> None:
    """One table a data set."""
    for data in SETS:
        copy = figures[data]["memcpy"]["encode"]
        rows = []
        for coder in CODERS:
            own = figures[data][coder]
            row = [coder, f"{own['bits']:.4f}"]
            for direction in ("encode", "decode"):
                row.append(f"{own[direction]:.2f}")
                row.append(f"{own[direction] / copy:.2f}")
                row += [f"{own[direction] / figures[data][p][direction]:.2f}" for p in PEERS]
            rows.append(row)
        heads = ["coder", "bits"]
        for direction in ("encode", "decode"):
            heads += [f"{direction} GB/s", "x memcpy", *(f"x {peer}" for peer in PEERS)]
        print_table(f"{data}, memcpy {copy:.1f} GB/s", heads, rows)


def plot(figures: Figures, output: Path) -> None:
    """Bits against speed, one panel for each data set and one marker for each coder."""
    import drawing
    import matplotlib.pyplot as plt

    drawing.prepare(8)
    figure, panels = plt.subplots(2, 3, figsize=(9.5, 5.4), sharex=True, layout="constrained")
    for panel, data in zip(panels.flat, SETS):
        for i, (coder, marker) in enumerate(zip(CODERS, MARKERS)):
            own = figures[data][coder]
            style = {"color": f"C{i}", "marker": marker, "ms": 5, "ls": ""}
            panel.plot([own["encode"], own["decode"]], [own["bits"]] * 2, lw=1, color=f"C{i}")
            panel.plot(own["encode"], own["bits"], mfc="white", **style)
            panel.plot(own["decode"], own["bits"], label=coder, **style)
        panel.axvline(figures[data]["memcpy"]["encode"], color="gray", lw=0.8, ls=":")
        panel.set(xscale="log", title=data)
        panel.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    for panel in panels[:, 0]:
        panel.set_ylabel("bits per symbol")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.supxlabel(WORDS, fontsize=8)
    drawing.save(figure, output)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path, help="gradwire_bench")
    parser.add_argument("folder", type=Path, help="what bench/datasets.py made")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    figures = measure(options.binary, options.folder, options.repetitions)
    print_figures(figures)
    if options.plot:
        plot(figures, options.plot)


if __name__ == "__main__":
    main()
