"""Collectives of byte arrays of any lengths over a process group of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gradwire._arrays import ByteArray, as_bytes
from gradwire.exchange import Exchange, check_sizes

_ANY_SIZE = 1 << 40


class GroupExchange(Exchange):
    """Exact sizes, no padding: unlike gloo's gathers, ``all_to_all_single`` takes uneven splits.

    Args:
        group: of a backend for CPU tensors.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        self.group = group
        self.rank = dist.get_rank(group)
        self.world_size = dist.get_world_size(group)

    def allgather(self, data: ByteArray, limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.allgather`."""
        return self.alltoall([data] * self.world_size, limit)

    def alltoall(self, data: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.alltoall`."""
        sizes = torch.empty(self.world_size, dtype=torch.int64)
        dist.all_to_all_single(sizes, torch.tensor([d.size for d in data]), group=self.group)
        return self._send(data, sizes.tolist(), limit)

    def largest(self, numbers: Sequence[float]) -> list[float]:
        """The largest of each number over all ranks."""
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.group)
        result: list[float] = tensor.tolist()
        return result

    def _send(self, data: Sequence[ByteArray], sizes: list[int], limit: int) -> list[ByteArray]:
        check_sizes(sizes, limit)
        outgoing = [d.size for d in data]
        own, outgoing[self.rank], sizes[self.rank] = data[self.rank], 0, 0
        others = [d for r, d in enumerate(data) if r != self.rank]
        out = torch.empty(sum(sizes), dtype=torch.uint8)
        dist.all_to_all_single(
            out,
            torch.from_numpy(np.concatenate(others) if others else np.empty(0, np.uint8)),
            sizes,
            outgoing,
            group=self.group,
        )
        received = np.split(out.numpy(), np.cumsum(sizes)[:-1])
        received[self.rank] = own
        return received


def allgather(frame: Any, group: dist.ProcessGroup | None = None) -> list[torch.Tensor]:
    """Gathers frames of any lengths.

    Args:
        frame: uint8 tensor or array in host memory, of this rank's own length.
        group: of a backend for CPU tensors, for example gloo; None for the default group.

    Returns:
        The frames of all ranks, by rank: 1-D uint8 tensors.
    """
    exchange = GroupExchange(group or dist.group.WORLD)
    return [torch.from_numpy(f) for f in exchange.allgather(as_bytes(frame), _ANY_SIZE)]
