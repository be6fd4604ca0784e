"""Draws how many times smaller than float32 each codec makes the captured gradients.

    python bench/capture.py FOLDER && python bench/plot_sizes.py FOLDER docs/figures/sizes.svg

Whole frames of QSGD(4, 512) levels, without scales. Needs matplotlib.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import gradwire as gw

GRADIENTS = {
    "CNN, Fashion-MNIST": "cnn-step120",
    "LSTM, Shakespeare": "lstm-step60",
    "Transformer, Shakespeare": "gpt-step60",
}
LABELS = {
    "raw int8": None,
    "huffman": "huffman",
    "elias": "elias",
    "shs": "shs",
    "rlh": "rlh",
    "entropy": "entropy",
}


def times_smaller(levels: np.ndarray, key: str | None) -> float:
    """Size as float32 over size as a frame, or as bytes."""
    size = levels.nbytes if key is None else gw.compress(levels, codec=key).nbytes
    return 4 * levels.size / size


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    mpl.rcParams.update({"svg.hashsalt": "gradwire", "svg.fonttype": "none", "font.size": 10})
    figure, axes = plt.subplots(figsize=(7.5, 2.9), layout="constrained")
    width = 0.8 / len(LABELS)
    for i, (label, key) in enumerate(LABELS.items()):
        values = []
        for name in GRADIENTS.values():
            levels, _ = gw.QSGD(4).quantize(np.load(options.folder / f"{name}.npy"))
            values.append(times_smaller(levels, key))
        places = np.arange(len(GRADIENTS)) + (i - (len(LABELS) - 1) / 2) * width
        bars = axes.bar(places, values, width * 0.92, label=label, color=f"C{i}")
        axes.bar_label(bars, fmt="%.0f", padding=1, fontsize=9)
        print(label, " ".join(f"{v:.1f}" for v in values))
    axes.set_xticks(range(len(GRADIENTS)), GRADIENTS)
    axes.set_ylabel("times smaller than float32")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(LABELS), loc="upper center", bbox_to_anchor=(0.5, 1.17))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.output, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
