"""Floats to frames and back: quantizers, sparsifiers and whole frames, beside torch operations.

    python bench/capture.py FOLDER && python bench/gradients.py FOLDER [--elements 25000000]

measures in one process, on one thread, through Python, and prints

1. quantizers beside the same formula in torch operations, as GRACE writes it: torch's random
   numbers, int8 levels, bytes of 0 and 1 for signs; on the last gradient of the folder, repeated
   to --elements, and on Laplace noise. `quantize` gives int8 levels and scales, `compress` a whole
   frame; `decompress-add` adds half of it to a float32 array. `x torch` is the speed of
   `quantize`, for SignSGD that of `compress`, over torch's.
2. sparsifiers beside torch.topk of the magnitudes and SIDCo's exponential fit in torch operations,
   on the same gradient and on Laplace and Gaussian noise. torch's SIDCo fits all elements, zeros
   too; gradwire's fits a sample without zeros. `x` is the time of torch's over that of the row,
   `kept` the achieved density over the wanted one after ten calls.
3. whole frames of each gradient of the folder. `break-even` is the bandwidth below which
   compressing, sending and decompressing take less time than sending float32: saved bits over the
   seconds of compress and decompress-add.
4. the same for the samples that the package carries, as float32.
5. lossless frames of the gradient times 1024, repeated to 64 MiB, in four types; decompressed to
   that type, bit for bit. As float64 it has no more digits than as float32.

All times are medians of --rounds rounds, in table 4 of 20 times as many. A round calls everything
that stands in a row once, in table 2 everything in a table. Speeds are in 1e9 elements or bytes a
second. Much of torch's time on large arrays is the kernel's, for temporaries that malloc gives
back; MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 in the environment lets it keep them.
"""

from __future__ import annotations

import argparse
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch

import gradwire as gw
from gradwire.tools.demo import sample_gradients
from gradwire.tools.progress import Progress
from gradwire.tools.tables import print_table

BUCKET = 512
LEVELS = 4
DENSITIES = (0.1, 0.01, 0.001)
SPARSIFIERS: tuple[type[gw.Sparsifier], ...] = (
    gw.TopK,
    gw.DGC,
    gw.RedSync,
    gw.RedSyncTrimmed,
    gw.GaussianK,
    gw.RandomK,
    gw.SIDCoExponential,
    gw.SIDCoGammaPareto,
    gw.SIDCoPareto,
)
SETTLED = 10  # calls; SIDCo corrects itself every five
SMALL_ROUNDS = 20  # times as many rounds for the packaged gradients
LOSSLESS_BYTES = 64 << 20
LOSS_SCALE = 1024.0  # keeps small elements from vanishing in float16
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

Works = dict[str, Callable[[], Any]]
Pipeline = Union[gw.Quantizer, gw.Sparsifier]

PIPELINES: dict[str, Callable[[], Pipeline]] = {
    "QSGD(4)": functools.partial(gw.QSGD, LEVELS, BUCKET),
    "TernGrad": gw.TernGrad,
    "SignSGD": gw.SignSGD,
    "OneBit": gw.OneBit,
    "Natural": gw.Natural,
    "Uniform(4)": functools.partial(gw.Uniform, 4),
    "TopK(0.01)": functools.partial(gw.TopK, 0.01),
    "SIDCoExponential(0.01)": functools.partial(gw.SIDCoExponential, 0.01),
    "Lossless": gw.Lossless,
}
FEW = ("QSGD(4)", "TernGrad", "SIDCoExponential(0.01)", "Lossless")


def medians(works: Works, rounds: int) -> dict[str, float]:
    """Median seconds of each work, all of them in turn; a first round does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(1 + rounds):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(own[1:]) for name, own in times.items()}


def torch_qsgd(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """QSGD of whole buckets: int8 levels and norms."""
    buckets = x.view(-1, BUCKET)
    norms = buckets.norm(dim=1, keepdim=True)
    level_floats = LEVELS / norms.clamp_min(1e-30) * buckets.abs()
    below = level_floats.floor()
    goes_up = torch.rand_like(below) < level_floats - below
    return (below.to(torch.int8) + goes_up) * buckets.sign().to(torch.int8), norms


def torch_terngrad(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """TernGrad: int8 levels and the largest magnitude after clipping to 2.5 deviations."""
    limit = 2.5 * float(x.std(correction=0))
    clipped = x.clamp(-limit, limit)
    magnitudes = clipped.abs()
    largest = magnitudes.max()
    chosen = torch.empty_like(x).uniform_(0, float(largest)) < magnitudes
    return clipped.sign().to(torch.int8) * chosen, largest


def torch_signs(x: torch.Tensor) -> torch.Tensor:
    """SignSGD: a byte of 0 or 1 for each element."""
    return (x >= 0).to(torch.uint8)


def torch_topk(x: torch.Tensor, wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices and values of the largest magnitudes, in no order."""
    indices = x.abs().topk(wanted, sorted=False).indices
    return indices, x[indices]


