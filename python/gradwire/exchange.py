"""How bytes travel between ranks. Adapters implement it with the collectives of their framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError


class Exchange(ABC):
    """Collectives of byte arrays of any lengths.

    All ranks must call the same methods in the same order. What arrives comes from the network:
    whoever sends more than ``limit`` bytes is named in an error before memory is taken for them,
    but for a constant amount.
    """

    rank: int
    world_size: int

    @abstractmethod
    def allgather(self, data: ByteArray, limit: int) -> list[ByteArray]:
        """Sends ``data`` to all; returns the data of all ranks, by rank, this one's included."""

    @abstractmethod
    def alltoall(self, data: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        """Sends ``data[r]`` to rank r; returns what each rank has sent to this one, by rank."""

    def traffic_of_allgather(self, size: int) -> int:
        """Bytes that this rank sends in an :meth:`allgather` of ``size`` bytes."""
        return size * (self.world_size - 1)


def check_sizes(sizes: Sequence[int], limit: int) -> None:
    """Refuses sizes that no rank can honestly announce.

    Raises:
        CorruptFrameError: a size is negative or above ``limit``; names the rank.
    """
    for rank, size in enumerate(sizes):
        if not 0 <= size <= limit:
            raise CorruptFrameError(
                f"rank {rank} announces a frame of {size} bytes, at most {limit} make sense here"
            )
