"""MPI: averages of gradients over the ranks of a communicator of mpi4py.

    averager = gw.mpi.Averager(gw.Compressor(gw.QSGD(4)))
    gradient = averager.average(gradient, name="layer1.weight")

or, to compute while frames travel,

    pending = averager.start(gradient, name="layer1.weight")
    gradient = pending.wait()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._extras import needs
from gradwire.agreement import agree, settings_of
from gradwire.averaging import Allgather, Output, largest_frame, make_averager
from gradwire.compressor import Compressor
from gradwire.exchange import Exchange, check_sizes

with needs("mpi", "mpi4py"):
    from mpi4py import MPI


class MPIExchange(Exchange):
    """Exact sizes, no padding.

    Args:
        comm: of all ranks that take part.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self.comm = comm
        self.rank = comm.rank
        self.world_size = comm.size

    def allgather(self, data: ByteArray, limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.allgather`."""
        return self.start_allgather(data, limit)()

    def start_allgather(self, data: ByteArray, limit: int) -> Callable[[], list[ByteArray]]:
        """An :meth:`allgather` that goes on until the function it returns is called."""
        sizes = self.comm.allgather(data.size)
        check_sizes(sizes, limit)
        out = np.empty(sum(sizes), np.uint8)
        request = self.comm.Iallgatherv(data, (out, sizes))

        def finish() -> list[ByteArray]:
            request.Wait()
            return np.split(out, np.cumsum(sizes)[:-1])

        return finish

    def alltoall(self, data: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.alltoall`."""
        outgoing = [d.size for d in data]
        sizes = self.comm.alltoall(outgoing)
        check_sizes(sizes, limit)
        out = np.empty(sum(sizes), np.uint8)
        self.comm.Alltoallv((np.concatenate(data), outgoing), (out, sizes))
        return np.split(out, np.cumsum(sizes)[:-1])


class Averager:
    """Averages gradients over all ranks. All ranks must create it, and call it, in one order.

    Args:
        compressor: alike on all ranks, but that its rank is set here.
        comm: None for ``MPI.COMM_WORLD``. It is duplicated.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.

    Raises:
        ValueError: ranks have different settings.
    """

    def __init__(
        self, compressor: Compressor, comm: MPI.Comm | None = None, algorithm: str = "auto"
    ) -> None:
        self._exchange = MPIExchange((comm or MPI.COMM_WORLD).Dup())
        compressor.rank = self._exchange.rank
        self._averager = make_averager(compressor, self._exchange, algorithm)
        self.traffic = self._averager.traffic
        agree(
            self._exchange,
            settings_of(compressor, algorithm=type(self._averager).__name__),
        )

    def average(self, x: Any, name: str) -> Output:
        """The average over all ranks: a new array of the shape of ``x``.

        It is float32, or float64 for float64 with :class:`gradwire.Lossless`.

        Args:
            x: floats, any shape; a NumPy array or torch CPU tensor.
            name: of the tensor, alike on all ranks. Memories are kept apart by it.
        """
        return self.start(x, name).wait()

    def start(self, x: Any, name: str) -> Pending:
        """Begins to average; ``wait()`` of what it returns gives what :meth:`average` gives.

        Args:
            x: as for :meth:`average`; may be changed once this returns.
            name: as for :meth:`average`.
        """
        averager, shape = self._averager, tuple(x.shape)
        out = averager.room_for(x)
        frames = averager.compress(x.reshape(-1), name)
        if not isinstance(averager, Allgather):
            averager.complete(frames, name, out)
            return Pending(lambda: out.reshape(shape))
        arrive = self._exchange.start_allgather(frames[0], largest_frame(out.size))

        def finish() -> Output:
            averager.add_up(arrive(), out)
            return out.reshape(shape)

        return Pending(finish)


class Pending:
    """An average on its way."""

    def __init__(self, finish: Callable[[], Output]) -> None:
        self._finish = finish

    def wait(self) -> Output:
        """The average: see :meth:`Averager.average`."""
        return self._finish()
