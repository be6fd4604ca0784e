"""The state of the communication hook between buckets and steps."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from gradwire._checks import check_integer
from gradwire.compressor import Compressor, check_takes_turns
from gradwire.exchange import checkpoint
from gradwire.exchange.adapter import Closing
from gradwire.exchange.algorithms import make_averager
from gradwire.exchange.tuner import Tuner
from gradwire.memory import NoMemory
from gradwire.quantizers import QSGD
from gradwire.torch.buckets import Buckets
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.groups import GroupLease
from gradwire.torch.pipeline import Pipeline, value_or_error
from gradwire.torch.plain import PlainBuckets
from gradwire.torch.regroup import Bucket, Regrouping
from gradwire.torch.report import (
    in_words,
    log_choice,
    report_choices,
    report_setup,
    report_traffic,
)
from gradwire.torch.stage import Stage
from gradwire.torch.steps import Steps
from gradwire.torch.used_parameters import UsedParameters

SMALLEST = 4096
"""Smaller buckets (in elements) are sent by plain all-reduce: compressing does not pay off."""


class CompressionState(Closing):
    """State of :func:`compressed_allreduce` for one model.

    All ranks must create their states in the same order. Frames are exchanged over a separate gloo
    group, so they never mix with DDP's collectives. CUDA tensors pass through pinned host memory;
    that path is untested.

    A step does not change the memory of parameters that have no gradient, or only zeros, on this
    rank, or that no rank has used. A step in which an average is not finite counts as skipped, as
    it does for a loss scaler: it is undone in memory. A step may have several averaged backward
    passes; it ends when parameters are updated.

    :meth:`close`, the end of a ``with`` block, or garbage collection ends the threads and releases
    the gloo group. DDP holds a reference to the state.

    Args:
        process_group: that of the model; None for the default group.
        compressor: configure it identically on all ranks; its ``rank`` is overwritten here. Do not
            use it for anything else. None for ``Compressor(QSGD(4))``.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        fallback: whether to send buckets by plain all-reduce unless measurements show that
            compressing them clearly shortens the whole step. Ignored (False) if what is sent does
            not estimate the gradient, such as signs.
        loss_scale: returns the current loss scale: ``get_scale`` of a ``torch.amp.GradScaler``.
            See :class:`~gradwire.compressor.Compressor`.
        start_step: number of averaged backward passes to send uncompressed at first, when gradients
            change fastest.

    Raises:
        ValueError: ranks have different settings or versions of gradwire, the compressor is in use
            already, or this rank is not in the process group; or there is a ``start_step``, but
            what is sent does not estimate the gradient.
        RuntimeError: torch.distributed is not initialized.
    """

    __slots__ = (
        "__weakref__",
        "_buckets",
        "_enabled",
        "_exchange",
        "_finalizer",
        "_pipeline",
        "_plain",
        "_regrouping",
        "_smallest",
        "_steps",
        "averager",
        "compressor",
        "fallback",
        "process_group",
        "start_step",
        "steps",
        "tuner",
    )

    def __init__(
        self,
        process_group: dist.ProcessGroup | None = None,
        compressor: Compressor | None = None,
        algorithm: str = "auto",
        *,
        fallback: bool = True,
        loss_scale: Callable[[], float] | None = None,
        start_step: int = 0,
    ) -> None:
        check_integer("start_step", start_step, 0)
        if isinstance(process_group, Compressor):
            raise TypeError("pass the compressor by name: CompressionState(compressor=...)")
        if not isinstance(compressor, Compressor) and compressor is not None:
            raise TypeError(f"compressor must be a gw.Compressor, got {compressor!r}")
        group = process_group or dist.group.WORLD
        if group is None:
            raise RuntimeError("call torch.distributed.init_process_group() first")
        compressor = compressor or Compressor(QSGD(4))
        if start_step:
            check_takes_turns(compressor)
        self.process_group = group
        self.compressor = compressor
        self.fallback = fallback and compressor.estimates_gradient
        lease = GroupLease(group)
        self._finalizer: weakref.finalize[..., Any] = weakref.finalize(self, lease.end)
        self._exchange = GroupExchange(lease.group, lease.number, group)
        alike = {"fallback": self.fallback, "start_step": start_step}  # on all ranks
        self.averager = make_averager(compressor, self._exchange, algorithm, loss_scale, **alike)
        self.tuner = Tuner(self._exchange.largest)
        self.steps = 0
        self.start_step = start_step
        self._smallest = SMALLEST if compressor.estimates_gradient else 1
        self._enabled = True
        self._buckets = Buckets(self.averager)
        self._pipeline = Pipeline(self.averager, self.tuner.end)
        self._plain = PlainBuckets(self.averager, group)
        self._steps = Steps(self.averager, self._buckets, self._pipeline)
        self._finalizer.detach()
        used = self._buckets.used
        self._finalizer = weakref.finalize(self, _end, self._pipeline.stages, lease, used)
        self._regrouping: Regrouping | None = None

    def close(self) -> None:
        """Ends the threads and releases the gloo group; the hook must not be called afterward.

        This discards all state; save :meth:`state_dict` first.
        """
        self._finalizer()
        for stage in self._pipeline.stages:
            stage.join()
        self._exchange.close()
        self.averager.close()

    def __reduce__(self) -> Any:
        raise TypeError(
            "a CompressionState belongs to threads and a process group, so it cannot be copied or "
            "pickled; save its state_dict()"
        )

    def __repr__(self) -> str:
        options = f"algorithm={self.averager.algorithm!r}, fallback={self.fallback}"
        return f"CompressionState(compressor={self.compressor!r}, {options})"

    def reduce(self, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        """The hook: see :func:`compressed_allreduce`."""
        self._pipeline.check_failure()
        if not self._finalizer.alive:
            raise RuntimeError("this CompressionState was closed; create a new one for the model")
        index, buffer = bucket.index(), bucket.buffer()
        if index == 0:
            self._begin_pass()
        if buffer.is_sparse or not buffer.is_floating_point():
            self._buckets.update(index, [])  # another bucket may have had this index
            future = self._plain.average(buffer)
        else:
            self._buckets.names.look_for_model_of(self, bucket.parameters()[0])
            layout = self._buckets.layout_of(bucket.parameters())
            if self._regrouping is not None and not self._regrouping.is_for(index, layout):
                self._regrouping = None
            one = Bucket(index, buffer, layout)
            if self._regrouping is None:
                future = self._average(one)
            else:
                future = self._regrouping.hold(one).then(value_or_error)
        if bucket.is_last():
            if self._regrouping is not None:
                self._average_regrouped()
            self._buckets.used.end_pass()
            self._steps.note_last_bucket()
        return future

    def _average(self, bucket: Bucket) -> torch.futures.Future[torch.Tensor]:
        index, buffer = bucket.index, bucket.buffer
        if self._buckets.update(index, bucket.layout):
            self.tuner.restart()
        used = self._buckets.used.among(bucket.layout)
        on_arrival = None
        if buffer.numel() >= self._smallest and self._is_on():
            self.tuner.begin(index)
            if not self.fallback or self.tuner.compresses(index):
                return self._pipeline.average(index, buffer, used)
            on_arrival = partial(self.tuner.end, index)
        self._pipeline.saturated += self._plain.flush(index, buffer, used)
        return self._plain.average(buffer, on_arrival)

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
                regrouping.finish(wanted, self._pipeline.failure or error)

        torch.futures.collect_all([self._average(bucket) for bucket in wanted]).then(finish)

    @property
    def enabled(self) -> bool:
        """Set it to False, between steps and on all ranks, to send all buckets uncompressed."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if not value:
            check_takes_turns(self.compressor)
        self._enabled = value

    @property
    def saturated(self) -> int:
        """Number of averaged elements that were too large for their dtype, and were clipped."""
        return self._pipeline.saturated

    def report(self) -> dict[str, Any]:
        """What the state does and has done, for logs.

        Returns:
            Numbers, text, and under "buckets" a list of such dicts. Seconds are medians of the last
            measurements. Bytes are those that this rank sends, or ("raw") would send uncompressed.
        """
        sizes = self._buckets.sizes()
        plain = self._buckets.always_plain(self._smallest)
        settled = None if self.fallback else "compressed without measuring"
        if sizes and not self._is_on():
            settled = f"plain up to step {self.start_step}" if self._enabled else "not enabled"
            plain = dict.fromkeys(sizes, settled)
        elif not self.choices():
            settled = "no bucket can be compressed" if sizes else "no step yet"
        return {
            "steps": self.steps,
            **report_setup(self.averager),
            **report_choices(self.tuner, sizes, plain, settled),
            **report_traffic(self.averager, self._plain.bytes_sent),
            "saturated": self.saturated,
        }

    def summary(self) -> str:
        """The :meth:`report` in words."""
        return in_words(self.report())

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to continue, for this rank's checkpoint. Call it between steps.

        Returns:
            Numbers, text and tensors, among them the memory of each parameter by name. After an
            error in a step, that is the state before the step.
        """
        self.averager.check_open()
        self._pipeline.come_to_rest()
        self._steps.end_if_void()
        state = checkpoint.save(self.averager, self._buckets.tensors())
        self._buckets.reshape(state["tensors"])
        loaded = self._regrouping
        layouts = self._buckets.layouts() if loaded is None else dict(loaded.layouts)
        return {**state, "buckets": layouts, "steps": self.steps}

    def load_state_dict(self, state: Any, strict: bool = True) -> None:
        """Continues from a :meth:`state_dict`.

        The run continues bit for bit with ``strict=True`` and ``fallback=False`` (no choice by
        measured times), if the checkpoint was saved after DDP had rebuilt its buckets, which it
        does after the first step.

        Args:
            state: that of this rank; with ``strict=False`` a list of those of all ranks of the
                earlier run, or of some of them if other ranks pass the rest.
            strict: whether the algorithm, world size and rank must be those of the earlier run. If
                not, all ranks must call this; they redistribute what the ranks of that run held,
                so that nothing is lost.

        Raises:
            ValueError: the pipeline or memory differs, or (if ``strict``) the algorithm, rank or
                world size; a rank's checkpoint is missing; or the model lacks parameters of these
                names and shapes, which the next step reports if the hook is not registered yet.
        """
        states = checkpoint.as_states(state, strict)
        shapes = checkpoint.shapes_in(states)
        self._buckets.names.look_for_model_of(self)
        self._buckets.used.watch()
        self._buckets.check(shapes)
        tensors = checkpoint.tensors_from(self.averager, states, strict)
        self._buckets.load(tensors, shapes)
        self._regrouping = Regrouping(states[0]["buckets"]) if strict else None
        steps = [float(one.get("steps", 0)) for one in states]
        self.steps = int(steps[0] if strict else self._exchange.largest([max([0.0, *steps])])[0])

    def skip_step(self) -> None:
        """Undoes the last step in memory, because its averages are not applied.

        This is automatic if an average was not finite. It does nothing if parameters have been
        updated since the last backward pass.
        """
        self.averager.check_open()
        self._steps.skip()

    def _begin_pass(self) -> None:
        self._exchange.meet("run a backward pass with the hook compressed_allreduce")
        self.steps += 1
        self._pipeline.begin_step()
        goes_on = self._steps.begin_pass()
        if self.fallback and self._is_on():
            decisions = self.tuner.decisions
            self.tuner.begin_step()
            if decisions == 0 < self.tuner.decisions and self._exchange.rank == 0:
                log_choice(self.report())
        choices = self.choices()
        held = any(c.memory.names() for c in self.averager.compressors())
        watches = held or not choices or any(choices.values()) or (goes_on and self._plain.watches)
        self._plain.watches = watches and not isinstance(self.compressor.memory, NoMemory)

    def _is_on(self) -> bool:
        return self._enabled and self.steps > self.start_step

    def choices(self) -> dict[int, bool]:
        """Whether each bucket is compressed now, by index; small buckets never are."""
        return {
            index: self._is_on() and (not self.fallback or self.tuner.compresses(index))
            for index, count in self._buckets.sizes().items()
            if count >= self._smallest
        }


def _end(stages: Sequence[Stage], lease: GroupLease, used: UsedParameters) -> None:
    """Ends the resources of a state. Must not refer to the state itself."""
    used.end()
    compress, exchange = stages
    compress.end(exchange.end)  # which may get work until then
    lease.end()
