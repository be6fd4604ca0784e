"""Gradients and averages that are not in host memory. Adapters implement them.

Frames are encoded and decoded in host memory. A device quantizes gradients, or chooses elements,
and keeps what is left out; it adds up levels itself. So levels, a quarter of the bytes of float32,
or a few elements are copied in place of all floats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from gradwire._arrays import ByteArray
from gradwire._floats import Float32Array
from gradwire._memory import Ranges
from gradwire.compressor import Compressor


class DeviceGradient(ABC):
    """A flat gradient on a device, which quantizes it or chooses elements."""

    shape: tuple[int, ...]
    nbytes: int

    @abstractmethod
    def __getitem__(self, part: slice) -> DeviceGradient:
        """A part of it."""

    @abstractmethod
    def compress(
        self, compressor: Compressor, name: str, untouched: Ranges = ()
    ) -> ByteArray | None:
        """What :meth:`Compressor.compress` does; None if the gradient is not finite."""

    @abstractmethod
    def zero_parts(self, parts: Ranges) -> Ranges:
        """Those of the parts in which all elements are 0."""

    @abstractmethod
    def set_aside(self) -> tuple[Any, bool]:
        """A float32 copy, for :meth:`DeviceOutput.__setitem__`, and whether that is finite. If not,
        the gradient is replaced by 0."""


class DeviceOutput(ABC):
    """A flat float32 array on a device that receives an average."""

    size: int

    @abstractmethod
    def __getitem__(self, part: slice) -> DeviceOutput:
        """A part of it, which shares its memory."""

    @abstractmethod
    def __setitem__(self, part: slice, values: Any) -> None:
        """Replaces a part by a number, or by what was set aside."""

    @abstractmethod
    def fill(self, value: float) -> None:
        """Sets all elements."""

    @abstractmethod
    def takes_levels(self, frames: int) -> bool:
        """Whether frames hold levels, and this number of them takes fewer bytes than their sum as
        float32. If not, :meth:`decode` is not called."""

    @abstractmethod
    def decode(self, frame: ByteArray, add: bool, scale: float, threads: int | None) -> None:
        """Decodes a frame of levels; gives the bits of :func:`gradwire.decompress_gradient`."""

    @abstractmethod
    def host_array(self) -> Float32Array:
        """An array in host memory with as many elements, for :meth:`copy_from_host`."""

    @abstractmethod
    def copy_from_host(self) -> None:
        """Copies what the :meth:`host_array` holds, which must not change any more."""