def torch_sidco(x: torch.Tensor, density: float) -> tuple[torch.Tensor, torch.Tensor]:
    """SIDCo with exponential fits in three stages: indices and values."""
    magnitudes = x.abs()
    tail, threshold = magnitudes, 0.0
    for stage in (1, 2, 3):
        ratio = density * x.numel() / tail.numel()
        if ratio >= 1:
            break
        is_last = stage == 3 or ratio >= 0.25
        step = -float(tail.mean()) * math.log(ratio if is_last else 0.25)
        threshold += step
        if is_last:
            break
        tail = tail[tail >= step] - step
    indices = (magnitudes >= threshold).nonzero().squeeze(1)
    return indices, x[indices]


def frame_works(pipeline: Pipeline, x: np.ndarray) -> tuple[int, Works]:
    """Bytes of a frame, and what makes it and adds it up."""
    compressor = gw.Compressor(pipeline, threads=1)
    frame = [compressor.compress(x) for _ in range(1 + SETTLED)][-1]
    total = np.zeros_like(x)
    add = functools.partial(compressor.decompress, frame, out=total, accumulate=True, scale=0.5)
    return frame.nbytes, {"compress": lambda: compressor.compress(x), "decompress": add}


def quantizer_row(
    source: str, quantizer: gw.Quantizer, formula: Callable[..., Any], x: np.ndarray, rounds: int
) -> list[str]:
    """A quantizer beside torch."""
    tensor = torch.from_numpy(x)
    size, works = frame_works(quantizer, x)
    works["torch"] = lambda: formula(tensor)
    has_levels = not isinstance(quantizer, gw.SignSGD)
    if has_levels:
        works["quantize"] = lambda: quantizer.quantize(x)
    seconds = medians(works, rounds)
    speed = {name: x.size / 1e9 / each for name, each in seconds.items()}
    return [
        f"{source} {type(quantizer).__name__}",
        f"{speed['torch']:.3f}",
        f"{speed['quantize']:.2f}" if has_levels else "",
        f"{speed['quantize' if has_levels else 'compress'] / speed['torch']:.1f}",
        f"{speed['compress']:.2f}",
        f"{speed['decompress']:.2f}",
        f"{8 * size / x.size:.3f}",
    ]


def print_quantizers(sources: dict[str, np.ndarray], rounds: int) -> None:
    """Table 1."""
    formulas: list[tuple[gw.Quantizer, Callable[..., Any]]] = [
        (gw.QSGD(LEVELS, BUCKET), torch_qsgd),
        (gw.TernGrad(), torch_terngrad),
        (gw.SignSGD(), torch_signs),
    ]
    rows = []
    with Progress("quantizers", len(sources) * len(formulas)) as progress:
        for source, x in sources.items():
            for quantizer, formula in formulas:
                rows.append(quantizer_row(source, quantizer, formula, x, rounds))
                progress.step(rows[-1][0])
    speeds = ["compress G/s", "decompress-add G/s"]
    heads = ["", "torch G/s", "quantize G/s", "x torch", *speeds, "bits per element"]
    print_table("Quantizers against the same formula in torch operations", heads, rows)


def sparsifier_rows(x: np.ndarray, density: float, rounds: int) -> list[list[str]]:
    """All sparsifiers at one density, and torch."""
    tensor = torch.from_numpy(x)
    wanted = round(density * x.size)
    works: Works = {
        "torch.topk": lambda: torch_topk(tensor, wanted),
        "torch SIDCo": lambda: torch_sidco(tensor, density),
    }
    for kind in SPARSIFIERS:
        sparsifier = kind(density)
        for _ in range(SETTLED):
            sparsifier.sparsify(x)
        works[kind.__name__] = functools.partial(sparsifier.sparsify, x)
    kept = {name: len(work()[0]) for name, work in works.items()}
    seconds = medians(works, rounds)
    return [
        [
            name,
            f"{1e3 * own:.1f}",
            f"{seconds['torch.topk'] / own:.1f}",
            f"{seconds['torch SIDCo'] / own:.1f}",
            f"{kept[name] / wanted:.3f}",
        ]
        for name, own in seconds.items()
    ]


