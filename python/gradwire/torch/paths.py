"""How gradients get from their buckets to the threads that compress them, and averages back."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import torch

from gradwire._sparsifier import Sparsifier
from gradwire.compressor import Compressor
from gradwire.exchange.averaging import Averager
from gradwire.exchange.decoding import AnyOutput, Output
from gradwire.memory import DGCMomentum, EFSign, NoMemory, Residual
from gradwire.torch.device import TensorGradient, TensorOutput
from gradwire.torch.levels import makes_levels
from gradwire.torch.saturate import copy_saturated
from gradwire.torch.stream import DeviceStream, ready_event

_LOG = logging.getLogger("gradwire")


ON_DEVICE = "on device"
THROUGH_HOST_MEMORY = "through host memory"


class InHostMemory:
    """The path of one bucket that is in host memory.

    Args:
        buffer: the bucket.
        target: where its average goes; may be the bucket itself.
        averager: makes frames and averages.
    """

    name = "in host memory"

    def __init__(self, buffer: torch.Tensor, target: torch.Tensor, averager: Averager) -> None:
        self._buffer = buffer
        self._target = target
        self._averager = averager

    def gradient(self) -> Any:
        """What :meth:`Averager.compress` takes. Waits until the gradient is computed."""
        self._average = self._room_in(self._buffer)
        return as_array(self._buffer)

    def output(self) -> AnyOutput:
        """What :meth:`Averager.complete` fills."""
        average: Output = self._average.numpy()
        return average

    def write_back(self, factor: float) -> int:
        """Writes the average, times a factor, to where it goes.

        Returns:
            How many elements were too large for the dtype there, and were clipped.
        """
        if factor != 1:
            self._average.mul_(factor)
        return 0 if self._average is self._target else copy_saturated(self._average, self._target)

    def stream(self) -> contextlib.AbstractContextManager[Any]:
        """Makes the stream on which the average is written current; end it with ``with``."""
        return contextlib.nullcontext()

    def _room_in(self, host: torch.Tensor) -> torch.Tensor:
        """The target or ``host`` if the average fits there, otherwise a new tensor."""
        count = self._target.numel()
        dtype = torch.float64 if self._averager.keeps_float64(host) else torch.float32
        for room in (self._target, host):
            if room.is_cpu and room.dtype == dtype and room.numel() == count:
                return room
        return torch.empty(count, dtype=dtype)


class ThroughHostMemory(InHostMemory):
    """The path of one bucket on a device that is copied to host memory as it is."""

    name = THROUGH_HOST_MEMORY

    def __init__(
        self,
        buffer: torch.Tensor,
        target: torch.Tensor,
        averager: Averager,
        stream: DeviceStream,
    ) -> None:
        super().__init__(buffer, target, averager)
        self._stream = stream
        self._ready = ready_event(buffer)

    def gradient(self) -> Any:
        """See :meth:`InHostMemory.gradient`."""
        self._await()
        with self._stream.current():
            host = self._stream.to_host(self._buffer)
            self._stream.wait()
        self._average = self._room_in(host)
        return as_array(host)

    def stream(self) -> contextlib.AbstractContextManager[Any]:
        """See :meth:`InHostMemory.stream`."""
        return self._stream.current()

    def _await(self) -> None:
        """Waits in this thread, so that other buckets need not wait on our stream."""
        if self._ready is not None:
            self._ready.synchronize()


class OnDevice(ThroughHostMemory):
    """The path of one bucket that is quantized, or sparsified, and added up on its device."""

    name = ON_DEVICE

    def gradient(self) -> Any:
        """See :meth:`InHostMemory.gradient`."""
        self._await()
        return TensorGradient(self._buffer, self._stream)

    def output(self) -> AnyOutput:
        """See :meth:`InHostMemory.output`."""
        with self._stream.current():
            self._average = self._target.to(torch.float32)  # the same tensor if it is float32
        pipeline = self._averager.compressor.pipeline
        bucket_size: int | None = getattr(pipeline, "bucket_size", None)
        return TensorOutput(self._average, self._stream, bucket_size, makes_levels(pipeline))


class Paths:
    """Chooses the path of each bucket of one pipeline; ranks need not choose the same."""

    def __init__(self, averager: Averager) -> None:
        self._averager = averager
        self._streams: dict[torch.device, DeviceStream] = {}
        self._hindrance = hindrance(averager.compressor)
        self.names: dict[int | str, str] = {}
        """The path that each bucket has taken last, by its key."""

    def of(self, key: int | str, buffer: torch.Tensor, target: torch.Tensor) -> InHostMemory:
        """The path of a bucket, whose gradients may still be computed, and of its average."""
        path = self._of(buffer, target)
        if path.name == THROUGH_HOST_MEMORY and path.name not in self.names.values():
            self._log()
        self.names[key] = path.name
        return path

    def _of(self, buffer: torch.Tensor, target: torch.Tensor) -> InHostMemory:
        if not is_on_device(buffer):
            return InHostMemory(buffer, target, self._averager)
        if buffer.device not in self._streams:
            self._streams[buffer.device] = DeviceStream(buffer.device)
        # Elsewhere than in the bucket, others may look for the average before our stream is done.
        is_possible = self._hindrance is None and target is buffer
        kind = OnDevice if is_possible else ThroughHostMemory
        return kind(buffer, target, self._averager, self._streams[buffer.device])

    def _log(self) -> None:
        if self._averager.exchange.rank == 0:
            _LOG.info(
                "gradwire copies whole gradients from the GPU to host memory: %s",
                self._hindrance or "FSDP takes averages from there only",
            )


def is_on_device(buffer: torch.Tensor) -> bool:
    """Whether a bucket is outside of host memory."""
    return not buffer.is_cpu


def hindrance(compressor: Compressor) -> str | None:
    """Why a GPU cannot do what this compressor does, in words; None if it can."""
    pipeline, memory = compressor.pipeline, compressor.memory
    if type(memory) not in (NoMemory, Residual, EFSign, DGCMomentum):
        return f"the memory {memory!r} works in host memory only"
    if makes_levels(pipeline) or (isinstance(pipeline, Sparsifier) and not compressor.votes):
        return None
    return f"{pipeline!r} works in host memory only"


def as_array(tensor: torch.Tensor) -> Any:
    """A view of a tensor as a NumPy array; the tensor itself if NumPy lacks its type."""
    known = (torch.float32, torch.float16, torch.float64)
    return tensor.numpy() if tensor.dtype in known else tensor
