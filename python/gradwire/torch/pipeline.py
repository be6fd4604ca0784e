"""Two threads that average compressed buckets during the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from gradwire._arrays import ByteArray
from gradwire.exchange.averaging import Averager
from gradwire.torch.saturate import copy_saturated
from gradwire.torch.stage import Stage


class Pipeline:
    """One thread compresses buckets, another exchanges frames and decodes averages.

    After an error in one bucket, all later buckets fail with the same error.

    Args:
        averager: makes frames and averages.
        on_end: called with the index of each bucket whose average has arrived.
    """

    def __init__(self, averager: Averager, on_end: Callable[[int], None]) -> None:
        self.stages = (Stage("gradwire-compress"), Stage("gradwire-exchange"))
        self.saturated = 0
        """Number of averaged elements that were too large for their dtype, and were clipped."""
        self.failure: Exception | None = None
        self._averager = averager
        self._on_end = on_end
        self._pending: list[torch.futures.Future[Any]] = []

    def begin_step(self) -> None:
        """Call before the first bucket of a backward pass."""
        self._pending.clear()

    def wait(self) -> None:
        """Call at the end of a backward pass; see :meth:`finish`."""
        self.finish()

    def finish(self) -> None:
        """Waits until all averages have arrived; raises the error that prevents this, if any."""
        self.come_to_rest()
        self.check_failure()

    def come_to_rest(self) -> None:
        """Waits until all buckets have ended, with or without an error."""
        for future in self._pending:
            future.wait()

    def check_failure(self) -> None:
        """Raises the error that has stopped this pipeline, if any."""
        if self.failure is not None:
            raise self.failure

    def average(
        self,
        index: int,
        buffer: torch.Tensor,
        used: Sequence[bool] | None = None,
        out: torch.Tensor | None = None,
        factor: float = 1.0,
    ) -> torch.futures.Future[torch.Tensor]:
        """Starts to average a bucket; returns a future of ``out``.

        Args:
            index: of the bucket.
            buffer: its gradients.
            used: whether this rank has used each of its parameters in this step; None for all.
            out: where the average goes; None for ``buffer``.
            factor: by which the average is multiplied.
        """
        on_cpu = buffer.device.type == "cpu"
        ready = None if on_cpu else torch.cuda.current_stream(buffer.device).record_event()
        target, host = buffer if out is None else out, buffer

        def compress() -> Sequence[ByteArray]:
            nonlocal host
            host = buffer if ready is None else _to_host(buffer, ready)
            return self._averager.compress(as_array(host), str(index), used)

        def complete(frames: Sequence[ByteArray]) -> torch.Tensor:
            average = self._room_for_average(target, host)
            self._averager.complete(frames, str(index), average.numpy())
            if factor != 1:
                average.mul_(factor)
            if average is not target:
                self.saturated += copy_saturated(average, target)
            self._on_end(index)
            return target

        return self.run(compress, complete, target.device)

    def run(
        self,
        compress: Callable[[], Sequence[ByteArray]],
        complete: Callable[[Sequence[ByteArray]], torch.Tensor],
        device: torch.device,
    ) -> torch.futures.Future[torch.Tensor]:
        """Runs a function in each of the two threads, after those of all buckets before.

        Args:
            compress: makes frames.
            complete: gets the frames; exchanges them and returns the average.
            device: of the average.
        """
        future: torch.futures.Future[Any] = torch.futures.Future(
            devices=[] if device.type == "cpu" else [device]
        )
        self._pending.append(future)
        self.stages[0].submit(partial(self._compress, compress, complete, future))
        return future.then(value_or_error)

    def _compress(
        self,
        compress: Callable[[], Sequence[ByteArray]],
        complete: Callable[[Sequence[ByteArray]], torch.Tensor],
        future: torch.futures.Future[Any],
    ) -> None:
        try:
            self.check_failure()
            frames = compress()
        except Exception as error:
            self._fail(error, future)
            return
        self.stages[1].submit(partial(self._complete, partial(complete, frames), future))

    def _complete(
        self, complete: Callable[[], torch.Tensor], future: torch.futures.Future[Any]
    ) -> None:
        try:
            self.check_failure()
            average = complete()
        except Exception as error:
            self._fail(error, future)
            return
        future.set_result(average)

    def _room_for_average(self, out: torch.Tensor, host: torch.Tensor) -> torch.Tensor:
        """``out`` or ``host`` if the average fits there, otherwise a new tensor."""
        dtype = torch.float64 if self._averager.keeps_float64(host) else torch.float32
        for room in (out, host):
            if room.device.type == "cpu" and room.dtype == dtype and room.numel() == out.numel():
                return room
        return torch.empty(out.numel(), dtype=dtype)

    def _fail(self, error: Exception, future: torch.futures.Future[Any]) -> None:
        if self.failure is None:
            self.failure = explained(error, self._averager.exchange.rank)
        future.set_result(self.failure)


def explained(error: Exception, rank: int) -> Exception:
    """An error of a collective with a hint at other ranks; any other error as it is."""
    if type(error) is not RuntimeError:
        return error
    result = RuntimeError(
        f"rank {rank} could not exchange frames; "
        f"another rank may have stopped, so check the other ranks first: {error}"
    )
    result.__cause__ = error
    return result


@contextmanager
def explaining(rank: int) -> Iterator[None]:
    """Raises the errors of collectives as :func:`explained`."""
    try:
        yield
    except RuntimeError as error:
        told = explained(error, rank)
        if told is error:
            raise
        raise told from error


def as_array(tensor: torch.Tensor) -> Any:
    """A view of a tensor as a NumPy array; the tensor itself if NumPy lacks its type."""
    known = (torch.float32, torch.float16, torch.float64)
    return tensor.numpy() if tensor.dtype in known else tensor


def _to_host(buffer: torch.Tensor, ready: Any) -> torch.Tensor:
    ready.synchronize()
    host = torch.empty(buffer.shape, dtype=buffer.dtype, pin_memory=True)
    return host.copy_(buffer)


def value_or_error(future: torch.futures.Future[Any]) -> torch.Tensor:
    """The value of a future; raises it if it is an exception."""
    value = future.value()
    if isinstance(value, Exception):
        raise value
    return value
