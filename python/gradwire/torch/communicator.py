"""Averages single tensors, for training loops without DDP. The interface is that of GRACE."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist

from gradwire._tensors import plain_tensor
from gradwire.compressor import Compressor
from gradwire.exchange.adapter import NamedTensors
from gradwire.exchange.algorithms import make_averager
from gradwire.factory import compressor_from_params
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.groups import GroupLease
from gradwire.torch.pipeline import as_array
from gradwire.torch.saturate import copy_saturated


class Communicator(NamedTensors):
    """Averages tensors over all ranks: compresses them, exchanges the frames and decodes these.

    All ranks must create it and call it in the same order. :meth:`close`, the end of a ``with``
    block, or garbage collection releases its process group.

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
        self._finalizer = weakref.finalize(self, lease.end)
        self._exchange = GroupExchange(lease.group, lease.number, group)
        super().__init__(make_averager(compressor, self._exchange, algorithm, loss_scale))
        self.saturated = 0
        """Number of averaged elements that were too large for their dtype, and were clipped."""

    def __repr__(self) -> str:
        averager = self.averager
        return f"Communicator({averager.compressor!r}, algorithm={averager.algorithm!r})"

    def close(self) -> None:
        """Releases the gloo group and discards all state; save :meth:`state_dict` first."""
        super().close()
        self._finalizer()
        self._exchange.close()

    def step(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """Averages a tensor over all ranks.

        Args:
            tensor: floats, of any shape, in host memory; the same shape on all ranks.
            name: of the tensor, the same on all ranks. Each name has separate memory.

        Returns:
            A new tensor with the shape and dtype of ``tensor``.

        Raises:
            TypeError: ``tensor`` does not hold floats in host memory.
            CorruptFrameError: a frame was damaged in transit; names the sender.
            RuntimeError: this communicator was closed.
        """
        flat = plain_tensor(tensor, to_write=False).contiguous().reshape(-1)
        average = torch.from_numpy(self.averager.average(as_array(flat), name))
        result = torch.empty_like(flat)
        self.saturated += copy_saturated(average, result)
        return result.reshape(tensor.shape)


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
