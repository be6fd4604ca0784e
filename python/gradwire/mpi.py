"""MPI: averages gradients over the ranks of an mpi4py communicator.

    averager = gw.mpi.Averager(gw.Compressor(gw.QSGD(4)))
    gradient = averager.average(gradient, name="layer1.weight")

or, to compute while frames are in transit,

    pending = averager.start(gradient, name="layer1.weight")
    gradient = pending.wait()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._extras import needs
from gradwire.compressor import Compressor
from gradwire.exchange.adapter import NamedTensors, Pending
from gradwire.exchange.algorithms import make_averager
from gradwire.exchange.decoding import Output
from gradwire.exchange.interface import Exchange, check_sizes

with needs("mpi", "mpi4py"):
    from mpi4py import MPI


_keyval: int | None = None  # key of the attribute of a communicator that holds its duplicate


class MPIExchange(Exchange):
    """Exchanges exactly the bytes of each rank, without padding.

    Args:
        comm: a communicator with all participating ranks.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self.comm = comm
        self.rank = comm.rank
        self.world_size = comm.size

    def allgather(self, data: ByteArray, limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.allgather`."""
        return self.start_allgather(data, limit, "")()

    def start_allgather(
        self, data: ByteArray, limit: int, name: str
    ) -> Callable[[], list[ByteArray]]:
        """Starts an :meth:`allgather`; the function that it returns waits for the result."""
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


class Averager(NamedTensors):
    """Averages gradients over all ranks. All ranks must create it and call it in the same order.

    If a gradient is not finite on one rank, its average is NaN on all ranks, and the memory of that
    tensor is unchanged. Call :meth:`skip_step` if finite averages are not applied.

    Args:
        compressor: configure it identically on all ranks; its ``rank`` is overwritten here. Do not
            use it for anything else.
        comm: None for ``MPI.COMM_WORLD``. It is duplicated once, for all averagers.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        loss_scale: returns the current loss scale, see :class:`~gradwire.compressor.Compressor`.

    Raises:
        ValueError: ranks have different settings, or the compressor is in use already.
    """

    def __init__(
        self,
        compressor: Compressor,
        comm: MPI.Comm | None = None,
        algorithm: str = "auto",
        loss_scale: Callable[[], float] | None = None,
    ) -> None:
        exchange = MPIExchange(_duplicate(comm or MPI.COMM_WORLD))
        super().__init__(make_averager(compressor, exchange, algorithm, loss_scale))
        self._pending: set[str] = set()
        self.traffic = self.averager.traffic

    def average(self, x: Any, name: str, weight: float | None = None) -> Output:
        """Averages a gradient over all ranks.

        Args:
            x: floats, of any shape, the same on all ranks; a NumPy array or torch CPU tensor.
            name: of the tensor, the same on all ranks. Each name has separate memory.
            weight: of this rank, if ranks count differently: finite and not negative. All ranks
                must pass one, or none of them; see :meth:`gradwire.torch.Communicator.step`.

        Returns:
            A new array of the shape of ``x``: float32, or float64 if ``x`` is float64 and the
            pipeline is :class:`gradwire.Lossless`.

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: a tensor of this name is being averaged already. On all ranks: only some
                have a weight, one is negative or not finite, or all are 0.
            CorruptFrameError: a frame was damaged in transit; names the sender.
            RuntimeError: this averager was closed.
        """
        return self.start(x, name, weight).wait()

    def start(self, x: Any, name: str, weight: float | None = None) -> Pending[Output]:
        """Starts to average a gradient.

        Args:
            x: as for :meth:`average`; it may be changed once this returns.
            name: as for :meth:`average`.
            weight: as for :meth:`average`.

        Returns:
            An object whose ``wait()`` returns what :meth:`average` does. Call these in the same
            order on all ranks.

        Raises:
            ValueError: a tensor of this name is being averaged already.
        """
        if name in self._pending:
            raise ValueError(f"tensor {name!r} is being averaged already; call its wait() first")
        shape = tuple(x.shape)
        out = self.averager.room_for(x)
        own = None if weight is None else float(weight)
        frames = self.averager.compress(x.reshape(-1), name, weight=own)
        try:
            finish = self.averager.start(frames, name, out)
        except BaseException:
            self.averager.take_back([name])
            raise
        self._pending.add(name)

        def arrive() -> Output:
            self._pending.discard(name)
            try:
                finish()
            except BaseException:
                self.averager.take_back([name])
                raise
            return out.reshape(shape)

        return Pending(arrive)


def _duplicate(comm: MPI.Comm) -> MPI.Comm:
    """The duplicate of a communicator, made on first use, so that messages cannot mix."""
    global _keyval
    if _keyval is None:
        _keyval = MPI.Comm.Create_keyval()
    own = comm.Get_attr(_keyval)
    if isinstance(own, MPI.Comm):
        return own
    own = comm.Dup()
    comm.Set_attr(_keyval, own)
    return own
