"""Averages tensors, for training loops without DDP. The interface is that of GRACE, and more."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

import torch
import torch.distributed as dist

from gradwire.compressor import Compressor
from gradwire.exchange import checkpoint
from gradwire.exchange.adapter import NamedTensors, Pending
from gradwire.exchange.agreement import agree
from gradwire.exchange.algorithms import make_averager
from gradwire.exchange.layouts import NamedBuckets
from gradwire.factory import compressor_from_params
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.groups import GroupLease
from gradwire.torch.named_tensors import as_given, bucketed, flat_on_host, named, shape_of
from gradwire.torch.pipeline import Pipeline, nothing, value_or_error
from gradwire.torch.stage import Stage

Tensors = TypeVar("Tensors", list[torch.Tensor], dict[str, torch.Tensor])


class Communicator(NamedTensors):
    """Averages tensors over all ranks: compresses them, exchanges the frames and decodes these.

    All ranks must create it and call it in the same order. Two threads do the work, in the order of
    calls. :meth:`close`, the end of a ``with`` block, or garbage collection ends them and releases
    the process group.

    An error after which ranks may not be at the same point, such as a damaged frame, stops the
    communicator: all later calls raise it too. In memory, the step is undone for tensors whose
    average has not arrived. Errors about weights, and about tensors that differ between ranks, are
    raised by all ranks, which may go on.

    Args:
        compressor: configure it identically on all ranks; its ``rank`` is overwritten here. Do not
            use it for anything else.
        process_group: None for the default group.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        loss_scale: returns the current loss scale, see :class:`~gradwire.compressor.Compressor`.

    Raises:
        ValueError: ranks have different settings, the compressor is in use already, or this rank
            is not in the process group.
        RuntimeError: torch.distributed is not initialized.
    """

    def __init__(
        self,
        compressor: Compressor,
        process_group: dist.ProcessGroup | None = None,
        algorithm: str = "auto",
        loss_scale: Callable[[], float] | None = None,
    ) -> None:
        group = process_group or dist.group.WORLD
        if group is None:
            raise RuntimeError("call torch.distributed.init_process_group() first")
        lease = GroupLease(group)
        self._finalizer: weakref.finalize[..., Any] = weakref.finalize(self, lease.end)
        self._exchange = GroupExchange(lease.group, lease.number, group)
        averager = make_averager(compressor, self._exchange, algorithm, loss_scale)
        super().__init__(averager)
        self._buckets = NamedBuckets(averager)
        self._pipeline: Pipeline[str] = Pipeline(
            averager, nothing, lambda name: averager.take_back([name])
        )
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _end, self._pipeline.stages, lease)

    def __repr__(self) -> str:
        averager = self.averager
        return f"Communicator({averager.compressor!r}, algorithm={averager.algorithm!r})"

    @property
    def saturated(self) -> int:
        """Number of averaged elements that were too large for their dtype, and were clipped."""
        return self._pipeline.saturated

    def close(self) -> None:
        """Releases the threads and the gloo group, and discards all state.

        Averages that were started arrive before, so ``wait()`` returns them afterward too. Save
        :meth:`state_dict` first.
        """
        self._finalizer()
        for stage in self._pipeline.stages:
            stage.join()
        self._exchange.close()
        super().close()

    def step(self, tensor: torch.Tensor, name: str, weight: float | None = None) -> torch.Tensor:
        """Averages a tensor over all ranks.

        With weights, the result is the sum of weight times tensor over all ranks, divided by the
        sum of weights; for signs, a rank has as many votes as its weight says. A rank without data
        passes 0: its elements do not count, not even NaN, and its memory stays as it is. Memories
        keep what was left out of a tensor without its weight: it is sent later, with the weight of
        that step.

        Args:
            tensor: floats, of any shape; the same shape on all ranks. Tensors on other devices
                than the CPU are copied to host memory and back; this was not yet run on a GPU.
            name: of the tensor, the same on all ranks. Each name has separate memory.
            weight: of this rank, for example the number of samples in its batch: finite and not
                negative. All ranks must pass one, or none of them. It takes 9 bytes per frame.

        Returns:
            A new tensor with the shape, dtype and device of ``tensor``.

        Raises:
            TypeError: ``tensor`` does not hold floats, or not in plain memory.
            ValueError: a tensor of this name had another number of elements. On all ranks: only
                some have a weight, one is negative or not finite, or all are 0.
            CorruptFrameError: a frame was damaged in transit; names the sender.
            RuntimeError: this communicator was closed, or the exchange failed; a rank may have
                died.
        """
        return self._start({name: tensor}, weight, compares=False).wait()[name]

    @overload
    def average(
        self,
        tensors: Tensors,
        names: Sequence[str] | None = None,
        weight: float | None = None,
        async_op: Literal[False] = False,
    ) -> Tensors: ...
    @overload
    def average(
        self,
        tensors: Tensors,
        names: Sequence[str] | None = None,
        weight: float | None = None,
        *,
        async_op: Literal[True],
    ) -> Pending[Tensors]: ...
    def average(
        self,
        tensors: Any,
        names: Sequence[str] | None = None,
        weight: float | None = None,
        async_op: bool = False,
    ) -> Any:
        """Averages several tensors over all ranks, joined into buckets of up to 25 MB.

        Tensors of one dtype share a bucket, and a bucket is sent as one frame. Pass the same
        tensors together in each step. Their memories carry their names: tensors may be passed to
        :meth:`step`, or together with others, later on. If tensors come together for the first
        time, ranks compare their names, dtypes and shapes, which takes a round trip.

        If an element is not finite, the averages of its bucket are NaN, at least in part, and the
        memory of this bucket is unchanged. Apply none of the averages then, and call
        :meth:`skip_step` with all names.

        Args:
            tensors: a list, or a dict from names to tensors; of any shapes, dtypes and devices, as
                for :meth:`step`.
            names: of the tensors of a list; None for "0", "1", ...
            weight: as for :meth:`step`.
            async_op: return at once, and average in threads. The tensors may be changed meanwhile.

        Returns:
            A new list or dict of tensors like those given. They are views of the buckets. With
            ``async_op`` an object whose ``wait()`` returns them; call it in any order. A tensor
            that is still being averaged is waited for before its next average begins.

        Raises:
            ValueError: names do not go with the tensors, or as for :meth:`step`; on all ranks if
                ranks pass different tensors.
            Exception: as for :meth:`step`; with ``async_op`` from ``wait()`` if it concerns other
                ranks.
        """
        keys = named(tensors, names)
        pending = self._start(keys, weight, compares=True)
        result = Pending(lambda: as_given(tensors, keys, pending.wait()))
        return result if async_op else result.wait()

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to continue, for this rank's checkpoint: flat tensors by name.

        Averages that were started arrive before. ``torch.load`` takes it with
        ``weights_only=True``.
        """
        self._pipeline.come_to_rest()
        state = checkpoint.save(self.averager, self._buckets.tensors())
        for tensor in state["tensors"].values():
            arrays = tensor["arrays"]
            tensor["arrays"] = {kind: torch.from_numpy(array) for kind, array in arrays.items()}
        return state

    def load_state_dict(self, state: Any, strict: bool = True) -> None:
        """Continues from a :meth:`state_dict`; see :meth:`gradwire.mpi.Averager.load_state_dict`.

        Tensors may be averaged together with others than before. If they are not, and ``strict``,
        the run continues bit for bit.
        """
        self._pipeline.come_to_rest()
        states = checkpoint.as_states(state, strict)
        self._buckets.replace(checkpoint.tensors_from(self.averager, states, strict))

    def _take_back(self, names: Iterable[str]) -> None:
        self.averager.check_open()
        self._pipeline.come_to_rest()
        self._buckets.skip(set(names))

    def _start(
        self, tensors: Mapping[str, torch.Tensor], weight: float | None, compares: bool
    ) -> Pending[dict[str, torch.Tensor]]:
        self.averager.check_open()
        self._pipeline.check_failure()
        if isinstance(weight, (str, bool)):
            raise TypeError(f"weight must be a number, got {weight!r}")
        own = None if weight is None else float(weight)
        flat = {name: flat_on_host(name, tensor) for name, tensor in tensors.items()}
        targets = {name: (tensor.shape, tensor.device) for name, tensor in tensors.items()}
        buckets = bucketed(flat)
        layouts = [[(name, flat[name].numel()) for name in bucket] for bucket in buckets]
        if not self._buckets.are_arranged(layouts):
            self._pipeline.wait()
            if compares:
                shapes = {name: shape_of(tensor) for name, tensor in tensors.items()}
                agree(self._exchange, shapes, "tensors; pass the same ones on all ranks")
            self._buckets.arrange(layouts)
        if any(self._pipeline.is_pending(bucket[0]) for bucket in buckets):
            self._pipeline.wait()
        joined = {bucket[0]: torch.cat([flat[name] for name in bucket]) for bucket in buckets}
        futures = [self._pipeline.average(key, one, weight=own) for key, one in joined.items()]

        def finish() -> dict[str, torch.Tensor]:
            for future in futures:
                future.wait()
            self._pipeline.forget_ended()
            averages = {}
            for future, layout in zip(futures, layouts):
                pieces = value_or_error(future).split([count for _, count in layout])
                for (name, _), piece in zip(layout, pieces):
                    shape, device = targets[name]
                    averages[name] = piece.reshape(shape).to(device)
            return averages

        return Pending(finish)


def _end(stages: Sequence[Stage], lease: GroupLease) -> None:
    """Ends the resources of a communicator. Must not refer to the communicator itself."""
    compress, exchange = stages
    compress.end(exchange.end)  # which may get work until then
    lease.end()


def communicator_from_params(
    params: Mapping[str, Any], process_group: dist.ProcessGroup | None = None
) -> Communicator:
    """Creates a communicator from settings like those of GRACE's ``grace_from_params``.

    Args:
        params: those of :func:`gradwire.compressor_from_params`, and "communicator": "allgather",
            "sharded" or "auto" (default; "allreduce" means the same).
        process_group: None for the default group.

    Raises:
        ValueError: a name or a setting is unknown; or as for :class:`Communicator`.
    """
    algorithm = params.get("communicator", "auto")
    return Communicator(
        compressor_from_params(params),
        process_group,
        "auto" if algorithm == "allreduce" else algorithm,
    )
