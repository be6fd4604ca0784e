"""Gradients and averages in the memory of a GPU, and the stream on which they are copied."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

from gradwire import _core
from gradwire._arrays import ByteArray
from gradwire._floats import Float32Array
from gradwire.compressor import Compressor
from gradwire.exchange.device import DeviceGradient, DeviceOutput
from gradwire.quantized import compress_levels
from gradwire.torch.levels import Leveler, add_levels, highest_level, levels_on_device


class DeviceStream:
    """A stream for our work on one device, so that it does not queue behind the backward pass.

    On the CPU, where work is done when a function returns, all this does nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def current(self) -> contextlib.AbstractContextManager[Any]:
        """Makes this the stream of the calling thread; end it with ``with``."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def wait(self) -> None:
        """Waits until all work so far is done; other threads run meanwhile."""
        if self._stream is not None:
            record_event(self._stream).synchronize()

    def host_tensor(self, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Host memory for copies from and to the device.

        It is pinned. PyTorch keeps pinned memory for reuse when it is freed, and does not reuse it
        before copies from it are done.
        """
        return torch.empty(count, dtype=dtype, pin_memory=self._stream is not None)

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """Begins to copy a flat tensor to host memory; :meth:`wait` for it."""
        host = self.host_tensor(tensor.numel(), tensor.dtype)
        return host.copy_(tensor, non_blocking=self._stream is not None)

    def from_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """Begins to copy a tensor of :meth:`host_tensor` to the device."""
        return tensor.to(self._device, non_blocking=self._stream is not None)


def ready_event(buffer: torch.Tensor) -> Any:
    """An event of the work that now computes ``buffer``; None on the CPU."""
    if buffer.device.type != "cuda":
        return None
    return record_event(torch.cuda.current_stream(buffer.device))


def record_event(stream: Any) -> Any:
    """An event of the work so far on a stream. A thread that waits for it sleeps."""
    return stream.record_event(torch.cuda.Event(blocking=True))


class TensorGradient(DeviceGradient):
    """A flat gradient that torch quantizes where it is.

    Args:
        x: whose computation has ended.
        stream: of its device.
    """

    def __init__(self, x: torch.Tensor, stream: DeviceStream) -> None:
        self._x = x
        self._stream = stream
        self.shape = tuple(x.shape)
        self.nbytes = x.numel() * x.element_size()

    def __getitem__(self, part: slice) -> TensorGradient:
        return TensorGradient(self._x[part], self._stream)

    def compress(self, compressor: Compressor, name: str) -> ByteArray | None:
        """See :meth:`DeviceGradient.compress`."""
        quantizer: Leveler = compressor.pipeline  # type: ignore[assignment]
        generator = torch.Generator(self._x.device).manual_seed(compressor.next_stream(name))
        with self._stream.current():
            x = self._x
            if compressor.nonfinite == "zero":
                x = x.float().nan_to_num(0, 0, 0)
            found = levels_on_device(x, quantizer, generator)
            levels, scales = (self._stream.to_host(part).numpy() for part in found)
            self._stream.wait()
        if not np.isfinite(scales).all():
            return None
        return compress_levels(
            levels,
            scales / np.float32(highest_level(quantizer)),
            quantizer.bucket_size,
            dtype=str(self._x.dtype).rpartition(".")[2],
            codec=compressor.codec,
        )


class TensorOutput(DeviceOutput):
    """A tensor that receives an average where it is.

    Args:
        out: flat, float32.
        stream: of its device.
        bucket_size: elements per scale of the frames to come; None for all.
    """

    def __init__(self, out: torch.Tensor, stream: DeviceStream, bucket_size: int | None) -> None:
        self._out = out
        self.size = out.numel()
        self._stream = stream
        self._bucket_size = bucket_size

    def __getitem__(self, part: slice) -> TensorOutput:
        return TensorOutput(self._out[part], self._stream, self._bucket_size)

    def fill(self, value: float) -> None:
        """See :meth:`DeviceOutput.fill`."""
        with self._stream.current():
            self._out.fill_(value)

    def takes_levels(self, frames: int) -> bool:
        """See :meth:`DeviceOutput.takes_levels`."""
        scales = -(-self.size // self._bucket_size) if self._bucket_size else 1
        return frames * (self.size + 4 * scales) < 4 * self.size

    def decode(self, frame: ByteArray, add: bool, scale: float, threads: int | None) -> None:
        """See :meth:`DeviceOutput.decode`."""
        levels = self._stream.host_tensor(self.size, torch.int8)
        found, bucket_size = _core.decompress_levels(
            frame, levels.numpy(), add, scale, threads or 0
        )
        units = self._stream.host_tensor(found.size, torch.float32)
        units.numpy()[:] = found
        with self._stream.current():
            there = self._stream.from_host(levels), self._stream.from_host(units)
            add_levels(self._out, *there, bucket_size, add)

    def host_array(self) -> Float32Array:
        """See :meth:`DeviceOutput.host_array`."""
        self._host = self._stream.host_tensor(self.size, torch.float32)
        array: Float32Array = self._host.numpy()
        return array

    def copy_from_host(self) -> None:
        """See :meth:`DeviceOutput.copy_from_host`."""
        with self._stream.current():
            self._out.copy_(self._stream.from_host(self._host))
