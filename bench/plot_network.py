"""Draws what bench/network.py has saved: the time of a step against the speed of the links.

python bench/plot_network.py FILE.json FIGURE.svg [--ranks 2]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

LINKS = {"100mbit": "100 Mbit/s", "1gbit": "1 Gbit/s", "none": "no limit"}
NOTHING = "no communication"


def draw(axes: plt.Axes, tables: dict[str, dict[str, float]], title: str) -> None:
    """One panel: tables are seconds by method, by link."""
    links = [link for link in LINKS if link in tables]
    for method in tables[links[0]]:
        own = method.startswith("gradwire")
        axes.plot(
            [LINKS[link] for link in links],
            [1e3 * tables[link][method] for link in links],
            marker="" if method == NOTHING else "o",
            linestyle=":" if method == NOTHING else "-",
            color="black" if method == NOTHING else None,
            linewidth=2.5 if own else 1.2,
            label=method,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_minor_formatter("{x:.0f}")
    axes.set_title(title)
    axes.grid(alpha=0.3)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    panels: dict[str, dict[str, dict[str, float]]] = {}
    for table in json.loads(options.results.read_text()):
        if table["ranks"] == options.ranks:
            seconds = {row["method"]: row["seconds"] for row in table["rows"]}
            panels.setdefault(table["model"], {})[table["link"]] = seconds
    plt.rcParams.update({"svg.hashsalt": "gradwire", "svg.fonttype": "none", "font.size": 10})
    size = (3.7 * len(panels) + 2.7, 4)  # inches; the rest is for the legend
    figure, all_axes = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, (model, tables) in zip(all_axes[0], panels.items()):
        draw(axes, tables, f"{model}, {options.ranks} ranks")
    all_axes[0][0].set_ylabel("milliseconds per step")
    all_axes[0][-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.tight_layout()
    figure.savefig(options.figure, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
