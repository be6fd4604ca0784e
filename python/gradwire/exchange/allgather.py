"""Averages gradients by sending the frame of each rank to all ranks, for few ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradwire._arrays import ByteArray
from gradwire._memory import Memory, Ranges, TensorMemory
from gradwire.exchange.averaging import Averager
from gradwire.exchange.decoding import AnyOutput, Output, largest_frame
from gradwire.exchange.weights import take_weights


class Allgather(Averager):
    """Sends the frame of each rank to all ranks."""

    def _compress(self, x: Any, name: str, untouched: Ranges) -> list[ByteArray]:
        return [self._frame(self.compressor, x, name, untouched)]

    def _bytes_sent(self, frames: Sequence[ByteArray]) -> int:
        return self.exchange.traffic_of_allgather(frames[0].nbytes)

    def complete(self, frames: Sequence[ByteArray], name: str, out: AnyOutput) -> None:
        """See :meth:`Averager.complete`."""
        self._finish(self._allgather(frames[0], largest_frame(out.size)), name, out)

    def start(self, frames: Sequence[ByteArray], name: str, out: Output) -> Callable[[], None]:
        """See :meth:`Averager.start`. Frames travel until it is finished, in any order."""
        arrive = self.exchange.start_allgather(frames[0], largest_frame(out.size), name)
        return lambda: self._finish(arrive(), name, out)

    def _finish(self, received: Sequence[ByteArray], name: str, out: AnyOutput) -> None:
        unmarked, unused = self._without_marks(received, name)
        frames, weights = take_weights(unmarked)
        self.add_up(frames, out, weights)
        self._scale_votes(out)
        self._leave_unused(unused, name, out)
        self._note_nonfinite(frames, name)

    def left_out(self, memory: TensorMemory) -> TensorMemory:
        """See :meth:`Averager.left_out`."""
        return memory

    def _places(self, name: str) -> Sequence[tuple[Memory, str]]:
        return [(self.compressor.memory, name)]

    def _join(self, pieces: Sequence[TensorMemory | None], name: str) -> TensorMemory | None:
        return pieces[0]

    def _split(self, memory: TensorMemory | None, name: str) -> Sequence[TensorMemory | None]:
        return [memory]

    def _take_back_parts(self, name: str, ranges: Ranges) -> None:
        self.compressor.memory.take_back_parts(name, ranges)
