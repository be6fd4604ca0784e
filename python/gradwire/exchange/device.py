"""Gradients and averages that are not in host memory. Adapters implement them.

Frames are encoded and decoded in host memory. A device quantizes gradients and adds up levels
itself, so that levels, a quarter of the bytes of float32, are copied in place of floats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from gradwire._arrays import ByteArray
from gradwire._floats import Float32Array
from gradwire.compressor import Compressor


class DeviceGradient(ABC):
    """A flat gradient on a device, which quantizes it."""

    shape: tuple[int, ...]
    nbytes: int

    @abstractmethod
    def __getitem__(self, part: slice) -> DeviceGradient:
        """A part of it."""

    @abstractmethod
    def compress(self, compressor: Compressor, name: str) -> ByteArray | None:
        """What :meth:`Compressor.compress` does, without memory; None if it is not finite."""


class DeviceOutput(ABC):
    """A flat float32 array on a device that receives an average."""

    size: int

    @abstractmethod
    def __getitem__(self, part: slice) -> DeviceOutput:
        """A part of it, which shares its memory."""

    @abstractmethod
    def fill(self, value: float) -> None:
        """Sets all elements."""

    @abstractmethod
    def takes_levels(self, frames: int) -> bool:
        """Whether the levels of this number of frames take fewer bytes than the float32 sum."""

    @abstractmethod
    def decode(self, frame: ByteArray, add: bool, scale: float, threads: int | None) -> None:
        """Decodes a frame of levels; gives the bits of :func:`gradwire.decompress_gradient`."""

    @abstractmethod
    def host_array(self) -> Float32Array:
        """An array in host memory with as many elements, for :meth:`copy_from_host`."""

    @abstractmethod
    def copy_from_host(self) -> None:
        """Copies what the :meth:`host_array` holds, which must not change any more."""
