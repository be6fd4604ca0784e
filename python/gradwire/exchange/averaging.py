"""Averages gradients over ranks by exchanging compressed frames. Independent of frameworks.

There are two algorithms: :class:`~gradwire.exchange.allgather.Allgather` and
:class:`~gradwire.exchange.sharded.Sharded`. Both give all ranks the same bits: a rank always adds
in the order of ranks, and decodes its frames like those of other ranks. Where each rank needs only
its part of the average, :class:`~gradwire.exchange.scattered.Scattered` replaces them.

Signs (:class:`~gradwire.quantizers.SignSGD`) are votes: with both algorithms, the average is the
sign of their sum, and 0 for a tie (Bernstein et al., "signSGD with majority vote", ICLR 2019). With
a loss scale, the result is multiplied by it, as gradients are.

Ranks may have weights, as for batches of different sizes: the average is then the sum of weight
times gradient, divided by the sum of weights, and a rank has as many votes as its weight says. The
memory of a rank keeps what was left out of its gradient itself, without the weight; it is sent with
the weight of the step in which it is sent.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._floats import as_floats, to_float32
from gradwire._memory import Memory, Ranges, TensorMemory
from gradwire.compressor import Compressor
from gradwire.exchange import decoding
from gradwire.exchange.decoding import AnyOutput, Output
from gradwire.exchange.device import DeviceGradient
from gradwire.exchange.interface import Exchange
from gradwire.exchange.traffic import Traffic
from gradwire.exchange.used_parts import UsedParts, used_parts, zero_parts
from gradwire.exchange.weights import factors_of, with_weight
from gradwire.memory import NoMemory
from gradwire.quantizers import Lossless

NOT_FINITE = np.empty(0, np.uint8)
"""Sent instead of a gradient with NaN or infinity."""


class Averager(ABC):
    """Averages gradients over the ranks of an exchange.

    :meth:`compress` makes the frames of a gradient and sends nothing; :meth:`complete` exchanges
    them and decodes the average. Each may run in a thread, one tensor after the other.
    """

    def __init__(self, compressor: Compressor, exchange: Exchange) -> None:
        compressor.claim(self)
        self.compressor = compressor
        self.exchange = exchange
        self.traffic = Traffic()
        self.counts: dict[str, int] = {}
        """The number of elements of each tensor."""
        self.parts: dict[str, Ranges] = {}
        """Parts (begin, end) of each tensor that may be unused. A step does not touch the memory of
        parts that are zero on this rank, or that no rank has used: receivers may discard their
        averages."""
        self._used: dict[str, UsedParts] = {}
        self.step_is_void = False
        """Whether the averages since the last :meth:`end_step` are not applied: one was not finite,
        or the caller says so."""
        self.is_closed = False

    @property
    def algorithm(self) -> str:
        """The name of the algorithm."""
        return type(self).__name__.lower()

    def average(
        self, x: Any, name: str, out: Output | None = None, weight: float | None = None
    ) -> Output:
        """The average of ``x`` over all ranks.

        Args:
            x: the gradient of this rank: floats, any shape.
            name: of the tensor.
            out: flat array to fill: float32, or float64 for float64 with ``Lossless``; None for a
                new one.
            weight: see :meth:`compress`.

        Returns:
            ``out``, or a new flat array.
        """
        if out is None:
            out = self.room_for(x)
        frames = self.compress(x.reshape(-1), name, weight=weight)
        try:
            self.complete(frames, name, out)
        except BaseException:
            self._take_back(name)
            raise
        return out

    def keeps_float64(self, x: Any) -> bool:
        """Whether averages of ``x`` are float64: if ``x`` is, with :class:`Lossless`."""
        return isinstance(self.compressor.pipeline, Lossless) and "float64" in str(x.dtype)

    def room_for(self, x: Any) -> Output:
        """A new flat array for the average of ``x``, of the dtype that :meth:`average` gives."""
        dtype = np.float64 if self.keeps_float64(x) else np.float32
        return np.empty(int(np.prod(x.shape)), dtype)

    def compress(
        self,
        x: Any,
        name: str,
        used: Sequence[bool] | None = None,
        weight: float | None = None,
    ) -> list[ByteArray]:
        """Frames of a flat gradient. If it is not finite, the average will be NaN, as a sum is.

        A rank of weight 0 sends zeros, whatever its gradient is, and its memory is unchanged.

        Args:
            x: the gradient: an array or a :class:`DeviceGradient`.
            name: of the tensor.
            used: whether this rank has used each of :attr:`parts` in this step; None for all.
            weight: of this rank in the average. All ranks must pass one, or none of them.
        """
        self.check_open()
        begin = time.perf_counter()
        self.counts[name] = int(x.shape[0])
        raw = x.nbytes
        if weight == 0:
            x = np.zeros(x.shape[0], np.float32)
        zeros = [(0, x.shape[0])] if weight == 0 else self.untouched(x, name)
        parts = self.parts.get(name) if self._remembers() else None
        if parts:
            own = used_parts(x, parts, used or [True] * len(parts), zeros)
            self.step_is_void |= own.has_overflow
            self._used[name] = own
            frames = [own.append_to(frame) for frame in self._compress(x, name, zeros)]
        else:
            frames = self._compress(x, name, zeros)
        if weight is not None:
            frames = [with_weight(frame, weight) for frame in frames]
        self.traffic.add("compress", time.perf_counter() - begin)
        self.traffic.add("bytes_raw", self._bytes_raw(raw))
        self.traffic.add("bytes_sent", self._bytes_sent(frames))
        return frames

    @abstractmethod
    def complete(self, frames: Sequence[ByteArray], name: str, out: AnyOutput) -> None:
        """Exchanges the frames of :meth:`compress` and decodes the average into ``out``.

        If a gradient was not finite, the average is NaN and the step is undone in memory.
        """

    def start(self, frames: Sequence[ByteArray], name: str, out: Output) -> Callable[[], None]:
        """Begins :meth:`complete`; call the function that it returns to finish.

        All ranks must call these functions in the same order.
        """
        return partial(self.complete, frames, name, out)

    def compressors(self) -> list[Compressor]:
        """All compressors that hold state."""
        return [self.compressor]

    def take_back(self, names: Iterable[str]) -> None:
        """Undoes the last step of these tensors in memory: its averages are not applied."""
        self.check_open()
        for name in names:
            self._take_back(name)

    def end_step(self, applied: bool) -> None:
        """Ends a step. If its averages are not ``applied``, undoes it in memory."""
        if not applied:
            self.take_back(self.counts)
        self.step_is_void = False
        for compressor in self.compressors():
            compressor.memory.settle()

    def go_on(self) -> None:
        """Continues the step: its averages so far are applied together with further ones."""
        for compressor in self.compressors():
            compressor.memory.go_on()

    def close(self) -> None:
        """Releases the compressor and discards its state."""
        if not self.is_closed:
            self.is_closed = True
            self.compressor.release()

    def check_open(self) -> None:
        """Raises RuntimeError after :meth:`close`."""
        if self.is_closed:
            raise RuntimeError(
                "this Communicator, averager or DiLoCo was closed and its memory was discarded; "
                "create a new one"
            )

    def untouched(self, x: Any, name: str) -> Ranges:
        """The parts of a gradient that are 0, whose memory this step must not touch."""
        parts = self.parts.get(name, ()) if self._remembers() else ()
        return zero_parts(x, parts)

    def held(self, name: str) -> TensorMemory | None:
        """The memory of a tensor; None if it has none."""
        return self._join([memory.held(part) for memory, part in self._places(name)], name)

    def is_in_step(self, name: str) -> bool:
        """Whether the memory of a tensor has changed in a step that can be undone."""
        return any(memory.is_in_step(part) for memory, part in self._places(name))

    def at_start(self, name: str) -> TensorMemory | None:
        """The memory of a tensor when the step began; None if it had none."""
        return self._join([memory.at_start(part) for memory, part in self._places(name)], name)

    def keep(
        self, name: str, memory: TensorMemory | None, count: int, as_step: bool = False
    ) -> None:
        """Replaces the memory of a tensor; with ``as_step``, as a step that can be undone."""
        self.counts[name] = count
        for (store, part), piece in zip(self._places(name), self._split(memory, name)):
            store.replace(part, piece, as_step)

    def set_start(self, name: str, memory: TensorMemory | None, count: int) -> None:
        """Replaces the memory to which a tensor returns if this step is undone."""
        self.counts[name] = count
        for (store, part), piece in zip(self._places(name), self._split(memory, name)):
            store.set_start(part, piece)

    def forget(self, name: str) -> None:
        """Drops the memory of a tensor; this cannot be undone."""
        for memory, part in self._places(name):
            memory.forget(part)

    @abstractmethod
    def left_out(self, memory: TensorMemory) -> TensorMemory:
        """``memory`` with all that is still to be sent in one array, of kind ``Memory.unsent``."""

    @abstractmethod
    def _compress(self, x: Any, name: str, untouched: Ranges) -> list[ByteArray]: ...

    @abstractmethod
    def _bytes_sent(self, frames: Sequence[ByteArray]) -> int:
        """Bytes that this rank sends of the frames of a gradient."""

    def _bytes_raw(self, size: int) -> int:
        """Bytes that a rank sends in the collective that is replaced, here a ring all-reduce, for a
        gradient of ``size`` bytes."""
        world = self.exchange.world_size
        return 2 * (world - 1) * size // world

    @abstractmethod
    def _places(self, name: str) -> Sequence[tuple[Memory, str]]:
        """Where the memory of a tensor is: memories, and the names of its pieces in them."""

    @abstractmethod
    def _join(self, pieces: Sequence[TensorMemory | None], name: str) -> TensorMemory | None:
        """The memory of a tensor from the pieces of its places."""

    @abstractmethod
    def _split(self, memory: TensorMemory | None, name: str) -> Sequence[TensorMemory | None]:
        """The pieces of the memory of a tensor."""

    @abstractmethod
    def _take_back_parts(self, name: str, ranges: Ranges) -> None:
        """Undoes the last gradient of a tensor in parts of its memory."""

    def _take_back(self, name: str) -> None:
        for memory, part in self._places(name):
            memory.take_back(part)

    def _frame(
        self, compressor: Compressor, x: Any, name: str, untouched: Ranges = ()
    ) -> ByteArray:
        if isinstance(x, DeviceGradient):
            frame = x.compress(compressor, name, untouched)
            return NOT_FINITE if frame is None else frame
        try:
            return compressor.compress(x, name, untouched)
        except ValueError:
            if _is_finite(x):
                raise
            return NOT_FINITE

    def _allgather(self, frame: ByteArray, limit: int) -> list[ByteArray]:
        begin = time.perf_counter()
        received = self.exchange.allgather(frame, limit)
        self.traffic.add("exchange", time.perf_counter() - begin)
        return received

    def _alltoall(self, frames: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        begin = time.perf_counter()
        received = self.exchange.alltoall(frames, limit)
        self.traffic.add("exchange", time.perf_counter() - begin)
        return received

    def _remembers(self) -> bool:
        return not isinstance(self.compressor.memory, NoMemory)

    def _without_marks(
        self, received: Sequence[ByteArray], name: str
    ) -> tuple[Sequence[ByteArray], Ranges]:
        """The frames of all ranks, and the parts that no rank has used."""
        used = self._used.get(name)
        return (received, []) if used is None else used.take_from(received)

    def _leave_unused(self, unused: Ranges, name: str, out: Any) -> None:
        """Leaves the gradients and the memory of parts that no rank has used as they were."""
        used = self._used.pop(name, None)
        if used is not None:
            self._take_back_parts(name, used.put_back(unused, out))

    def _note_nonfinite(self, frames: Sequence[ByteArray], name: str) -> None:
        if any(frame.size == 0 for frame in frames):
            self.step_is_void = True
            self._take_back(name)

    def _scale_votes(self, out: Any) -> None:
        """Multiplies votes by the loss scale, so that they are -1, 0 or 1 after unscaling."""
        if self.compressor.votes and self.compressor.loss_scale is not None:
            np.multiply(out, np.float32(self.compressor.current_loss_scale()), out=out)

    def add_up(
        self, frames: Sequence[ByteArray], out: AnyOutput, weights: Sequence[float] | None
    ) -> None:
        """Decodes the average of the frames of all ranks into ``out``; for signs, their vote."""
        begin = time.perf_counter()
        votes = self.compressor.votes
        factors = factors_of(weights, len(frames), votes)
        decoding.add_up(frames, factors, out, self.compressor.threads)
        if votes and isinstance(out, np.ndarray):
            np.sign(out, out=out)
        self.traffic.add("decompress", time.perf_counter() - begin)


def _is_finite(x: Any) -> bool:
    return bool(np.isfinite(to_float32(*as_floats(x))).all())
