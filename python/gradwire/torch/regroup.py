"""The first step of a resumed run, in the buckets of the run that was saved.

DDP begins each process with buckets of its own, and forms them anew after the first step, of a
static graph after the second one. What is quantized together would be other elements than in the
run that did not stop. So the buckets of these steps are held until all are there, and their
parameters are put into those of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gradwire.torch.buckets import Layout


@dataclass
class Bucket:
    """A bucket of DDP or of the checkpoint."""

    index: int
    buffer: torch.Tensor
    layout: Layout


class Regrouping:
    """Holds the buckets of one step.

    Args:
        layouts: names of the parameters of the buckets that are wanted, by index.
        before: what DDP's first bucket held in the step before; None for the first step.
    """

    def __init__(self, layouts: Mapping[int, list[str]], before: Layout | None = None) -> None:
        self.layouts = layouts
        self._before = before
        self._held: list[tuple[Bucket, torch.futures.Future[Any]]] = []

    def is_for(self, index: int, layout: Layout) -> bool:
        """Whether a bucket of DDP is still one of those before it forms them anew."""
        return index > 0 or self._before in (None, layout)

    def of_next_step(self) -> Regrouping | None:
        """For the step after this one; None if that is not to be held in any case."""
        first = next((bucket.layout for bucket, _ in self._held if bucket.index == 0), None)
        return Regrouping(self.layouts, first) if first and self._before is None else None

    def hold(self, bucket: Bucket) -> torch.futures.Future[Any]:
        """Keeps a bucket; its average is the result, or the exception that has prevented it."""
        future: torch.futures.Future[Any] = torch.futures.Future(
            devices=[] if bucket.buffer.device.type == "cpu" else [bucket.buffer.device]
        )
        self._held.append((bucket, future))
        return future

    def wanted(self) -> list[Bucket]:
        """The buckets to average; those of DDP if it has other parameters than the checkpoint."""
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
        """Gives DDP the averages of :meth:`wanted`, or an error."""
        slices = self._slices()
        for bucket in averaged if error is None else ():
            counts = [count for _, count in bucket.layout]
            for (name, _), piece in zip(bucket.layout, bucket.buffer.split(counts)):
                if slices[name].data_ptr() != piece.data_ptr():
                    slices[name].copy_(piece)
        for bucket, future in self._held:
            future.set_result(bucket.buffer if error is None else error)

    def _slices(self) -> dict[str, torch.Tensor]:
        """Where each parameter's gradient lies in the buckets of DDP."""
        found = {}
        for bucket, _ in self._held:
            counts = [count for _, count in bucket.layout]
            for (name, _), piece in zip(bucket.layout, bucket.buffer.split(counts)):
                found[name] = piece
        return found
