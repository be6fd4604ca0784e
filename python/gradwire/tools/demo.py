"""Runs all codecs on the packaged sample of real gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire.quantizers import QSGD
from gradwire.tools.bench import describe, measure, print_measurements
from gradwire.tools.gradient_bench import measure_compressors, print_compressors
from gradwire.tools.progress import Progress
from gradwire.tools.verdict import verdict

SAMPLE = Path(__file__).parent.parent / "data" / "gradients.npz"
LEVELS = 4
PIPELINES = (
    *("QSGD(4)", "TernGrad()", "SignSGD()"),
    *("TopK(0.01)", "SIDCoExponential(0.01)", "Lossless()"),
)


def sample_gradients() -> dict[str, npt.NDArray[np.float16]]:
    """The packaged gradients, by name; ``data/README.md`` says how they were made."""
    with np.load(SAMPLE) as file:
        return {name: file[name] for name in file.files}


def run_demo(keys: Sequence[str], threads: int | None, as_json: bool) -> dict[str, Any]:
    """Measures the codecs and some compressors on each gradient.

    Returns:
        All figures, and what they mean; they are printed unless ``as_json``.
    """
    say = (lambda _: None) if as_json else print
    gradients = sample_gradients()
    codecs, compressors = {}, {}
    say(
        f"Real gradients, quantized to int8 by QSGD({LEVELS}, 512) with stochastic rounding.\n"
        "Sizes are of whole frames: header, code book and checksum. 1 GB is 1e9 bytes of int8.\n"
        "Speeds include all work from the array to the frame, and back.\n"
    )
    with Progress("measuring", len(gradients) * (len(keys) + len(PIPELINES))) as progress:
        for name, gradient in gradients.items():
            levels, _ = QSGD(LEVELS).quantize(gradient)
            codecs[name] = measure(levels, keys, threads, progress)
            if not as_json:
                progress.clear()
                print_measurements(describe(name, levels, "int8"), codecs[name])
        say(
            "Whole frames of float gradients, scales included. 1 GB is 1e9 bytes of float32.\n"
            "On links slower than the break-even, compress + send + decompress beats sending\n"
            "float32.\n"
        )
        for name, gradient in gradients.items():
            x = gradient.astype(np.float32)
            compressors[name] = measure_compressors(x, PIPELINES, threads, progress)
            if not as_json:
                progress.clear()
                print_compressors(f"{name}: {x.size} elements", compressors[name])
    meaning = verdict(codecs.values(), compressors.values())
    say(meaning)
    return {
        "codecs": {name: [asdict(r) for r in results] for name, results in codecs.items()},
        "compressors": {name: [asdict(r) for r in rs] for name, rs in compressors.items()},
        "verdict": meaning,
    }
