"""Compressed gradients under FSDP2 (``torch.distributed.fsdp.fully_shard``)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from gradwire.exchange.averaging import Averager
from gradwire.memory import NoMemory
from gradwire.torch.buckets import Buckets
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.fsdp_groups import ReduceGroup, ShardNames, groups_of
from gradwire.torch.pipeline import Pipeline
from gradwire.torch.steps import Steps


class ShardedSession:
    """Averages the gradients of one model under FSDP2."""

    def __init__(
        self, groups: Sequence[ReduceGroup], averager: Averager, exchange: GroupExchange
    ) -> None:
        self._exchange = exchange
        self._groups = groups
        self._names = ShardNames(groups)
        self.averager = averager
        self.buckets = Buckets(averager, self._names)
        self.pipeline = _ShardedPipeline(averager, groups[0])
        self.steps = Steps(averager, self.buckets, self.pipeline)
        self.passes = 0
        self.is_closed = False
        self._seen: set[int] = set()  # groups reduced since then in this pass
        self._task = -1

    def reduce(
        self, group: ReduceGroup, gradient: torch.Tensor, out: torch.Tensor, factor: float
    ) -> None:
        """See :class:`~gradwire.torch.fsdp_groups.Reducer`."""
        self.pipeline.check_failure()
        if self.is_closed:
            raise RuntimeError(
                "the state of this model was closed; create one and call compress_fsdp"
            )
        task = torch._C._current_graph_task_id()
        comes_again = group.index in self._seen
        if not self.steps.is_open or (comes_again and task != self._task):
            self._begin_pass()  # the one before was given up if it is open
            self._task = task
        elif comes_again:  # the module was used twice
            self.pipeline.finish()
            self.averager.go_on()
            self._seen.clear()
        self._seen.add(group.index)
        _check_size(group, gradient)
        late = group.has_time_for(out)
        self.pipeline.average(group.index, gradient, None, out, factor)
        if not late:
            self.pipeline.finish()

    def _begin_pass(self) -> None:
        self._exchange.meet("run a backward pass after compress_fsdp")
        self.passes += 1
        self._seen.clear()
        self.pipeline.come_to_rest()  # if the pass before was given up
        self.pipeline.begin_step()
        self._names.refresh()
        self.steps.begin_pass()
        self.steps.note_last_bucket()  # which one is the last does not show
        for group in self._groups:
            self.buckets.update(group.index, group.layout())


class _ShardedPipeline(Pipeline):
    """Ranks of one replica agree at the end of a pass whether the step is void: a rank sees only
    whether the averages of its shards are finite."""

    def __init__(self, averager: Averager, group: ReduceGroup) -> None:
        super().__init__(averager, lambda index: None)
        has_memory = not isinstance(averager.compressor.memory, NoMemory)
        has_others = group.replicate_group is not None and group.shard_group.size() > 1
        self._shard_group = group.shard_group if has_memory and has_others else None
        self._device = group.device
        self._agrees = True

    def begin_step(self) -> None:
        super().begin_step()
        self._agrees = self._shard_group is None

    def finish(self) -> None:
        """Waits until all averages have arrived; raises the error that prevents this, if any."""
        self.come_to_rest()
        self.check_failure()

    def wait(self) -> None:
        self.finish()
        if self._agrees:
            return
        self._agrees = True
        void = torch.tensor([float(self._averager.step_is_void)], device=self._device)
        dist.all_reduce(void, dist.ReduceOp.MAX, self._shard_group)
        self._averager.step_is_void = bool(void.item())


def _check_size(group: ReduceGroup, gradient: torch.Tensor) -> None:
    expected = sum(count for _, count in group.layout())
    if gradient.numel() != expected:
        raise ValueError(
            f"the gradients of {group.name} have {gradient.numel()} elements, its trained parameters "
            f"{expected}: some had no gradient in this backward pass; call "
            "model.set_reduce_scatter_unused_params(True), or freeze them (requires_grad = False)"
        )
