"""Averages of gradients over ranks, by way of compressed frames. Knows no framework.

Two algorithms. ``allgather``: the frame of each rank goes to all, and all add them up. ``sharded``:
the gradient is cut into one shard per rank; each rank receives its shard from all, averages it,
and sends the average, compressed once more, to all. Its traffic per rank does not grow with the
world; the second compression has an error feedback of its own.

Both leave the same bits on all ranks: whatever a rank adds up, it adds in the order of ranks, and
it decodes its own frames like those of others.
"""

from __future__ import annotations

import copy
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError, MissingCodeBookError
from gradwire._floats import Float32Array
from gradwire.compressor import Compressor
from gradwire.exchange import Exchange
from gradwire.gradient_frames import decompress_gradient, decompress_sum
from gradwire.memory import NoMemory, Residual
from gradwire.quantizers import Lossless, SignSGD, Signum

ALGORITHMS = ("allgather", "sharded")
FEW_RANKS = 3
"""Up to so many, ``auto`` takes ``allgather``: fewer round trips, and one compression only."""
_UNIT = 512  # shards begin at multiples of it, so that they cut few buckets
_NOT_FINITE = np.empty(0, np.uint8)  # stands for a gradient with NaN or infinity

Output = npt.NDArray[Any]
State = dict[str, Float32Array]


@dataclass
class Traffic:
    """What has been sent so far, and the seconds it took. Two threads may add to it."""

    bytes_raw: int = 0
    """What a ring all-reduce of the same gradients would have sent."""
    bytes_sent: int = 0
    compress: float = 0.0
    exchange: float = 0.0
    decompress: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, what: str, amount: float) -> None:
        """More of one of these."""
        with self._lock:
            setattr(self, what, getattr(self, what) + amount)


