"""The work of a state for one model under FSDP2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist

from gradwire.exchange.algorithms import make_averager, make_scattered
from gradwire.exchange.averaging import Averager
from gradwire.exchange.tuner import COMPRESSED, Tuner
from gradwire.memory import NoMemory
from gradwire.torch.channel import Channel
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.fsdp_groups import ReduceGroup, ShardNames
from gradwire.torch.pipeline import Pipeline
from gradwire.torch.report import in_words, report_phase, report_setup, report_traffic
from gradwire.torch.settings import Settings

_ALWAYS = "compressed without measuring"


class FSDPSession:
    """Averages the gradients of the parameter groups of one model.

    Args:
        settings: those of the state.
        groups: of the model. All ranks that average must create a session, in the same order.
    """

    def __init__(self, settings: Settings, groups: Sequence[ReduceGroup]) -> None:
        self._settings = settings
        self._groups = groups
        self._names = ShardNames(groups)
        self._channel = Channel(
            group_of(groups), self._names, self._make_averager, self._make_pipeline
        )
        self.averager = self._channel.averager
        self.tuner = Tuner(self._channel.exchange.largest)
        """Measures nothing: all groups are compressed."""
        self.steps = 0
        self._seen: set[int] = set()  # groups reduced in this part of the step
        self._task = -1  # of autograd, which runs this backward pass

    def _make_averager(self, exchange: GroupExchange) -> Averager:
        settings = self._settings
        compressor, loss_scale = settings.compressor, settings.loss_scale
        if self._groups[0].replicate_group is None:
            return make_scattered(compressor, exchange, loss_scale, **settings.alike())
        return make_averager(
            compressor, exchange, settings.algorithm, loss_scale, **settings.alike()
        )

    def _make_pipeline(self, averager: Averager) -> Pipeline[int]:
        return _SharedPipeline(averager, self._groups[0])

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._channel.is_closed

    def close(self) -> None:
        """Ends the threads, releases the gloo group and discards all state."""
        self._channel.close()

    def reduce(
        self, group: ReduceGroup, gradient: torch.Tensor, out: torch.Tensor, factor: float
    ) -> None:
        """See :meth:`~gradwire.torch.fsdp_groups.Reducer.reduce`.

        Returns before the average has arrived if FSDP does not need it before the end of the pass.
        """
        pipeline = self._channel.pipeline
        pipeline.check_failure()
        if self.is_closed:
            raise RuntimeError(
                "the CompressionState of this model was closed; call compress_fsdp with a new one"
            )
        self._note(group)
        expected = sum(count for _, count in group.layout())
        if gradient.numel() != expected:
            raise ValueError(
                f"{group.name} has gradients of {gradient.numel()} elements, but trained "
                f"parameters of {expected}, because some had no gradient in this backward pass; "
                "call model.set_reduce_scatter_unused_params(True), or freeze these parameters"
            )
        is_urgent = group.is_urgent(out)
        pipeline.average(group.index, gradient, None, out, factor)
        if is_urgent:
            pipeline.finish()

    def _note(self, group: ReduceGroup) -> None:
        """Begins a pass, or another part of its step if the gradients of a group come again."""
        channel, task = self._channel, torch._C._current_graph_task_id()
        again = group.index in self._seen
        if not channel.steps.is_open or (again and task != self._task):  # the former was given up
            self._begin_pass()
            self._task = task
        elif again:  # its module was used twice
            channel.pipeline.finish()
            self.averager.go_on()
            self._seen.clear()
        self._seen.add(group.index)

    def _begin_pass(self) -> None:
        channel = self._channel
        channel.exchange.meet("run a backward pass after compress_fsdp")
        self.steps += 1
        self._seen.clear()
        channel.pipeline.come_to_rest()  # if the pass before was given up
        channel.pipeline.begin_step()
        self._names.refresh(self._groups)
        channel.steps.begin_pass()
        channel.steps.note_last_bucket()  # nothing tells which group is the last
        for group in self._groups:
            channel.buckets.update(group.index, group.layout())

    @property
    def saturated(self) -> int:
        """See :meth:`CompressionState.saturated`."""
        return self._channel.pipeline.saturated

    def choices(self) -> dict[int, bool]:
        """See :meth:`CompressionState.choices`: all groups are compressed."""
        return dict.fromkeys(self._channel.buckets.sizes(), True)

    def report(self) -> dict[str, Any]:
        """See :meth:`CompressionState.report`. A bucket is a parameter group."""
        sizes = self._channel.buckets.sizes()
        pipeline = repr(self.averager.compressor.pipeline)
        return {
            "steps": self.steps,
            **report_setup(self.averager),
            **report_phase(self.tuner, _ALWAYS if sizes else "no step yet"),
            "rules": [],
            "excluded_elements": 0,
            "buckets": [
                {
                    "index": group.index,
                    "module": group.name,
                    "elements": sizes[group.index],
                    "pipeline": pipeline,
                    "sent": COMPRESSED,
                    "path": self._channel.pipeline.paths.names.get(group.index),
                    "reason": _ALWAYS,
                    "plain_seconds": None,
                    "compressed_seconds": None,
                }
                for group in self._groups
                if sizes.get(group.index)
            ],
            **report_traffic([self.averager], 0),
            "saturated": self.saturated,
        }

    def summary(self) -> str:
        """See :meth:`CompressionState.summary`."""
        return in_words(self.report())

    def save(self) -> dict[str, Any]:
        """See :meth:`CompressionState.state_dict`."""
        return {**self._channel.save(), **self._place(), "steps": self.steps}

    def load(self, state: object, states: Sequence[dict[str, Any]], strict: bool) -> None:
        """See :meth:`CompressionState.load_state_dict`."""
        own = self._place()
        for one in states:
            if one.get("shards") != own["shards"]:
                raise ValueError(
                    f"the checkpoint is of {one.get('shards') or 'no'} shards, this model has "
                    f"{own['shards']}; memory cannot be divided anew: use as many shards as "
                    "before, or train on without this checkpoint"
                )
        of_shard = [one for one in states if one["shard"] == own["shard"]]
        if strict and not of_shard:
            raise ValueError(
                f"the checkpoint is of shard {states[0]['shard']}, this rank has shard "
                f"{own['shard']}; load the checkpoint of this rank"
            )
        self._channel.load(of_shard, strict)
        steps = [float(one["steps"]) for one in states]
        largest = self._channel.exchange.largest
        self.steps = int(steps[0] if strict else largest([max([0.0, *steps])])[0])

    def _place(self) -> dict[str, int]:
        """Which shards the memory of this rank is for: one if there are replicas, else all."""
        group = self._groups[0]
        shard = -1 if group.replicate_group is None else group.shard_group.rank()
        return {"shards": group.shard_group.size(), "shard": shard}

    def skip_step(self) -> None:
        """See :meth:`CompressionState.skip_step`."""
        self.averager.check_open()
        self._channel.steps.skip()


class _SharedPipeline(Pipeline[int]):
    """The ranks of a replica agree at the end of each pass whether the step is void: each of them
    sees only whether the averages of its own shards are finite."""

    def __init__(self, averager: Averager, group: ReduceGroup) -> None:
        super().__init__(averager)
        has_memory = not isinstance(averager.compressor.memory, NoMemory)
        has_others = group.replicate_group is not None and group.shard_group.size() > 1
        self._shard_group = group.shard_group if has_memory and has_others else None
        self._device = group.device
        self._has_agreed = True

    def begin_step(self) -> None:
        super().begin_step()
        self._has_agreed = self._shard_group is None

    def wait(self) -> None:
        super().wait()
        if not self._has_agreed:
            self._has_agreed = True
            void = torch.tensor([float(self._averager.step_is_void)], device=self._device)
            dist.all_reduce(void, dist.ReduceOp.MAX, self._shard_group)
            self._averager.step_is_void = bool(void.item())


def group_of(groups: Sequence[ReduceGroup]) -> dist.ProcessGroup:
    """The ranks over which gradients are averaged with compression."""
    return groups[0].replicate_group or groups[0].shard_group
