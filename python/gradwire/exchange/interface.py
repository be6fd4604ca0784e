"""Collectives of bytes between ranks; adapters implement them for their frameworks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError


class Exchange(ABC):
    """Collectives of byte arrays of any length.

    All ranks must call the same methods in the same order. Input from the network is not trusted:
    if a rank announces more than ``limit`` bytes, an error names it, and no more than a constant
    amount of memory is allocated for it before.
    """

    rank: int
    world_size: int

    @abstractmethod
    def allgather(self, data: ByteArray, limit: int) -> list[ByteArray]:
        """Sends ``data`` to all ranks; returns the data of all ranks in rank order."""

    def start_allgather(
        self, data: ByteArray, limit: int, name: str
    ) -> Callable[[], list[ByteArray]]:
        """An :meth:`allgather` that may go on until the function that it returns is called.

        Args:
            data: as for :meth:`allgather`.
            limit: as for :meth:`allgather`.
            name: of the tensor, for frameworks that match calls of ranks by it.
        """
        return partial(self.allgather, data, limit)

    @abstractmethod
    def alltoall(self, data: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        """Sends ``data[r]`` to each rank r; returns what each rank sent here, in rank order."""

    def traffic_of_allgather(self, size: int) -> int:
        """Bytes that this rank sends in an :meth:`allgather` of ``size`` bytes."""
        return size * (self.world_size - 1)


def check_sizes(sizes: Sequence[int], limit: int) -> None:
    """Checks the sizes that the ranks have announced.

    Raises:
        CorruptFrameError: a size is negative or above ``limit`` bytes; names the rank.
    """
    for rank, size in enumerate(sizes):
        if not 0 <= size <= limit:
            raise CorruptFrameError(
                f"rank {rank} announced a frame of {size} bytes, at most {limit} are allowed here"
            )