class Averager(ABC):
    """Averages gradients over the ranks of an exchange.

    :meth:`compress` makes the frames of a gradient and sends nothing; :meth:`complete` exchanges
    them and decodes the average. They may run in two threads, each for one tensor after the other.
    """

    def __init__(self, compressor: Compressor, exchange: Exchange) -> None:
        self.compressor = compressor
        self.exchange = exchange
        self.traffic = Traffic()

    def average(self, x: Any, name: str, out: Output | None = None) -> Output:
        """The average of ``x`` over all ranks.

        Args:
            x: the gradient of this rank: floats, any shape.
            name: of the tensor.
            out: flat array to fill: float32, or float64 for float64 with ``Lossless``; None for a
                new one.
        """
        if out is None:
            out = self.room_for(x)
        self.complete(self.compress(x.reshape(-1), name), name, out)
        return out

    def keeps_float64(self, x: Any) -> bool:
        """Whether averages of ``x`` are float64: of float64, with :class:`Lossless`."""
        return isinstance(self.compressor.pipeline, Lossless) and "float64" in str(x.dtype)

    def room_for(self, x: Any) -> Output:
        """A flat array for the average of ``x``: float32, unless float64 is kept."""
        dtype = np.float64 if self.keeps_float64(x) else np.float32
        return np.empty(int(np.prod(x.shape)), dtype)

    def compress(self, x: Any, name: str) -> list[ByteArray]:
        """Frames of a flat gradient. One that is not finite makes averages NaN, as a sum would."""
        begin = time.perf_counter()
        frames = self._compress(x, name)
        self.traffic.add("compress", time.perf_counter() - begin)
        world = self.exchange.world_size
        self.traffic.add("bytes_raw", 2 * (world - 1) * x.nbytes // world)
        self.traffic.add("bytes_sent", self._bytes_sent(frames))
        return frames

    @abstractmethod
    def complete(self, frames: Sequence[ByteArray], name: str, out: Output) -> None:
        """Exchanges the frames of :meth:`compress` and decodes the average into ``out``."""

    def compressors(self) -> list[Compressor]:
        """All that have a state."""
        return [self.compressor]

    @abstractmethod
    def _compress(self, x: Any, name: str) -> list[ByteArray]: ...

    @abstractmethod
    def _bytes_sent(self, frames: Sequence[ByteArray]) -> int:
        """What this rank puts on the wire of the frames of a gradient."""

    @abstractmethod
    def take(self, name: str, count: int) -> State:
        """Removes and returns what the memory holds of a tensor, by kind; empty if nothing."""

    @abstractmethod
    def put(self, name: str, arrays: State) -> None:
        """Gives the memory what :meth:`take` returns."""

    def _frame(self, compressor: Compressor, x: Any, name: str) -> ByteArray:
        try:
            return compressor.compress(x, name)
        except ValueError:
            if _is_finite(x):
                raise
            return _NOT_FINITE

    def _allgather(self, frame: ByteArray, limit: int) -> list[ByteArray]:
        begin = time.perf_counter()
        received = self.exchange.allgather(frame, limit)
        self.traffic.add("exchange", time.perf_counter() - begin)
        return received

    def add_up(self, frames: Sequence[ByteArray], out: Output) -> None:
        """The average of the gradients in frames, one of each rank."""
        begin = time.perf_counter()
        scale, threads = 1 / len(frames), self.compressor.threads
        try:
            decompress_sum(frames, out, scale, threads=threads)
        except (ValueError, TypeError):  # one by one: to name the sender, for NaN, or for float64
            for sender, frame in enumerate(frames):
                decode(frame, sender, out, sender > 0, scale, threads)
        self.traffic.add("decompress", time.perf_counter() - begin)


class Allgather(Averager):
    """The frame of each rank goes to all."""

    def _compress(self, x: Any, name: str) -> list[ByteArray]:
        return [self._frame(self.compressor, x, name)]

    def _bytes_sent(self, frames: Sequence[ByteArray]) -> int:
        return self.exchange.traffic_of_allgather(frames[0].nbytes)

    def complete(self, frames: Sequence[ByteArray], name: str, out: Output) -> None:
        """See :meth:`Averager.complete`."""
        self.add_up(self._allgather(frames[0], largest_frame(out.size)), out)

    def take(self, name: str, count: int) -> State:
        """See :meth:`Averager.take`."""
        return self.compressor.memory.take(name)

    def put(self, name: str, arrays: State) -> None:
        """See :meth:`Averager.put`."""
        self.compressor.memory.put(name, arrays)


class Sharded(Averager):
    """Each rank averages one shard, and sends the average to all."""

    def __init__(self, compressor: Compressor, exchange: Exchange) -> None:
        super().__init__(compressor, exchange)
        self.second = second_stage(compressor)

    def compressors(self) -> list[Compressor]:
        """See :meth:`Averager.compressors`."""
        return [self.compressor, self.second]

    def _compress(self, x: Any, name: str) -> list[ByteArray]:
        pieces = (x[begin:end] for begin, end in self._borders(x.shape[0]))
        return [self._frame(self.compressor, p, f"{name}/{r}") for r, p in enumerate(pieces)]

    def _bytes_sent(self, frames: Sequence[ByteArray]) -> int:
        return sum(frame.nbytes for frame in frames) - frames[self.exchange.rank].nbytes

    def complete(self, frames: Sequence[ByteArray], name: str, out: Output) -> None:
        """See :meth:`Averager.complete`."""
        borders = self._borders(out.size)
        begin, end = borders[self.exchange.rank]
        limit = largest_frame(borders[0][1])
        own = out[begin:end]
        self.add_up(self._alltoall(frames, limit), own)
        start = time.perf_counter()
        frame = self._frame(self.second, own, name)
        self.traffic.add("compress", time.perf_counter() - start)
        self.traffic.add("bytes_sent", self.exchange.traffic_of_allgather(frame.nbytes))
        averages = self._allgather(frame, limit)
        start = time.perf_counter()
        for sender, (frame, (begin, end)) in enumerate(zip(averages, borders)):
            decode(frame, sender, out[begin:end], False, 1.0, self.compressor.threads)
        self.traffic.add("decompress", time.perf_counter() - start)

    def take(self, name: str, count: int) -> State:
        """See :meth:`Averager.take`. What the second compression left out goes to the first."""
        memory = self.compressor.memory
        pieces = [memory.take(f"{name}/{r}") for r in range(self.exchange.world_size)]
        left_out = self.second.memory.take(name)
        whole: State = {}
        for kind in {kind for piece in pieces for kind in piece}:
            whole[kind] = np.zeros(count, np.float32)
            for piece, (begin, end) in zip(pieces, self._borders(count)):
                if kind in piece:
                    whole[kind][begin:end] = piece[kind]
        if memory.unsent in whole and left_out:
            begin, end = self._borders(count)[self.exchange.rank]
            whole[memory.unsent][begin:end] += self.exchange.world_size * left_out[""]
        return whole

    def put(self, name: str, arrays: State) -> None:
        """See :meth:`Averager.put`."""
        for kind, array in arrays.items():
            for rank, (begin, end) in enumerate(self._borders(array.size)):
                self.compressor.memory.put(f"{name}/{rank}", {kind: array[begin:end].copy()})

    def _borders(self, count: int) -> list[tuple[int, int]]:
        world = self.exchange.world_size
        length = -(-count // (world * _UNIT)) * _UNIT
        return [(min(r * length, count), min((r + 1) * length, count)) for r in range(world)]

    def _alltoall(self, frames: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        begin = time.perf_counter()
        received = self.exchange.alltoall(frames, limit)
        self.traffic.add("exchange", time.perf_counter() - begin)
        return received


def make_averager(compressor: Compressor, exchange: Exchange, algorithm: str = "auto") -> Averager:
    """The averager of an algorithm by name: "allgather", "sharded", or "auto" by world size."""
    if algorithm == "auto":
        algorithm = "allgather" if exchange.world_size <= FEW_RANKS else "sharded"
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm {algorithm!r}; take one of: auto, {', '.join(ALGORITHMS)}"
        )
    return (Allgather if algorithm == "allgather" else Sharded)(compressor, exchange)


def second_stage(compressor: Compressor) -> Compressor:
    """A compressor like ``compressor`` for averages of what it sends.

    It has error feedback of its own where the first has one. Averages of signs are sent as their
    signs: a majority vote (Bernstein et al., "signSGD with majority vote", ICLR 2019).
    """
    pipeline = copy.deepcopy(compressor.pipeline)
    votes = isinstance(pipeline, (SignSGD, Signum))
    memory = compressor.memory
    remembers = not isinstance(memory, NoMemory) and not votes
    beta = memory.beta if isinstance(memory, Residual) else 1.0
    return Compressor(
        SignSGD() if votes else pipeline,
        compressor.codec,
        Residual(beta) if remembers else NoMemory(),
        seed=compressor.seed + 1,
        rank=compressor.rank,
        nonfinite=compressor.nonfinite,
        threads=compressor.threads,
    )


def largest_frame(count: int) -> int:
    """More bytes than any frame of so many elements has: places and values, raw."""
    return 16 * count + 65536


def decode(
    frame: ByteArray, sender: int, out: Output, add: bool, scale: float, threads: int | None
) -> None:
    """Puts ``scale`` times a gradient into ``out``, or adds it.

    Raises:
        CorruptFrameError: the frame does not hold such a gradient; names the sender.
    """
    if frame.size == 0:
        out.fill(np.nan)
        return
    try:
        if out.dtype == np.float64:
            exact = decompress_gradient(frame, max_size=out.nbytes, threads=threads).reshape(-1)
            if exact.size != out.size:
                raise CorruptFrameError(f"it has {exact.size} elements, not {out.size}")
            np.copyto(out, scale * exact + out if add else scale * exact)
        else:
            decompress_gradient(frame, out, add, scale, threads=threads)
    except ValueError as error:
        kept = isinstance(error, (CorruptFrameError, MissingCodeBookError))
        raise (type(error) if kept else CorruptFrameError)(
            f"the frame that rank {sender} sent cannot be decoded: {error}"
        ) from error


def _is_finite(x: Any) -> bool:
    with np.errstate(over="ignore"):
        values = np.asarray(x.float() if hasattr(x, "float") else x).astype(np.float32, copy=False)
    return bool(np.isfinite(values).all())
