"""Trains a CNN on Fashion-MNIST with several processes that exchange compressed gradients.

    apt-get install dataset-fashion-mnist
    torchrun --standalone --nproc_per_node=2 examples/ddp_fashion_mnist.py
    torchrun --standalone --nproc_per_node=2 examples/ddp_fashion_mnist.py --compressor plain
    torchrun --standalone --nproc_per_node=2 examples/ddp_fashion_mnist.py --compressor topk \
        --density 0.01 --memory residual
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import common
import numpy as np
import torch
import torch.distributed as dist
from torch import nn

IMAGES = Path("/usr/share/datasets/fashion-mnist")
BATCH = 64
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def read_idx(path: Path) -> np.ndarray:
    """Reads an array in the idx format of MNIST."""
    if not path.exists():
        sys.exit(f"{path} is missing; run apt-get install dataset-fashion-mnist, or pass --images")
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw, ">u4", raw[3], 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def read_images(folder: Path, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, float32 from 0 to 1, and their labels; ``kind`` is "train" or "t10k"."""
    images = read_idx(folder / f"{kind}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{kind}-labels-idx1-ubyte.gz")
    x = torch.from_numpy(images.copy()).float().div(255).unsqueeze(1)
    return x, torch.from_numpy(labels.astype(np.int64))


def image_batches(
    images: tuple[torch.Tensor, torch.Tensor], size: int, rank: int = 0, world: int = 1
) -> Batches:
    """Endless shuffled batches of this rank's share of images and labels."""
    x, y = (part[rank::world] for part in images)
    generator = torch.Generator().manual_seed(torch.initial_seed() + rank)
    while True:
        for chosen in torch.randperm(len(x), generator=generator).split(size):
            yield x[chosen], y[chosen]


def cnn() -> nn.Module:
    """Two convolutions and two linear layers: 421,642 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


@torch.no_grad()
def accuracy(model: nn.Module, images: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Share of the images that the model classifies correctly."""
    x, y = images
    right = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x.split(500), y.split(500)))
    return right / len(x)


def main() -> None:
    """Runs the command line."""
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of the data set")
    options = parser.parse_args()
    common.start(options.seed)
    model = cnn()
    ddp, state = common.distributed(model, options)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    images = read_images(options.images, "train")
    batches = image_batches(images, BATCH, dist.get_rank(), dist.get_world_size())
    progress = common.Progress(options.steps)
    for step in range(1, options.steps + 1):
        x, y = next(batches)
        loss = nn.functional.cross_entropy(ddp(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.show(step, loss.item())
    share = accuracy(model, read_images(options.images, "t10k"))
    common.finish(f"test accuracy {share:.4f}", state)


if __name__ == "__main__":
    main()
