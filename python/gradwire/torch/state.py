"""The state of the communication hook between buckets and steps."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gradwire._memory import TensorMemory
from gradwire.compressor import Compressor
from gradwire.exchange import checkpoint
from gradwire.exchange.adapter import Closing
from gradwire.exchange.algorithms import make_averager
from gradwire.exchange.tuner import Tuner
from gradwire.memory import NoMemory, Residual
from gradwire.quantizers import QSGD
from gradwire.torch.buckets import Buckets
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.groups import GroupLease
from gradwire.torch.pipeline import Pipeline, as_array, value_or_error
from gradwire.torch.regroup import Bucket, Regrouping
from gradwire.torch.saturate import copy_saturated, is_finite
from gradwire.torch.stage import Stage
from gradwire.torch.steps import Steps
from gradwire.torch.used_parameters import UsedParameters

_SATURATED = "averaged elements were too large for their dtype and became its largest number"

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

    Raises:
        ValueError: ranks have different settings or versions of gradwire, the compressor is in use
            already, or this rank is not in the process group.
        RuntimeError: torch.distributed is not initialized.
    """

    __slots__ = (
        "__weakref__",
        "_buckets",
        "_exchange",
        "_finalizer",
        "_pipeline",
        "_plain_bytes",
        "_regrouping",
        "_steps",
        "_watches",
        "averager",
        "compressor",
        "fallback",
        "process_group",
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
    ) -> None:
        group = process_group or dist.group.WORLD
        if group is None:
            raise RuntimeError("call torch.distributed.init_process_group() first")
        compressor = compressor or Compressor(QSGD(4))
        self.process_group = group
        self.compressor = compressor
        self.fallback = fallback and compressor.estimates_gradient
        lease = GroupLease(group)
        self._finalizer: weakref.finalize[..., Any] = weakref.finalize(self, lease.end)
        self._exchange = GroupExchange(lease.group, lease.number, group)
        self.averager = make_averager(
            compressor, self._exchange, algorithm, loss_scale, fallback=self.fallback
        )
        self.tuner = Tuner(self._exchange.largest)
        self.steps = 0
        self._buckets = Buckets(self.averager)
        self._pipeline = Pipeline(self.averager, self.tuner.end)
        self._steps = Steps(self.averager, self._buckets, self._pipeline)
        self._finalizer.detach()
        used = self._buckets.used
        self._finalizer = weakref.finalize(self, _end, self._pipeline.stages, lease, used)
        self._plain_bytes = 0
        self._regrouping: Regrouping | None = None
        self._watches = False  # whether this step checks plain buckets for NaN and infinity

    def close(self) -> None:
        """Ends the threads and releases the gloo group; the hook must not be called afterward.

        This discards all state; save :meth:`state_dict` first.
        """
        self._finalizer()
        for stage in self._pipeline.stages:
            stage.join()
        self._exchange.close()
        self.averager.close()

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
            future = self._plain(buffer)
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
        if self._is_small(buffer.numel()):
            self._flush(index, buffer, used)  # memory of parameters that were in larger buckets
            return self._plain(buffer)
        self.tuner.begin(index)
        if self.fallback and not self.tuner.compresses(index):
            self._flush(index, buffer, used)
            return self._plain(buffer, index)
        return self._pipeline.average(index, buffer, used)

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
    def saturated(self) -> int:
        """Number of averaged elements that were too large for their dtype, and were clipped."""
        return self._pipeline.saturated

    def summary(self) -> str:
        """Bytes sent, seconds that it took, and which buckets are compressed now, as text."""
        traffic = self.averager.traffic
        raw = traffic.bytes_raw + self._plain_bytes
        sent = traffic.bytes_sent + self._plain_bytes
        chosen = [f"{i} {'compressed' if c else 'plain'}" for i, c in self.choices().items()]
        return "\n".join(
            [
                f"{self.steps} steps, {self._exchange.world_size} ranks, "
                f"{type(self.averager).__name__.lower()}, {self.compressor.pipeline!r}",
                f"raw {raw / 1e6:.1f} MB, sent {sent / 1e6:.1f} MB, "
                f"{raw / sent if sent else 1.0:.1f} times less",
                f"compress {traffic.compress:.3f} s, exchange {traffic.exchange:.3f} s, "
                f"decompress {traffic.decompress:.3f} s",
                f"buckets: {', '.join(chosen) or 'none'}",
                *([f"{self.saturated} {_SATURATED}"] if self.saturated else []),
            ]
        )

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
        shapes = self._buckets.shapes()
        for name, tensor in state["tensors"].items():
            tensor["arrays"] = {
                kind: torch.from_numpy(array).reshape(shapes.get(name, (-1,)))
                for kind, array in tensor["arrays"].items()
            }
        loaded = self._regrouping
        layouts = self._buckets.layouts() if loaded is None else dict(loaded.layouts)
        return {**state, "buckets": layouts}

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
        shapes = {
            name: tuple(next(iter(tensor["arrays"].values())).shape)
            for one in states
            for name, tensor in one["tensors"].items()
        }
        self._buckets.names.look_for_model_of(self)
        self._buckets.used.watch()
        self._buckets.check(shapes)
        tensors = checkpoint.tensors_from(self.averager, states, strict)
        self._buckets.load(tensors, shapes)
        self._regrouping = Regrouping(states[0]["buckets"]) if strict else None

    def skip_step(self) -> None:
        """Undoes the last step in memory, because its averages are not applied.

        This is automatic if an average was not finite. It does nothing if parameters have been
        updated since the last backward pass.
        """
        self.averager.check_open()
        self._steps.skip()

    def _begin_pass(self) -> None:
        self.steps += 1
        self._pipeline.begin_step()
        goes_on = self._steps.begin_pass()
        if self.fallback:
            self.tuner.begin_step()
        choices = self.choices()
        held = any(c.memory.names() for c in self.averager.compressors())
        watches = held or not choices or any(choices.values()) or (goes_on and self._watches)
        self._watches = watches and not isinstance(self.compressor.memory, NoMemory)

    def _is_small(self, count: int) -> bool:
        return count < SMALLEST and self.compressor.estimates_gradient

    def choices(self) -> dict[int, bool]:
        """Whether each bucket is compressed now, by index; small buckets never are."""
        return {
            index: not self.fallback or self.tuner.compresses(index)
            for index, count in self._buckets.sizes().items()
            if not self._is_small(count)
        }

    def _plain(
        self, buffer: torch.Tensor, index: int | None = None
    ) -> torch.futures.Future[torch.Tensor]:
        world = self._exchange.world_size
        self._plain_bytes += 2 * (world - 1) * buffer.numel() * buffer.element_size() // world
        work = dist.all_reduce(buffer.div_(world), group=self.process_group, async_op=True)

        def finish(future: torch.futures.Future[list[torch.Tensor]]) -> torch.Tensor:
            if index is not None:
                self.tuner.end(index)
            average = future.value()[0]
            if self._watches and not is_finite(average):
                self.averager.step_is_void = True
            return average

        return work.get_future().then(finish)

    def _flush(self, index: int, buffer: torch.Tensor, used: Sequence[bool]) -> None:
        """Adds the memory of a bucket to its gradient, which is sent by plain all-reduce.

        The memory of unused parameters stays, because DDP may discard their averages.
        Rounding errors in the dtype of the bucket stay as well.
        """
        memory, name = self.compressor.memory, str(index)
        held = self.averager.held(name)
        if held is None or not isinstance(memory, Residual):
            return
        scale = self.compressor.current_loss_scale()
        left_out = self.averager.left_out(held).at(scale)[memory.unsent]
        rest = np.zeros_like(left_out)
        zeros = self.averager.untouched(as_array(buffer.cpu()), name)
        unused = [part for part, is_used in zip(self.averager.parts[name], used) if not is_used]
        for begin, end in {*zeros, *unused}:
            rest[begin:end] = left_out[begin:end]
            left_out[begin:end] = 0
        wide = torch.promote_types(buffer.dtype, torch.float32)
        given = buffer.to("cpu", wide)
        total = given + memory.beta * torch.from_numpy(left_out).to(wide)
        if wide == torch.float32 and not is_finite(total):
            total = given.double() + memory.beta * torch.from_numpy(left_out).double()
        self._pipeline.saturated += copy_saturated(total, buffer)
        if wide != buffer.dtype:
            rest += (total - buffer.to("cpu", wide)).nan_to_num_(0, 0, 0).numpy()
        kept = TensorMemory({memory.unsent: rest}, scale) if rest.any() else None
        self.averager.keep(name, kept, rest.size, as_step=True)


def _end(stages: Sequence[Stage], lease: GroupLease, used: UsedParameters) -> None:
    """Ends the resources of a state. Must not refer to the state itself."""
    used.end()
    compress, exchange = stages
    compress.end(exchange.end)  # which may get work until then
    lease.end()
