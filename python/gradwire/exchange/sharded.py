"""Averages gradients in shards, for many ranks.

The gradient is cut into one shard per rank. Each rank receives its shard from all ranks, averages
it, and sends the average, compressed a second time, to all ranks. The traffic per rank does not
grow with the world size. The second compression has separate error feedback.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._memory import Memory, Ranges, TensorMemory
from gradwire.compressor import Compressor
from gradwire.exchange.averaging import Averager
from gradwire.exchange.decoding import AnyOutput, decodable, decode, largest_frame
from gradwire.exchange.interface import Exchange
from gradwire.exchange.used_parts import zero_parts
from gradwire.exchange.weights import take_weights
from gradwire.memory import NoMemory, Residual
from gradwire.quantizers import SignSGD

SECOND_STAGE = "second stage"
"""The kind of the array that holds what the second compression has left out."""
_UNIT = 512  # elements; shards begin at multiples of it, to cut few buckets in two


class Sharded(Averager):
    """Each rank averages one shard and sends the average to all ranks."""

    def __init__(self, compressor: Compressor, exchange: Exchange) -> None:
        super().__init__(compressor, exchange)
        self.second = second_stage(compressor)

    def compressors(self) -> list[Compressor]:
        """See :meth:`Averager.compressors`."""
        return [self.compressor, self.second]

    def _compress(self, x: Any, name: str, untouched: Ranges) -> list[ByteArray]:
        self.second.memory.begin(name)  # the step may fail before the second compression
        return [
            self._frame(self.compressor, x[b:e], _piece(name, r), _within(untouched, b, e))
            for r, (b, e) in enumerate(self._borders(x.shape[0]))
        ]

    def _bytes_sent(self, frames: Sequence[ByteArray]) -> int:
        return sum(frame.nbytes for frame in frames) - frames[self.exchange.rank].nbytes

    def complete(self, frames: Sequence[ByteArray], name: str, out: AnyOutput) -> None:
        """See :meth:`Averager.complete`."""
        borders = self._borders(out.size)
        begin, end = borders[self.exchange.rank]
        limit = largest_frame(borders[0][1])
        # The second compression is one of host memory.
        own = out[begin:end] if isinstance(out, np.ndarray) else np.empty(end - begin, np.float32)
        unmarked, unused = self._without_marks(self._alltoall(frames, limit), name)
        received, weights = take_weights(unmarked)
        self.add_up(received, own, weights)
        start = time.perf_counter()
        for b, e in _within(unused, begin, end):
            own[b:e] = 0
        parts = _within(self.parts.get(name, ()), begin, end)
        frame = self._frame(self.second, own, name, zero_parts(own, parts))
        self.traffic.add("compress", time.perf_counter() - start)
        self.traffic.add("bytes_sent", self.exchange.traffic_of_allgather(frame.nbytes))
        averages = self._allgather(frame, limit)
        start = time.perf_counter()
        with decodable(out, 1) as target:
            for sender, (frame, (begin, end)) in enumerate(zip(averages, borders)):
                decode(frame, sender, target[begin:end], False, 1.0, self.compressor.threads)
        self._scale_votes(out)
        self._leave_unused(unused, name, out)
        self._note_nonfinite(averages, name)
        self.traffic.add("decompress", time.perf_counter() - start)

    def left_out(self, memory: TensorMemory) -> TensorMemory:
        """See :meth:`Averager.left_out`. What an average lacks counts once for each rank."""
        arrays = dict(memory.arrays)
        second = arrays.pop(SECOND_STAGE, None)
        if second is not None:
            unsent = self.compressor.memory.unsent
            first = arrays.get(unsent, np.zeros_like(second))
            arrays[unsent] = first + np.float32(self.exchange.world_size) * second
        return TensorMemory(arrays, memory.scale)

    def _places(self, name: str) -> Sequence[tuple[Memory, str]]:
        first = [(self.compressor.memory, _piece(name, r)) for r in range(self.exchange.world_size)]
        return [*first, (self.second.memory, name)]

    def _join(self, pieces: Sequence[TensorMemory | None], name: str) -> TensorMemory | None:
        *first, second = pieces
        known = [piece for piece in pieces if piece is not None]
        if not known:
            return None
        count = self.counts[name]
        borders = self._borders(count)
        whole = TensorMemory({}, known[0].scale)
        for piece, (begin, end) in zip(first, borders):
            for kind, array in {} if piece is None else piece.at(whole.scale).items():
                whole.arrays.setdefault(kind, np.zeros(count, np.float32))[begin:end] = array
        if second is not None:
            begin, end = borders[self.exchange.rank]
            whole.arrays[SECOND_STAGE] = np.zeros(count, np.float32)
            whole.arrays[SECOND_STAGE][begin:end] = second.at(whole.scale)[""]
        return whole

    def _split(self, memory: TensorMemory | None, name: str) -> Sequence[TensorMemory | None]:
        """Second-stage residuals of other ranks' shards become those of the first stage."""
        borders = self._borders(self.counts[name])
        if memory is None:
            return [None] * (len(borders) + 1)
        second = None
        if SECOND_STAGE in memory.arrays:
            begin, end = borders[self.exchange.rank]
            others = memory.arrays[SECOND_STAGE].copy()
            second = TensorMemory({"": others[begin:end].copy()}, memory.scale)
            others[begin:end] = 0
            memory = self.left_out(
                TensorMemory({**memory.arrays, SECOND_STAGE: others}, memory.scale)
            )
        arrays = memory.arrays
        first = [
            TensorMemory({kind: array[b:e].copy() for kind, array in arrays.items()}, memory.scale)
            for b, e in borders
        ]
        return [*first, second]

    def _take_back_parts(self, name: str, ranges: Ranges) -> None:
        for rank, (begin, end) in enumerate(self._borders(self.counts[name])):
            self.compressor.memory.take_back_parts(_piece(name, rank), _within(ranges, begin, end))

    def _borders(self, count: int) -> list[tuple[int, int]]:
        world = self.exchange.world_size
        length = -(-count // (world * _UNIT)) * _UNIT
        return [(min(r * length, count), min((r + 1) * length, count)) for r in range(world)]


def second_stage(compressor: Compressor) -> Compressor:
    """A compressor like ``compressor``, for the averages of what that sends.

    It has error feedback if ``compressor`` has a memory. The outcome of a vote is sent as signs,
    without loss.
    """
    memory = compressor.memory
    remembers = not isinstance(memory, NoMemory) and not compressor.votes
    beta = memory.beta if isinstance(memory, Residual) else 1.0
    return Compressor(
        SignSGD() if compressor.votes else copy.deepcopy(compressor.pipeline),
        compressor.codec,
        Residual(beta) if remembers else NoMemory(),
        seed=compressor.seed + 1,
        rank=compressor.rank,
        nonfinite=compressor.nonfinite,
        threads=compressor.threads,
        loss_scale=compressor.loss_scale,
    )


def _piece(name: str, rank: int) -> str:
    """The name of the shard of a tensor that a rank averages."""
    return f"{name}/{rank}"


def _within(ranges: Ranges, begin: int, end: int) -> Ranges:
    """The parts of ``ranges`` between ``begin`` and ``end``, relative to ``begin``."""
    cut = [(max(b, begin) - begin, min(e, end) - begin) for b, e in ranges]
    return [(b, e) for b, e in cut if b < e]
