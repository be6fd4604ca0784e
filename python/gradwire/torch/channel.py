"""What one compressor needs to average the tensors of one model."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch.distributed as dist

from gradwire._memory import TensorMemory
from gradwire.exchange import checkpoint
from gradwire.exchange.averaging import Averager
from gradwire.torch.buckets import Buckets
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.groups import GroupLease
from gradwire.torch.names import ParameterNames
from gradwire.torch.pipeline import Pipeline
from gradwire.torch.stage import Stage
from gradwire.torch.steps import Steps
from gradwire.torch.used_parameters import UsedParameters


class Channel:
    """A gloo group, an averager, two threads, and memory by parameter. All ranks must create it.

    Args:
        group: whose ranks average.
        names: of the parameters of the model.
        make_averager: all ranks call it, and compare their settings.
        make_pipeline: for the averager.
    """

    def __init__(
        self,
        group: dist.ProcessGroup,
        names: ParameterNames,
        make_averager: Callable[[GroupExchange], Averager],
        make_pipeline: Callable[[Averager], Pipeline[int]],
    ) -> None:
        lease = GroupLease(group)
        self._finalizer: weakref.finalize[..., Any] = weakref.finalize(self, lease.end)
        self.exchange = GroupExchange(lease.group, lease.number, group)
        self.averager = make_averager(self.exchange)
        self.buckets = Buckets(self.averager, names)
        self.pipeline = make_pipeline(self.averager)
        self.steps = Steps(self.averager, self.buckets, self.pipeline)
        used = self.buckets.used
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _end, self.pipeline.stages, lease, used)

    def save(self) -> dict[str, Any]:
        """The checkpoint of this channel."""
        self.averager.check_open()
        self.pipeline.come_to_rest()
        self.steps.end_if_void()
        state = checkpoint.save(self.averager, self.buckets.tensors())
        self.buckets.reshape(state["tensors"])
        return {**state, "buckets": self.buckets.layouts()}

    def load(self, states: Sequence[dict[str, Any]], strict: bool) -> None:
        """Continues from checkpoints of :meth:`save`.

        Raises:
            ValueError: see :meth:`CompressionState.load_state_dict`.
        """
        shapes = checkpoint.shapes_in(states)
        self.buckets.used.watch()
        self.buckets.check(shapes)
        tensors: dict[str, TensorMemory] = checkpoint.tensors_from(self.averager, states, strict)
        self.buckets.load(tensors, shapes)

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Ends the threads, releases the gloo group and discards all state."""
        self._finalizer()
        for stage in self.pipeline.stages:
            stage.join()
        self.exchange.close()
        self.averager.close()


def _end(stages: Sequence[Stage], lease: GroupLease, used: UsedParameters) -> None:
    """Ends the resources of a channel. Must not refer to the channel itself."""
    used.end()
    compress, exchange = stages
    compress.end(exchange.end)  # which may get work until then
    lease.end()
