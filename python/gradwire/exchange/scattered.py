"""Averages gradients of which each rank needs one part only, as a reduce-scatter does.

A gradient is a matrix with one row per rank. Each rank compresses the row of every rank, with
separate memory; each rank adds up the frames of its row. Nothing is compressed a second time.

Columns belong to parameters (``Averager.parts``). Outside of :meth:`compress`, the elements of a
parameter lie side by side: its columns of the first row, of the second row, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._memory import Memory, Ranges, TensorMemory
from gradwire.exchange.averaging import NOT_FINITE, Averager
from gradwire.exchange.decoding import AnyOutput, largest_frame
from gradwire.exchange.used_parts import is_zero


class Scattered(Averager):
    """Each rank gets the average of its row. :meth:`average` is not for this algorithm."""

    def untouched(self, x: Any, name: str) -> Ranges:
        """See :meth:`Averager.untouched`: the parameters whose columns are 0."""
        if not self._remembers():
            return []
        rows, parts = x.reshape(self.exchange.world_size, -1), self.parts.get(name, ())
        columns = zip(parts, self._columns(parts))
        return [part for part, (begin, end) in columns if is_zero(rows[:, begin:end])]

    def _compress(self, x: Any, name: str, untouched: Ranges) -> list[ByteArray]:
        """If a row is not finite, no rank gets a frame, so that all ranks undo the step."""
        hidden = self._columns(untouched)
        frames = [
            self._frame(self.compressor, row, piece, hidden)
            for row, (_, piece) in zip(x.reshape(self.exchange.world_size, -1), self._places(name))
        ]
        is_finite = all(frame.size for frame in frames)
        return frames if is_finite else [NOT_FINITE] * len(frames)

    def _bytes_sent(self, frames: Sequence[ByteArray]) -> int:
        return sum(frame.nbytes for frame in frames) - frames[self.exchange.rank].nbytes

    def _bytes_raw(self, size: int) -> int:
        """Bytes that a rank sends in a ring reduce-scatter."""
        world = self.exchange.world_size
        return (world - 1) * size // world

    def complete(self, frames: Sequence[ByteArray], name: str, out: AnyOutput) -> None:
        """See :meth:`Averager.complete`; ``out`` gets the average of the row of this rank."""
        received = self._alltoall(frames, largest_frame(out.size))
        rows, _ = self._without_marks(received, name)
        self.add_up(rows, out, None)
        self._leave_unused([], name, out)
        self._note_nonfinite(rows, name)

    def left_out(self, memory: TensorMemory) -> TensorMemory:
        """See :meth:`Averager.left_out`."""
        return memory

    def _places(self, name: str) -> Sequence[tuple[Memory, str]]:
        return [(self.compressor.memory, f"{name}/{r}") for r in range(self.exchange.world_size)]

    def _join(self, pieces: Sequence[TensorMemory | None], name: str) -> TensorMemory | None:
        known = [piece for piece in pieces if piece is not None]
        if not known:
            return None
        whole = TensorMemory({}, known[0].scale)
        scaled = [{} if piece is None else piece.at(whole.scale) for piece in pieces]
        zeros = np.zeros(self.counts[name] // len(pieces), np.float32)
        for kind in known[0].arrays:
            rows = np.stack([arrays.get(kind, zeros) for arrays in scaled])
            columns = [rows[:, begin:end].reshape(-1) for begin, end in self._all_columns(name)]
            whole.arrays[kind] = np.concatenate(columns)
        return whole

    def _split(self, memory: TensorMemory | None, name: str) -> Sequence[TensorMemory | None]:
        world = self.exchange.world_size
        if memory is None:
            return [None] * world
        pieces = [TensorMemory({}, memory.scale) for _ in range(world)]
        borders = [world * end for _, end in self._all_columns(name)[:-1]]
        for kind, array in memory.arrays.items():
            columns = [part.reshape(world, -1) for part in np.split(array, borders)]
            for piece, row in zip(pieces, np.concatenate(columns, axis=1)):
                piece.arrays[kind] = row.copy()
        return pieces

    def _take_back_parts(self, name: str, ranges: Ranges) -> None:
        for memory, piece in self._places(name):
            memory.take_back_parts(piece, self._columns(ranges))

    def _all_columns(self, name: str) -> Ranges:
        return self._columns(self.parts.get(name) or [(0, self.counts[name])])

    def _columns(self, ranges: Ranges) -> Ranges:
        """The columns of the matrix that hold these ranges of the gradient."""
        world = self.exchange.world_size
        return [(begin // world, end // world) for begin, end in ranges]
