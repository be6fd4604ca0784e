"""Averages of single tensors, for training loops without DDP. The interface is that of GRACE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from gradwire.agreement import agree, settings_of
from gradwire.averaging import make_averager
from gradwire.compressor import Compressor
from gradwire.factory import compressor_from_params
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.state import as_array, gloo_group


class Communicator:
    """Compresses tensors, exchanges the frames and averages what they hold.

    Args:
        compressor: alike on all ranks, but that its rank is set here.
        process_group: None for the default group.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.

    Raises:
        ValueError: ranks have different settings.
    """

    def __init__(
        self,
        compressor: Compressor,
        process_group: dist.ProcessGroup | None = None,
        algorithm: str = "auto",
    ) -> None:
        group = process_group or dist.group.WORLD
        compressor.rank = dist.get_rank(group)
        exchange = GroupExchange(gloo_group(group))
        self.averager = make_averager(compressor, exchange, algorithm)
        agree(exchange, settings_of(compressor, algorithm=type(self.averager).__name__))

    def step(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """The average of a tensor of floats over all ranks: a new one like it.

        Args:
            tensor: any shape, in host memory.
            name: of the tensor, alike on all ranks. Memories are kept apart by it.
        """
        flat = tensor.detach().contiguous().reshape(-1)
        average = torch.from_numpy(self.averager.average(as_array(flat), name))
        return average.reshape(tensor.shape).to(tensor.dtype)


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
