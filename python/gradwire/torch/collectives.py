"""Collectives of byte arrays of any length over a PyTorch process group."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gradwire._arrays import ByteArray, as_bytes
from gradwire.exchange.interface import Exchange, check_sizes
from gradwire.torch.groups import exchange_words

_ANY_SIZE = 1 << 40  # bytes; more than any frame has
_TAGS = 0x67770000  # our first message tag, chosen to differ from those of the program
_HEADER = 8  # bytes at the start of a first message that hold the size of the frame
_FIRST = 1 << 20  # bytes of the longest first message


class GroupExchange(Exchange):
    """Exchanges exactly the bytes of each rank, without padding.

    Each rank sends every other rank a first message, which begins with the size of the frame. It
    sends a second message only if the frame is larger than the space that receivers provide in
    advance. This avoids a round trip for the sizes.

    Args:
        group: a group whose backend supports CPU tensors, for example gloo.
        number: the number of this user of the group, which keeps its messages apart from those of
            other users.
        origin: the group from which PyTorch knows the ranks; None for ``group``.
    """

    def __init__(
        self, group: Any, number: int = 0, origin: dist.ProcessGroup | None = None
    ) -> None:
        self.group = group
        self._first_tag, self._rest_tag = _TAGS + 2 * number, _TAGS + 2 * number + 1
        self.rank = dist.get_rank(origin or group)
        self.world_size = dist.get_world_size(origin or group)
        self.room = _FIRST - _HEADER if _takes_shorter_messages() else 0
        self._origin: Any = origin or group
        self._place = f"{number}/meet"
        self._met: set[str] = set()
        self._others = [r for r in range(self.world_size) if r != self.rank]

    def meet(self, deed: str, place: str = "") -> None:
        """Waits until all ranks have called this; returns at once if they have.

        Args:
            deed: what brings ranks here, for the error.
            place: where ranks meet.

        Raises:
            RuntimeError: some ranks do not ``deed``; names them.
        """
        if place not in self._met:
            exchange_words(self._origin, f"{self._place}/{place}", "", deed)
            self._met.add(place)

    def close(self) -> None:
        """Releases the group, which ends with its last user."""
        self.group = self._origin = None

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
        """The maximum of each number over all ranks."""
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
        """Sends messages to other ranks and awaits theirs; empty messages are not sent."""
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
    """Whether a receive buffer may be larger than the message: in gloo over TCP, not over libuv."""
    transport = os.environ.get("GLOO_DEVICE_TRANSPORT", "TCP")
    return sys.platform == "linux" and transport in ("TCP", "TCP_TLS")


def allgather(frame: Any, group: dist.ProcessGroup | None = None) -> list[torch.Tensor]:
    """Gathers frames, whose sizes may differ between ranks. All ranks must call it.

    Args:
        frame: uint8 tensor or array in host memory: the frame of this rank.
        group: a group whose backend supports CPU tensors, for example gloo; None for the default
            group.

    Returns:
        The frames of all ranks, in rank order: 1-D uint8 tensors.

    Raises:
        TypeError: ``frame`` does not hold bytes.
    """
    exchange = GroupExchange(group or dist.group.WORLD)
    return [_tensor(f) for f in exchange.allgather(as_bytes(frame), _ANY_SIZE)]
