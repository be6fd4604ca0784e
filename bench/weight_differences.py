"""Differences of bfloat16 weights after steps of AdamW: `entropy` beside today's practice.

    pip install '.[bench,torch]' && python bench/weight_differences.py [--text FILE_OR_FOLDER]

trains the small GPT of `bench/capture.py` on Shakespeare, rounds its weights to bfloat16, and goes
on with AdamW at small learning rates, as reinforcement learning does. The rounded weights after 1
and after 8 steps are compared with those before. A weight's bits, as an integer whose order is that
of the weights, are subtracted (int16). The table has bits for each changed weight: of the order-0
entropy of these differences, of `entropy`, and of what is done in practice: raw indices and values,
and zstandard -1 on the exclusive or of the bits, on its byte planes, and on gaps and differences.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import zstandard
from torch import nn

import gradwire as gw
from gradwire.tools.progress import Progress
from gradwire.tools.tables import print_table

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from ddp_shakespeare import Batches, read_text, word_batches, word_ids
from diloco_shakespeare import GPT

RATES = (1e-6, 1e-5, 1e-4)
STEPS = (1, 8)  # between the weights that are compared
WARM_UP = 30  # steps at 1e-3, so that AdamW's moments are those of a model in training
WORDS = 10_000


def rounded(model: torch.nn.Module) -> np.ndarray:
    """All weights as bfloat16 bits."""
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    return flat.to(torch.bfloat16).view(torch.int16).numpy()


def in_order(bits: np.ndarray) -> np.ndarray:
    """Integers in the order of the floats: negative ones count down from -1."""
    return np.where(bits < 0, np.int16(-(2**15)) - bits - 1, bits).astype(np.int16)


def zstd(*parts: np.ndarray) -> int:
    """Bytes of all parts, each compressed at level 1."""
    return sum(len(zstandard.compress(np.ascontiguousarray(p).data, 1)) for p in parts)


def sizes(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Bytes of each way to send the weights after, given those before."""
    differences = in_order(after) - in_order(before)
    changed = np.flatnonzero(differences)
    gaps = np.diff(changed, prepend=-1).astype(np.uint32)
    xor = (before ^ after).view(np.uint8)
    frame = gw.compress(differences)
    assert np.array_equal(gw.decompress(frame), differences)
    return {
        "changed": changed.size,
        "H0": gw.shannon_entropy(differences) * differences.size / 8,
        "entropy": frame.nbytes,
        "raw": 6 * changed.size,
        "xor": zstd(xor),
        "planes": zstd(xor[0::2], xor[1::2]),
        "gaps": zstd(gaps.astype(np.min_scalar_type(gaps.max())), differences[changed]),
    }


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches) -> None:
    """One step."""
    x, y = next(batches)
    scores = model(x)
    loss = nn.functional.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def rows(text: str) -> Iterator[tuple[float, int, dict[str, float]]]:
    """Rate, steps apart, and sizes."""
    torch.manual_seed(0)
    model = GPT(WORDS, 128, 4, 64)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    batches = word_batches(word_ids(text, WORDS), 16, 64)
    with Progress("steps", WARM_UP + len(RATES) * max(STEPS)) as progress:
        for _ in range(WARM_UP):
            train(model, optimizer, batches)
            progress.step()
        for rate in RATES:
            optimizer.param_groups[0]["lr"] = rate
            before = rounded(model)
            for step in range(1, max(STEPS) + 1):
                train(model, optimizer, batches)
                progress.step()
                if step in STEPS:
                    yield rate, step, sizes(before, rounded(model))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="a file or folder instead of Shakespeare")
    options = parser.parse_args()
    table = []
    for rate, steps, found in rows(read_text(options.text)):
        changed = found.pop("changed")
        bits = [f"{8 * size / changed:.2f}" for size in found.values()]
        share = f"{found['entropy'] / found['H0']:.3f}"
        table.append([f"{rate:g}", str(steps), f"{changed:.0f}", *bits, share])
    heads = ["rate", "steps", "changed", "H0", "entropy", "raw", "XOR + zstd", "planes + zstd"]
    print_table("Bits for each changed weight", [*heads, "gaps + zstd", "entropy over H0"], table)


if __name__ == "__main__":
    main()
