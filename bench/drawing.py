"""What all figures share."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure


def prepare(font_size: int) -> None:
    """Settings that make each run draw the same bytes, and letters that need no viewer's font."""
    mpl.rcParams.update({"svg.hashsalt": "gradwire", "svg.fonttype": "path"})
    mpl.rcParams.update({"font.size": font_size, "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False, "axes.titlesize": "medium"})


def save(figure: Figure, path: Path) -> None:
    """Writes an SVG, or whatever the name of the file ends with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_svg = path.suffix == ".svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None} if is_svg else None, dpi=110)
