"""Two threads that average compressed buckets while the program computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Generic

import torch

from gradwire._arrays import ByteArray
from gradwire.exchange.agreement import CommonError
from gradwire.exchange.averaging import Averager
from gradwire.exchange.layouts import Key
from gradwire.torch.paths import Paths
from gradwire.torch.stage import Stage


def nothing(key: int | str) -> None:
    """Takes no notice of the end of a bucket."""


class Pipeline(Generic[Key]):
    """One thread compresses buckets, another exchanges frames and decodes averages.

    After an error in one bucket, all later buckets fail with the same error, because ranks may no
    longer be at the same point; except after an error that all ranks raise.

    Args:
        averager: makes frames and averages.
        on_end: called with the key of each bucket whose average has arrived.
        on_failure: called with the key of each bucket that was compressed in vain.
    """

    def __init__(
        self,
        averager: Averager,
        on_end: Callable[[Key], None] = nothing,
        on_failure: Callable[[Key], None] = nothing,
    ) -> None:
        self.stages = (Stage("gradwire-compress"), Stage("gradwire-exchange"))
        self.saturated = 0
        """Number of averaged elements that were too large for their dtype, and were clipped."""
        self.failure: Exception | None = None
        self.paths = Paths(averager)
        self._averager = averager
        self._on_end: Callable[[Key], None] = on_end
        self._on_failure: Callable[[Key], None] = on_failure
        self._pending: dict[Key, torch.futures.Future[Any]] = {}

    def begin_step(self) -> None:
        """Call before the first bucket of a backward pass."""
        self.forget_ended()

    def forget_ended(self) -> None:
        """Releases the buckets that have ended."""
        self._pending = {k: future for k, future in self._pending.items() if not future.done()}

    def is_pending(self, key: Key) -> bool:
        """Whether a bucket may not have ended."""
        return key in self._pending

    def wait(self) -> None:
        """Call at the end of a backward pass; see :meth:`finish`."""
        self.finish()

    def finish(self) -> None:
        """Waits until all averages have arrived; raises the error that prevents this, if any."""
        self.come_to_rest()
        self.check_failure()

    def come_to_rest(self) -> None:
        """Waits until all buckets have ended, with or without an error."""
        for future in list(self._pending.values()):
            future.wait()
        self._pending.clear()

    def check_failure(self) -> None:
        """Raises the error that has stopped this pipeline, if any."""
        if self.failure is not None:
            raise self.failure

    def average(
        self,
        key: Key,
        buffer: torch.Tensor,
        used: Sequence[bool] | None = None,
        out: torch.Tensor | None = None,
        factor: float = 1.0,
        weight: float | None = None,
    ) -> torch.futures.Future[Any]:
        """Starts to average a bucket.

        Args:
            key: of the bucket, which is not pending.
            buffer: its gradients.
            used: whether this rank has used each of its parameters in this step; None for all.
            out: where the average goes; None for ``buffer``.
            factor: by which the average is multiplied.
            weight: of this rank; None for the same on all.

        Returns:
            A future of ``out`` or of an exception; see :func:`value_or_error`.
        """
        target = buffer if out is None else out
        path = self.paths.of(key, buffer, target)

        def compress() -> Sequence[ByteArray]:
            return self._averager.compress(path.gradient(), str(key), used, weight)

        def complete(frames: Sequence[ByteArray]) -> torch.Tensor:
            self._averager.complete(frames, str(key), path.output())
            self.saturated += path.write_back(factor)
            return target

        return self.run(key, compress, complete, target.device, path.stream)

    def run(
        self,
        key: Key,
        compress: Callable[[], Sequence[ByteArray]],
        complete: Callable[[Sequence[ByteArray]], torch.Tensor],
        device: torch.device,
        stream: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> torch.futures.Future[Any]:
        """Runs a function in each of the two threads, after those of all buckets before.

        Args:
            key: of a bucket, which is not pending.
            compress: makes frames.
            complete: gets the frames; exchanges them and returns the average.
            device: of the average.
            stream: makes the stream current on which ``complete`` writes the average, for others to
                wait for.

        Returns:
            A future of the average or of an exception; see :func:`value_or_error`.
        """
        future: torch.futures.Future[Any] = torch.futures.Future(
            devices=[] if device.type == "cpu" else [device]
        )
        self._pending[key] = future
        then = partial(self._complete, key, stream, future)
        self.stages[0].submit(partial(self._compress, compress, complete, then, future))
        return future

    def _compress(
        self,
        compress: Callable[[], Sequence[ByteArray]],
        complete: Callable[[Sequence[ByteArray]], torch.Tensor],
        then: Callable[[Callable[[], torch.Tensor]], None],
        future: torch.futures.Future[Any],
    ) -> None:
        try:
            self.check_failure()
            frames = compress()
        except Exception as error:
            self._fail(error, future)
            return
        self.stages[1].submit(partial(then, partial(complete, frames)))

    def _complete(
        self,
        key: Key,
        stream: Callable[[], AbstractContextManager[Any]],
        future: torch.futures.Future[Any],
        complete: Callable[[], torch.Tensor],
    ) -> None:
        with stream():
            try:
                self.check_failure()
                average = complete()
                self._on_end(key)
            except Exception as error:
                self._on_failure(key)
                self._fail(error, future)
                return
            future.set_result(average)

    def _fail(self, error: Exception, future: torch.futures.Future[Any]) -> None:
        if isinstance(error, CommonError):
            future.set_result(error)
            return
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


def value_or_error(future: torch.futures.Future[Any]) -> torch.Tensor:
    """The value of a future; raises it if it is an exception."""
    value = future.value()
    if isinstance(value, Exception):
        raise value
    return value
