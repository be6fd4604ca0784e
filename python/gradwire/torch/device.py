"""Gradients and averages in the memory of a GPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from gradwire import _core
from gradwire._arrays import ByteArray
from gradwire._floats import FLOAT_TYPES, Float32Array
from gradwire._memory import Draft, Ranges
from gradwire._quantizer import stream_of
from gradwire._sparsifier import Sparsifier
from gradwire._tensors import name_of_type
from gradwire.compressor import Compressor
from gradwire.exchange.device import DeviceGradient, DeviceOutput
from gradwire.memory import NoMemory
from gradwire.quantized import compress_levels
from gradwire.torch.device_arrays import TensorDevice
from gradwire.torch.levels import Leveler, add_levels, highest_level, levels_on_device
from gradwire.torch.saturate import is_finite
from gradwire.torch.stream import DeviceStream


class TensorGradient(DeviceGradient):
    """A flat gradient that torch quantizes, or of which it chooses elements, where it is.

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

    def compress(
        self, compressor: Compressor, name: str, untouched: Ranges = ()
    ) -> ByteArray | None:
        """See :meth:`DeviceGradient.compress`."""
        compressor.memory.begin(name)
        with self._stream.current():
            x = self._x.float()
            if compressor.nonfinite == "zero":
                x = x.nan_to_num(0, 0, 0)
            elif not is_finite(x):
                return None
            is_sparse = isinstance(compressor.pipeline, Sparsifier)
            work = partial(self._choose if is_sparse else self._quantize, compressor, x)
            device = TensorDevice(self._stream)
            return compressor.run_step(work, name, x.numel(), untouched, device)

    def zero_parts(self, parts: Ranges) -> Ranges:
        """See :meth:`DeviceGradient.zero_parts`."""
        if not parts:
            return []
        with self._stream.current():
            found = torch.stack([self._x[begin:end].any() for begin, end in parts]).tolist()
        return [part for part, is_nonzero in zip(parts, found) if not is_nonzero]

    def set_aside(self) -> tuple[torch.Tensor, bool]:
        """See :meth:`DeviceGradient.set_aside`."""
        with self._stream.current():
            kept = self._x.to(torch.float32, copy=True)
            finite = is_finite(kept)
            if not finite:
                self._x.zero_()
        return kept, finite

    def _choose(
        self, compressor: Compressor, x: torch.Tensor, draft: Draft, step: int
    ) -> ByteArray:
        kind = FLOAT_TYPES[name_of_type(self._x)]
        return compressor.sparse_frame(x, self.shape, kind, draft, step)

    def _quantize(
        self, compressor: Compressor, x: torch.Tensor, draft: Draft, step: int
    ) -> ByteArray:
        quantizer: Leveler = compressor.pipeline  # type: ignore[assignment]
        memory, generator = compressor.memory, None
        if isinstance(memory, NoMemory):
            seed = stream_of(compressor.seed, compressor.rank, draft.name, step)
            generator = torch.Generator(x.device).manual_seed(seed)
        x = memory.compensate(x, draft)
        levels, scales = levels_on_device(x, quantizer, generator)
        # By a number, CUDA multiplies by its inverse.
        units = scales / torch.full_like(scales, highest_level(quantizer))
        on_host = self._stream.to_host(levels), self._stream.to_host(units)
        self._stream.wait()
        if generator is None:  # while levels are encoded here
            sent = torch.empty_like(x)
            bucket_size = quantizer.bucket_size or max(x.numel(), 1)
            add_levels(sent, levels, units, bucket_size, add=False)
            memory.update(draft, slice(None), sent)
        return compress_levels(
            *on_host,
            quantizer.bucket_size,
            dtype=name_of_type(self._x),
            codec=compressor.codec,
        )


class TensorOutput(DeviceOutput):
    """A tensor that receives an average where it is.

    Args:
        out: flat, float32.
        stream: of its device.
        bucket_size: elements per scale of the frames to come; None for all.
        has_levels: whether these frames hold levels.
    """

    def __init__(
        self,
        out: torch.Tensor,
        stream: DeviceStream,
        bucket_size: int | None,
        has_levels: bool = True,
    ) -> None:
        self._out = out
        self.size = out.numel()
        self._stream = stream
        self._bucket_size = bucket_size
        self._has_levels = has_levels

    def __getitem__(self, part: slice) -> TensorOutput:
        return TensorOutput(self._out[part], self._stream, self._bucket_size, self._has_levels)

    def __setitem__(self, part: slice, values: Any) -> None:
        with self._stream.current():
            self._out[part] = values

    def fill(self, value: float) -> None:
        """See :meth:`DeviceOutput.fill`."""
        with self._stream.current():
            self._out.fill_(value)

    def takes_levels(self, frames: int) -> bool:
        """See :meth:`DeviceOutput.takes_levels`."""
        scales = -(-self.size // self._bucket_size) if self._bucket_size else 1
        return self._has_levels and frames * (self.size + 4 * scales) < 4 * self.size

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
