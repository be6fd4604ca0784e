"""Collectives of byte arrays of any lengths over a process group of PyTorch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gradwire._arrays import ByteArray, as_bytes
from gradwire.exchange import Exchange, check_sizes

_ANY_SIZE = 1 << 40
_TAGS = 0x67770000  # the first of ours, apart from those of the program's own messages
_HEADER = 8  # bytes of a first message that say how many there are in all
_FIRST = 1 << 20  # bytes of the longest first message


class GroupExchange(Exchange):
    """Exact sizes, no padding.

    Each rank sends each other one a message of its own that begins with its size, and a second one
    only if there is more than the receiver makes room for in advance: that saves waiting for the
    sizes of all ranks.

    Args:
        group: of a backend for CPU tensors, for example gloo.
        number: of this user of the group, so that messages of others are not mistaken for its own.
        origin: the group that PyTorch knows its ranks by; None for ``group``.
    """

    def __init__(
        self, group: Any, number: int = 0, origin: dist.ProcessGroup | None = None
    ) -> None:
        self.group = group
        self._first_tag, self._rest_tag = _TAGS + 2 * number, _TAGS + 2 * number + 1
        self.rank = dist.get_rank(origin or group)
        self.world_size = dist.get_world_size(origin or group)
        self.room = _FIRST - _HEADER if _takes_shorter_messages() else 0
        self._others = [r for r in range(self.world_size) if r != self.rank]

    def close(self) -> None:
        """Lets go of the group, which ends with its last user."""
        self.group = None

    def allgather(self, data: ByteArray, limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.allgather`."""
        return self.alltoall([data] * self.world_size, limit)

    def alltoall(self, data: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.alltoall`."""
        incoming = {r: np.empty(_HEADER + self.room, np.uint8) for r in self._others}
        self._transfer({r: self._first(data[r]) for r in self._others}, incoming, self._first_tag)
        sizes = [d.size for d in data]
        for r, message in incoming.items():
            sizes[r] = int(message[:_HEADER].view(np.int64)[0])
        check_sizes(sizes, limit)
        received = list(data)
        for r, message in incoming.items():
            received[r] = message[_HEADER:][: sizes[r]]
            if sizes[r] > self.room:
                received[r] = np.empty(sizes[r], np.uint8)
                received[r][: self.room] = message[_HEADER:]
        rests = [{r: d[r][self.room :] for r in self._others} for d in (data, received)]
        self._transfer(rests[0], rests[1], self._rest_tag)
        return received

    def largest(self, numbers: Sequence[float]) -> list[float]:
        """The largest of each number over all ranks."""
        tensor = torch.tensor(numbers, dtype=torch.float64)
        options = dist.AllreduceOptions()
        options.reduceOp = dist.ReduceOp.MAX
        self.group.allreduce([tensor], options).wait()
        result: list[float] = tensor.tolist()
        return result

    def _first(self, data: ByteArray) -> ByteArray:
        return np.concatenate([np.array([data.size], np.int64).view(np.uint8), data[: self.room]])

    def _transfer(
        self, outgoing: dict[int, ByteArray], incoming: dict[int, ByteArray], tag: int
    ) -> None:
        """Sends messages to other ranks and awaits theirs; none where there is no byte."""
        works = [
            transfer([_tensor(message)], r, tag)
            for transfer, messages in ((self.group.recv, incoming), (self.group.send, outgoing))
            for r, message in messages.items()
            if message.size > 0
        ]
        for work in works:
            work.wait()


def _tensor(data: ByteArray) -> torch.Tensor:
    return torch.from_numpy(data if data.flags.writeable else data.copy())


def _takes_shorter_messages() -> bool:
    """Whether a receiver may await more than comes: with gloo over TCP it may, over libuv not."""
    transport = os.environ.get("GLOO_DEVICE_TRANSPORT", "TCP")
    return sys.platform == "linux" and transport in ("TCP", "TCP_TLS")


def allgather(frame: Any, group: dist.ProcessGroup | None = None) -> list[torch.Tensor]:
    """Gathers frames of any lengths.

    Args:
        frame: uint8 tensor or array in host memory, of this rank's own length.
        group: of a backend for CPU tensors, for example gloo; None for the default group.

    Returns:
        The frames of all ranks, by rank: 1-D uint8 tensors.
    """
    exchange = GroupExchange(group or dist.group.WORLD)
    return [_tensor(f) for f in exchange.allgather(as_bytes(frame), _ANY_SIZE)]
