"""Averages buffers such as the running statistics of BatchNorm between local steps."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import numpy as np
import torch
from torch import nn

from gradwire.exchange.interface import Exchange


class LocalBuffers:
    """The buffers of floats of a model, without those that never change, such as masks.

    Args:
        model: has the same buffers on all ranks.
        exchange: of the ranks.
    """

    def __init__(self, model: nn.Module, exchange: Exchange) -> None:
        self._model = model
        self._exchange = exchange
        self.bytes_sent = 0
        self.at_start: dict[str, torch.Tensor] = {}
        """What the buffers had when the round began, by name; in host memory."""
        self.begin_round()

    def begin_round(self) -> None:
        """Call it when the buffers are the same on all ranks."""
        self.at_start = {n: b.detach().to("cpu", copy=True) for n, b in self._floats().items()}

    def changed(self) -> list[str]:
        """The names of buffers that this rank has changed in this round."""
        return [
            name
            for name, buffer in self._floats().items()
            if name in self.at_start and not torch.equal(buffer.cpu(), self.at_start[name])
        ]

    def average(self, names: Iterable[str]) -> None:
        """Gives buffers their mean over all ranks, and begins a round; all ranks must call it.

        Args:
            names: those that some rank has changed, the same on all ranks.
        """
        buffers = self._floats()
        chosen = [buffers[name] for name in sorted(names)]
        if chosen:
            dtype = reduce(torch.promote_types, [b.dtype for b in chosen], torch.float32)
            own = torch.cat([b.detach().cpu().to(dtype).reshape(-1) for b in chosen]).numpy()
            data = self._exchange.allgather(own.view(np.uint8), own.nbytes)
            self.bytes_sent += self._exchange.traffic_of_allgather(own.nbytes)
            everyone = np.stack([one.view(own.dtype) for one in data])
            mean = torch.from_numpy(everyone.mean(0, dtype=np.float64))
            with torch.no_grad():
                for buffer, piece in zip(chosen, mean.split([b.numel() for b in chosen])):
                    buffer.copy_(piece.view(buffer.shape))
        self.begin_round()

    def _floats(self) -> dict[str, torch.Tensor]:
        return {
            name.replace("_orig_mod.", ""): buffer
            for name, buffer in self._model.named_buffers()
            if buffer.is_floating_point()
        }
