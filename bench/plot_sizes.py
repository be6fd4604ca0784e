"""Draws how many times smaller than float32 each codec makes the captured gradients.

    python bench/capture.py FOLDER && python bench/plot_sizes.py FOLDER docs/figures/sizes.svg

Whole frames of QSGD(4, 512) levels, without scales. Needs matplotlib.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import drawing
import matplotlib.pyplot as plt
import numpy as np

import gradwire as gw

GRADIENTS = {
    "CNN, Fashion-MNIST": "cnn-step120",
    "LSTM, Shakespeare": "lstm-step60",
    "Transformer, Shakespeare": "gpt-step60",
}
CODECS = ("entropy", "rlh", "shs", "elias", "huffman", "sh", "rle")
RAW = "raw int8"


def times_smaller(levels: np.ndarray, codec: str) -> float:
    """Size as float32 over size as a frame, or as bytes."""
    size = levels.nbytes if codec == RAW else gw.compress(levels, codec=codec).nbytes
    return 4 * levels.size / size


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    drawing.prepare(10)
    figure, panels = plt.subplots(
        1, len(GRADIENTS), figsize=(8.5, 2.9), sharex=True, sharey=True, layout="constrained"
    )
    names = [*CODECS, RAW]
    for panel, (title, name) in zip(panels, GRADIENTS.items()):
        levels, _ = gw.QSGD(4).quantize(np.load(options.folder / f"{name}.npy"))
        values = [times_smaller(levels, codec) for codec in names]
        bars = panel.barh(names, values, color=["C0"] * len(CODECS) + ["lightgray"])
        panel.bar_label(bars, fmt="%.0f", padding=3)
        panel.set_title(title)
        print(title, ", ".join(f"{codec} {v:.1f}" for codec, v in zip(names, values)))
    panels[0].invert_yaxis()
    panels[0].margins(x=0.15)  # room for the numbers
    figure.supxlabel("times smaller than float32; longer is better", fontsize=10)
    drawing.save(figure, options.output)


if __name__ == "__main__":
    main()
