"""Training with local steps, for the tests of gw.torch.DiLoCo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch_training import data

import gradwire as gw

SHORT_PIECE = 8000
"""Elements in one frame: few, so that the models of the tests have several."""

adamw = partial(torch.optim.AdamW, lr=1e-2)
nesterov = partial(torch.optim.SGD, lr=0.7, momentum=0.9, nesterov=True)


class DiLoCoRun:
    """A model, its optimizers, and the batches of this rank."""

    def __init__(
        self,
        model: nn.Module,
        compressor: gw.Compressor,
        inner: Callable[[Any], torch.optim.Optimizer] = adamw,
        outer: Any = nesterov,
        **options: Any,
    ) -> None:
        self.model = model
        self.inner = inner(model.parameters())
        self.diloco = gw.torch.DiLoCo(model, None, outer, compressor, **options)
        self.next_batch = 0

    def batch(self) -> tuple[int, torch.Tensor, torch.Tensor]:
        """The number of the next batch, and the batch."""
        number = self.next_batch
        self.next_batch += 1
        x, y = data(number)
        return number, x.to(next(self.model.parameters()).dtype), y

    def train(self, steps: int) -> None:
        """Some inner steps, with outer steps when they are due."""
        for _ in range(steps):
            _, x, y = self.batch()
            self.inner.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.inner.step()
            self.diloco.step()

    def held(self) -> torch.Tensor:
        """What this rank is still to send, flat; what an average lacks stands for all ranks."""
        state = self.diloco.state_dict()
        parts = []
        for name in state["weights"]:
            kinds = state["tensors"][name]["arrays"]
            second = kinds.get("second stage", torch.zeros(()))
            first = kinds[self.diloco.averager.compressor.memory.unsent]
            parts.append((first.double() + dist.get_world_size() * second).reshape(-1))
        return torch.cat(parts)

    def close(self) -> None:
        """Ends the run between rounds."""
        self.diloco.close()


class BatchNormed(nn.Module):
    """A network with statistics and a mask."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Linear(100, 30)
        self.norm = nn.BatchNorm1d(30)
        self.last = nn.Linear(30, 10)
        mask = torch.rand(30)
        mask[3] = -torch.inf
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.first(x)).masked_fill(self.mask < 0.3, 0.0))
