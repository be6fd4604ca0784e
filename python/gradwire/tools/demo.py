"""Runs all codecs on the packaged sample of real gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gradwire._quantizer import Quantizer
from gradwire._sparsifier import Sparsifier
from gradwire.quantizers import QSGD, Lossless, SignSGD, TernGrad
from gradwire.sparsifiers import SIDCoExponential, TopK
from gradwire.tools.bench import describe, measure, print_measurements
from gradwire.tools.gradient_bench import print_compressors
from gradwire.tools.progress import Progress

SAMPLE = Path(__file__).parent.parent / "data" / "gradients.npz"
LEVELS = 4
PIPELINES: dict[str, Callable[[], Quantizer | Sparsifier]] = {
    "QSGD(4)": lambda: QSGD(LEVELS),
    "TernGrad()": TernGrad,
    "SignSGD()": SignSGD,
    "TopK(0.01)": lambda: TopK(0.01),
    "SIDCoExponential(0.01)": lambda: SIDCoExponential(0.01),
    "Lossless()": Lossless,
}


def sample_gradients() -> dict[str, npt.NDArray[np.float16]]:
    """The packaged gradients, by name; ``data/README.md`` says how they were made."""
    with np.load(SAMPLE) as file:
        return {name: file[name] for name in file.files}


def run_demo(keys: Sequence[str], threads: int | None) -> None:
    """Prints tables of the codecs and of some compressors for each gradient."""
    gradients = sample_gradients()
    print(
        f"Real gradients, quantized to int8 by QSGD({LEVELS}, 512) with stochastic rounding.\n"
        "Sizes are of whole frames: header, code book and checksum. 1 GB is 1e9 bytes of int8.\n"
        "Speeds include all work from the array to the frame, and back.\n"
    )
    with Progress("measuring", len(gradients) * len(keys)) as progress:
        for name, gradient in gradients.items():
            levels, _ = QSGD(LEVELS).quantize(gradient)
            results = measure(levels, keys, threads, progress)
            print_measurements(describe(name, levels, "int8"), results)
    print(
        "Whole frames of float gradients, scales included. 1 GE is 1e9 elements. On links\n"
        "slower than the break-even, compress + send + decompress beats sending float32.\n"
    )
    for name, gradient in gradients.items():
        x = gradient.astype(np.float32)
        print_compressors(f"{name}: {x.size} elements", x, PIPELINES, threads)
