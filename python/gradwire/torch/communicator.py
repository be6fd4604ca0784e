"""Averages of single tensors, for training loops without DDP. The interface is that of GRACE."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist

from gradwire._tensors import plain_tensor
from gradwire.adapter import NamedTensors
from gradwire.algorithms import make_averager
from gradwire.compressor import Compressor
from gradwire.factory import compressor_from_params
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.groups import GroupLease
from gradwire.torch.pipeline import as_array
from gradwire.torch.saturate import copy_saturated


class Communicator(NamedTensors):
    """Compresses tensors, exchanges the frames and averages what they hold.

    Args:
        compressor: configure it identically on all ranks; its rank is set here. It belongs to this
            communicator alone.
        process_group: None for the default group.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        loss_scale: gives the factor by which the loss is multiplied at the moment, see
            :class:`~gradwire.compressor.Compressor`.

    It ends with :meth:`close`, at the end of a ``with`` block, or when nothing refers to it any
    more.

    Raises:
        ValueError: ranks have different settings, or the compressor is in use already.
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
        """Elements of averages that the type of their tensor could not hold."""

    def close(self) -> None:
        """Ends the gloo group. What memory holds is forgotten; save :meth:`state_dict` first."""
        super().close()
        self._finalizer()
        self._exchange.close()

    def step(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """The average of a tensor of floats over all ranks: a new one like it.

        Args:
            tensor: any shape, in host memory.
            name: of the tensor, alike on all ranks. Memories are kept apart by it.
        """
        flat = plain_tensor(tensor, to_write=False).contiguous().reshape(-1)
        average = torch.from_numpy(self.averager.average(as_array(flat), name))
        result = torch.empty_like(flat)
        self.saturated += copy_saturated(average, result)
        return result.reshape(tensor.shape)


def communicator_from_params(
    params: Mapping[str, Any], process_group: dist.ProcessGroup | None = None
) -> Communicator:
    """A communicator from settings, as GRACE's ``grace_from_params`` takes them.

    Args:
        params: those of :func:`gradwire.compressor_from_params`, and "communicator": "allgather",
            "sharded" or "auto" ("allreduce" means that too).
        process_group: None for the default group.
    """
    algorithm = params.get("communicator", "auto")
    return Communicator(
        compressor_from_params(params),
        process_group,
        "auto" if algorithm == "allreduce" else algorithm,
    )
