"""Regroups the first step of a resumed run into the buckets of the checkpoint.

DDP starts each process with default buckets, and rebuilds them after the first step (the second one
for a static graph). Other elements would then be quantized together than in a run that was not
interrupted. The buckets of these steps are therefore held until all have arrived, and regrouped
into those of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gradwire.exchange.layouts import Layout


@dataclass
class Bucket:
    """A bucket of DDP or of the checkpoint."""

    index: int
    buffer: torch.Tensor
    layout: Layout


class Regrouping:
    """Holds the buckets of one step.

    Args:
        layouts: names of the parameters of the wanted buckets, by index.
        before: the layouts of the buckets of the previous step; None for the first step.
    """

    def __init__(
        self, layouts: Mapping[int, list[str]], before: Sequence[Layout] | None = None
    ) -> None:
        self.layouts = layouts
        self._before = before
        self._held: list[tuple[Bucket, torch.futures.Future[Any]]] = []

    def is_for(self, layout: Layout) -> bool:
        """Whether DDP has not rebuilt its buckets yet, so that this one must be held."""
        return bool(self._held) or self._before is None or layout in self._before

    def of_next_step(self) -> Regrouping | None:
        """The regrouping for the next step; None if DDP's buckets are final by then."""
        if self._before is not None or not self._held:
            return None
        return Regrouping(self.layouts, [bucket.layout for bucket, _ in self._held])

    def hold(self, bucket: Bucket) -> torch.futures.Future[Any]:
        """Holds a bucket; returns a future of its average, or of the error that prevents it."""
        future: torch.futures.Future[Any] = torch.futures.Future(
            devices=[] if bucket.buffer.device.type == "cpu" else [bucket.buffer.device]
        )
        self._held.append((bucket, future))
        return future

    def wanted(self) -> list[Bucket]:
        """The buckets to average: as in the checkpoint, or those of DDP if parameters differ."""
        slices = self._slices()
        names = [name for layout in self.layouts.values() for name in layout]
        if sorted(names) != sorted(slices):
            return [bucket for bucket, _ in self._held]
        return [
            Bucket(
                index,
                torch.cat([slices[name] for name in layout]),
                [(name, slices[name].numel()) for name in layout],
            )
            for index, layout in self.layouts.items()
        ]

    def finish(self, averaged: list[Bucket], error: Exception | None) -> None:
        """Passes the averages of :meth:`wanted`, or an error, on to DDP."""
        slices = self._slices()
        for bucket in averaged if error is None else ():
            counts = [count for _, count in bucket.layout]
            for (name, _), piece in zip(bucket.layout, bucket.buffer.split(counts)):
                if slices[name].data_ptr() != piece.data_ptr():
                    slices[name].copy_(piece)
        for bucket, future in self._held:
            future.set_result(bucket.buffer if error is None else error)

    def _slices(self) -> dict[str, torch.Tensor]:
        """The gradient of each parameter, as a slice of a bucket of DDP."""
        found = {}
        for bucket, _ in self._held:
            counts = [count for _, count in bucket.layout]
            for (name, _), piece in zip(bucket.layout, bucket.buffer.split(counts)):
                found[name] = piece
        return found