def print_sparsifiers(sources: dict[str, np.ndarray], rounds: int) -> None:
    """Table 2: one for each source and density."""
    tables = {}
    with Progress("sparsifiers", len(sources) * len(DENSITIES)) as progress:
        for source, x in sources.items():
            for density in DENSITIES:
                title = f"Sparsifiers: {source}, density {density}"
                tables[title] = sparsifier_rows(x, density, rounds)
                progress.step(title)
    for title, rows in tables.items():
        print_table(title, ["", "ms", "x torch.topk", "x torch SIDCo", "kept"], rows)


def print_frames(
    title: str,
    gradients: dict[str, np.ndarray],
    names: Iterable[str],
    rounds: int,
) -> None:
    """Tables 3 and 4."""
    rows = []
    with Progress("frames", len(gradients)) as progress:
        for gradient_name, x in gradients.items():
            for name in names:
                size, works = frame_works(PIPELINES[name](), x)
                seconds = medians(works, rounds)
                saved = 8 * (x.nbytes - size)
                rows.append(
                    [
                        f"{gradient_name} {name}",
                        f"{8 * size / x.size:.3f}",
                        f"{x.nbytes / size:.1f}",
                        f"{x.size / 1e9 / seconds['compress']:.2f}",
                        f"{x.size / 1e9 / seconds['decompress']:.2f}",
                        f"{saved / 1e9 / sum(seconds.values()):.1f}",
                    ]
                )
            progress.step(gradient_name)
    sizes = ["bits per element", "times smaller"]
    speeds = ["compress G/s", "decompress-add G/s"]
    print_table(title, ["", *sizes, *speeds, "break-even Gbit/s"], rows)


def lossless_row(gradient: np.ndarray, dtype: torch.dtype, rounds: int) -> list[str]:
    """Size and speed of lossless frames of one type."""
    count = LOSSLESS_BYTES // dtype.itemsize
    x = torch.from_numpy(np.resize(gradient * np.float32(LOSS_SCALE), count)).to(dtype)
    compressor = gw.Compressor(gw.Lossless(), threads=1)
    frame = compressor.compress(x)
    out = torch.empty_like(x)
    works: Works = {
        "compress": lambda: compressor.compress(x),
        "decompress": lambda: compressor.decompress(frame, out=out),
    }
    seconds = medians(works, rounds)
    assert torch.equal(x.view(torch.int16), out.view(torch.int16))
    return [
        str(dtype).removeprefix("torch."),
        f"{8 * frame.nbytes / count:.3f}",
        f"{LOSSLESS_BYTES / frame.nbytes:.3f}",
        *(f"{LOSSLESS_BYTES / 1e9 / each:.2f}" for each in seconds.values()),
    ]


def print_lossless(name: str, gradient: np.ndarray, rounds: int) -> None:
    """Table 5."""
    rows = []
    with Progress("lossless", len(DTYPES)) as progress:
        for dtype in DTYPES:
            rows.append(lossless_row(gradient, dtype, rounds))
            progress.step(rows[-1][0])
    heads = ["", "bits per element", "times smaller", "compress GB/s", "decompress GB/s"]
    print_table(f"Lossless: {name}, {LOSSLESS_BYTES >> 20} MiB", heads, rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what bench/capture.py made")
    parser.add_argument("--elements", type=int, default=25_000_000, help="of tables 1 and 2")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    gradients = {path.stem: np.load(path) for path in sorted(options.folder.glob("*.npy"))}
    if not gradients:
        parser.error(f"{options.folder} has no *.npy files; make them with bench/capture.py")
    torch.set_num_threads(1)
    gw.set_threads(1)
    count = max(options.elements // BUCKET, 1) * BUCKET
    rounds = options.rounds
    print(f"{count:,} elements in tables 1 and 2; medians of {rounds} rounds")
    print(f"gradwire: {gw.build_info()['isa']}, torch: {torch.backends.cpu.get_cpu_capability()}\n")

    rng = np.random.default_rng(0)
    name, gradient = list(gradients.items())[-1]
    sources = {name: np.resize(gradient, count), "Laplace": rng.laplace(size=count).astype("f4")}
    print_quantizers(sources, rounds)
    sources["Gaussian"] = rng.standard_normal(count, np.float32)
    print_sparsifiers(sources, rounds)
    print_frames("Whole frames", gradients, PIPELINES, rounds)
    samples = {key: sample.astype(np.float32) for key, sample in sample_gradients().items()}
    print_frames("Whole frames of the packaged gradients", samples, FEW, SMALL_ROUNDS * rounds)
    print_lossless(name, gradient, rounds)


if __name__ == "__main__":
    main()
