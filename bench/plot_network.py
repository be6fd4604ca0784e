"""Draws what bench/network.py has saved: the time of a step with each way to send gradients.

    python bench/plot_network.py FILE.json FIGURE.svg [--model lstm]

One panel for each number of ranks, one row for each method, one marker for each speed of the links.
Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import drawing
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

LINKS = {"100mbit": ("100 Mbit/s", "o"), "1gbit": ("1 Gbit/s", "s"), "none": ("no limit", "^")}
PLAIN = "plain DDP"
LABELS = {
    "fp16 hook": "PyTorch's fp16 hook",
    "PowerSGD hook": "PyTorch's PowerSGD hook",
    "QSGD, torch": "QSGD, torch operations",
    "Top-k, torch": "Top-k, torch operations",
    "gradwire TopK(0.01)": "gradwire TopK(0.01), Residual",
    "one number": "all-reduce of one number",
}
BESIDE = 0.25  # of a row lies between the markers of two links, so that equal times stay visible
PAYS = 0.9  # compression pays where a step takes less than this share of plain DDP's

Steps = dict[str, dict[str, float]]  # milliseconds by link and method


def read(path: Path, model: str) -> dict[int, Steps]:
    """Milliseconds per step for each number of ranks."""
    steps: dict[int, Steps] = {}
    for table in json.loads(path.read_text()):
        if table["model"] == model:
            row = {row["method"]: 1e3 * row["seconds"] for row in table["rows"]}
            steps.setdefault(table["ranks"], {})[table["link"]] = row
    return steps


def plain_wins(steps: dict[int, Steps]) -> str:
    """Where gradwire's fastest method hardly gains, in words."""
    places = [
        f"{ranks} ranks, {LINKS[link][0]}"
        for ranks, by_link in steps.items()
        for link, row in by_link.items()
        if min(ms for name, ms in row.items() if name.startswith("gradwire")) > PAYS * row[PLAIN]
    ]
    return "; ".join(places) or "nowhere"


def draw(axes: plt.Axes, by_link: Steps, methods: list[str]) -> None:
    """One panel."""
    for row, method in enumerate(methods):
        own = method.startswith("gradwire")
        axes.axhline(row, color="C0" if own else "gray", alpha=0.25, linewidth=1, zorder=0)
    for i, (link, (label, marker)) in enumerate(LINKS.items()):
        if link in by_link:
            times = [by_link[link][method] for method in methods]
            rows = [row + (i - 1) * BESIDE for row in range(len(methods))]
            axes.scatter(times, rows, s=24, marker=marker, color=f"C{i}", label=label)
    axes.set(xlabel="milliseconds per step", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--model", default="lstm")
    options = parser.parse_args()
    steps = read(options.results, options.model)
    methods = list(next(iter(next(iter(steps.values())).values())))
    drawing.prepare(10)
    size = (2.6 + 3.3 * len(steps), 1.7 + 0.3 * len(methods))  # inches
    figure, all_axes = plt.subplots(
        1, len(steps), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (ranks, by_link) in zip(all_axes[0], steps.items()):
        draw(axes, by_link, methods)
        axes.set_title(f"{options.model.upper()}, {ranks} ranks")
    first = all_axes[0][0]
    first.set_yticks(range(len(methods)), [LABELS.get(method, method) for method in methods])
    first.invert_yaxis()
    for label, method in zip(first.get_yticklabels(), methods):
        label.set_fontweight("bold" if method.startswith("gradwire") else "normal")
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    words = [
        "Left is better. All-reduce of one number: an exchange with next to no data.",
        f"Plain exchange is as good (compression gains less than 10 %): {plain_wins(steps)}.",
    ]
    figure.supxlabel("\n".join(words), fontsize=9)
    drawing.save(figure, options.figure)


if __name__ == "__main__":
    main()
