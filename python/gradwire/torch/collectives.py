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
_HEADER = 8  # bytes of a first message that say how many there are in all
_ROOM = (1 << 20) - _HEADER  # for data in a first message


class GroupExchange(Exchange):
    """Exact sizes, no padding.

    Each rank sends each other one a message of its own that begins with its size, and a second one
    only if there is more than the receiver could have made room for in advance. A collective of
    sizes and one of data would wait for all ranks twice.

    Args:
        group: of a backend for CPU tensors that takes messages shorter than awaited, as gloo and
            MPI do.
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
        firsts = [np.empty(_HEADER + _ROOM, np.uint8) for _ in data]
        self._transfer([_first_message(d) for d in data], firsts)
        firsts[self.rank] = _first_message(data[self.rank])
        sizes = [int(message[:_HEADER].view(np.int64)[0]) for message in firsts]
        check_sizes(sizes, limit)
        received = [message[_HEADER:][:size] for message, size in zip(firsts, sizes)]
        received[self.rank] = data[self.rank]
        for r in range(self.world_size):
            if r != self.rank and sizes[r] > _ROOM:
                received[r] = np.empty(sizes[r], np.uint8)
                received[r][:_ROOM] = firsts[r][_HEADER:]
        self._transfer([d[_ROOM:] for d in data], [r[_ROOM:] for r in received])
        return received

    def largest(self, numbers: Sequence[float]) -> list[float]:
        """The largest of each number over all ranks."""
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.group)
        result: list[float] = tensor.tolist()
        return result

    def _transfer(self, outgoing: Sequence[ByteArray], incoming: Sequence[ByteArray]) -> None:
        """Sends messages to all other ranks and awaits theirs; none where there is no byte."""
        works = []
        for transfer, messages in ((dist.irecv, incoming), (dist.isend, outgoing)):
            for rank, message in enumerate(messages):
                if rank != self.rank and message.size > 0:
                    peer = dist.get_global_rank(self.group, rank)
                    works.append(transfer(torch.from_numpy(message), peer, group=self.group))
        for work in works:
            work.wait()


def _first_message(data: ByteArray) -> ByteArray:
    return np.concatenate([np.array([data.size], np.int64).view(np.uint8), data[:_ROOM]])


def allgather(frame: Any, group: dist.ProcessGroup | None = None) -> list[torch.Tensor]:
    """Gathers frames of any lengths.

    Args:
        frame: uint8 tensor or array in host memory, of this rank's own length.
        group: of a backend for CPU tensors, for example gloo; None for the default group.

    Returns:
        The frames of all ranks, by rank: 1-D uint8 tensors.
    """
    exchange = GroupExchange(group or dist.group.WORLD)
    data = np.array(as_bytes(frame))  # torch does not like arrays that cannot be written to
    return [torch.from_numpy(f) for f in exchange.allgather(data, _ANY_SIZE)]
