"""What one compressor of a state does for the parameters that it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from gradwire._arrays import ByteArray
from gradwire.compressor import Compressor
from gradwire.exchange.algorithms import make_averager
from gradwire.exchange.tuner import Tuner
from gradwire.memory import NoMemory
from gradwire.torch.channel import Channel
from gradwire.torch.names import ParameterNames
from gradwire.torch.pipeline import Pipeline, value_or_error
from gradwire.torch.plain import PlainBuckets
from gradwire.torch.regroup import Bucket, Regrouping
from gradwire.torch.sparse_rows import SparseRows

SMALLEST = 4096
"""Smaller buckets (in elements) are sent by plain all-reduce: compressing does not pay off."""


@dataclass
class Turns:
    """The buckets of one lane among those between which the tuner of a state chooses."""

    number: int = 0
    """Of the lane."""
    lanes: int = 1
    """How many the state has."""
    tuner: Tuner | None = None
    """None to compress all buckets."""

    def key(self, index: int) -> int:
        """The number by which the tuner knows a bucket."""
        return index * self.lanes + self.number

    def restart(self) -> None:
        """See :meth:`Tuner.restart`."""
        if self.tuner is not None:
            self.tuner.restart()

    def begin(self, index: int) -> None:
        """Call when a bucket is ready."""
        if self.tuner is not None:
            self.tuner.begin(self.key(index))

    def end(self, index: int) -> None:
        """Call when the average of a bucket has arrived."""
        if self.tuner is not None:
            self.tuner.end(self.key(index))

    def compresses(self, index: int) -> bool:
        """Whether to compress this bucket in this step."""
        return self.tuner is None or self.tuner.compresses(self.key(index))


class Lane(Channel):
    """Averages buckets of one model with one compressor. All ranks must create it.

    Args:
        group: of the model.
        compressor: of these buckets.
        algorithm: see :func:`~gradwire.exchange.algorithms.make_averager`.
        loss_scale: same.
        alike: more settings that must be identical on all ranks.
        names: of the parameters of the model.
        turns: its place among the lanes of the state.
    """

    def __init__(
        self,
        group: dist.ProcessGroup,
        compressor: Compressor,
        algorithm: str,
        loss_scale: Callable[[], float] | None,
        alike: Mapping[str, Any],
        names: ParameterNames,
        turns: Turns,
    ) -> None:
        super().__init__(
            group,
            names,
            lambda exchange: make_averager(compressor, exchange, algorithm, loss_scale, **alike),
            lambda averager: Pipeline(averager, turns.end),
        )
        self.smallest = SMALLEST if compressor.estimates_gradient else 1
        self.is_on = True
        """Whether this pass may compress."""
        self.turns = turns
        self.plain = PlainBuckets(self.averager, group)
        self.sparse: set[int] = set()
        """The buckets that hold a sparse gradient which may be sent as frames."""
        self._rows = SparseRows(self.averager)
        self._regrouping: Regrouping | None = None
        self._goes_on = False  # this pass continues the step before it

    def begin_pass(self) -> None:
        """Call it before the first bucket of a backward pass."""
        self.pipeline.begin_step()
        self._goes_on = self.steps.begin_pass()

    def watches(self) -> bool:
        """Whether the step may have to be undone in memory if an average is not finite."""
        if isinstance(self.averager.compressor.memory, NoMemory):
            return False
        choices = self.choices()
        held = any(c.memory.names() for c in self.averager.compressors())
        return (
            held or not choices or any(choices.values()) or (self._goes_on and self.plain.watches)
        )

    def take(self, bucket: Bucket) -> torch.futures.Future[torch.Tensor]:
        """Starts to average a bucket in place, perhaps not before the last one of the pass."""
        self.sparse.discard(bucket.index)
        if self._regrouping is not None and not self._regrouping.is_for(bucket.layout):
            self._regrouping = None
        if self._regrouping is None:
            return self._average(bucket)
        return self._regrouping.hold(bucket).then(value_or_error)

    def pass_over(self, index: int) -> None:
        """Takes note that a bucket has no parameter of this lane."""
        self.sparse.discard(index)
        if self.buckets.drop(index):
            self.turns.restart()

    def take_sparse(self, bucket: Bucket) -> torch.futures.Future[torch.Tensor]:
        """Starts to average the sparse gradient of one parameter; returns a future of it."""
        index, gradient = bucket.index, bucket.buffer
        if self.buckets.update(index, []):
            self.turns.restart()
        self.sparse.discard(index)
        takes = gradient.sparse_dim() == 1 and self.averager.compressor.estimates_gradient
        if not takes or not self.is_on:
            return self.plain.average(gradient)
        self.sparse.add(index)
        self.turns.begin(index)
        if not self.turns.compresses(index):
            return self.plain.average(gradient, partial(self.turns.end, index))
        name, rows = bucket.layout[0][0], self._rows

        def complete(frames: Sequence[ByteArray]) -> torch.Tensor:
            average, clipped = rows.complete(frames, gradient)
            self.pipeline.saturated += clipped
            self.plain.note(average)
            return average

        return self.pipeline.run(
            index, lambda: rows.compress(gradient, name), complete, gradient.device
        ).then(value_or_error)

    def end_pass(self) -> None:
        """Call it after the last bucket of a backward pass."""
        if self._regrouping is not None:
            self._average_regrouped()
        self.buckets.used.end_pass()
        self.steps.note_last_bucket()

    def always_plain(self) -> dict[int, str]:
        """Why some buckets are never compressed, by index."""
        few = f"fewer than {self.smallest} elements"
        return {
            index: few if count else "sparse gradients, or not floats"
            for index, count in self.buckets.sizes().items()
            if count < self.smallest and index not in self.sparse
        }

    def choices(self) -> dict[int, bool]:
        """Whether each bucket that may be compressed is compressed now, by index."""
        plain = self.always_plain()
        return {
            index: self.is_on and self.turns.compresses(index)
            for index in self.buckets.sizes()
            if index not in plain
        }

    def save(self) -> dict[str, Any]:
        """See :meth:`Channel.save`."""
        state, loaded = super().save(), self._regrouping
        state["sparse_steps"] = self._rows.steps
        return state if loaded is None else {**state, "buckets": dict(loaded.layouts)}

    def load(self, states: Sequence[dict[str, Any]], strict: bool) -> None:
        """See :meth:`Channel.load`."""
        super().load(states, strict)
        self._rows.steps = dict(states[0].get("sparse_steps", {})) if states else {}
        self._regrouping = Regrouping(states[0]["buckets"]) if strict else None

    def _average(self, bucket: Bucket) -> torch.futures.Future[torch.Tensor]:
        index, buffer = bucket.index, bucket.buffer
        if self.buckets.update(index, bucket.layout):
            self.turns.restart()
        used = self.buckets.used.among(bucket.layout)
        on_arrival = None
        if buffer.numel() >= self.smallest and self.is_on:
            self.turns.begin(index)
            if self.turns.compresses(index):
                return self.pipeline.average(index, buffer, used).then(value_or_error)
            on_arrival = partial(self.turns.end, index)
        self.pipeline.saturated += self.plain.flush(index, buffer, used)
        return self.plain.average(buffer, on_arrival)

    def _average_regrouped(self) -> None:
        """Averages the buckets that were held in the first steps after loading a checkpoint."""
        regrouping = self._regrouping
        assert regrouping is not None
        self._regrouping = regrouping.of_next_step()
        wanted = regrouping.wanted()

        def finish(ended: torch.futures.Future[Any]) -> None:
            try:
                ended.value()
                regrouping.finish(wanted, None)
            except Exception as error:
                regrouping.finish(wanted, self.pipeline.failure or error)

        torch.futures.collect_all([self._average(bucket) for bucket in wanted]).then(finish)
