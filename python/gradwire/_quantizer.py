"""The base of all quantizers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Union

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._floats import Float32Array, as_floats

Levels = Union[npt.NDArray[np.int8], npt.NDArray[np.int16]]


def stream_of(seed: int, rank: int, name: str, step: int) -> int:
    """A 64-bit number that selects the random numbers of one tensor of one rank in one step."""
    text = f"{seed}/{rank}/{step}/{name}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def zeroes_nonfinite(nonfinite: str) -> bool:
    """Whether ``nonfinite`` is "zero" rather than "error"."""
    if nonfinite not in ("error", "zero"):
        raise ValueError(f'nonfinite must be "error" or "zero", got {nonfinite!r}')
    return nonfinite == "zero"


class Quantizer(ABC):
    """The base of all quantizers."""

    loses_nothing: ClassVar[bool] = False
    """Whether decoding restores the gradient bit for bit."""
    needs_memory: ClassVar[bool] = False
    """Whether it needs a specific memory, whose output it quantizes."""
    keeps_scale: ClassVar[bool] = True
    """Whether what it sends has the magnitude of the gradient."""

    @abstractmethod
    def core(self) -> _core.Quantizer:
        """This quantizer in the C++ core."""

    def quantize(
        self, x: Any, *, seed: int = 0, rank: int = 0, step: int = 0, nonfinite: str = "error"
    ) -> tuple[Levels, Float32Array]:
        """Quantizes a gradient to levels and scales.

        Args:
            x: float32, float16, bfloat16 or float64, any shape; a NumPy array or torch CPU tensor.
            seed: selects the random numbers.
            rank: of this process; each rank draws independent random numbers.
            step: of training; each step draws independent random numbers.
            nonfinite: "error" to refuse NaN and infinity, or "zero" to treat them as 0.

        Returns:
            Levels of the shape of ``x``, int8, or int16 if there are more than 127 levels; and
            scales, float32, one per bucket (two for :class:`OneBit`, none for :class:`SignSGD`, one
            in all for :class:`Natural`).

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: an element is NaN or infinite and ``nonfinite`` is "error".
        """
        array, number = as_floats(x)
        stream = stream_of(seed, rank, "", step)
        return _core.quantize(array, number, self.core(), stream, zeroes_nonfinite(nonfinite))

    @abstractmethod
    def dequantize(self, levels: Levels, scales: Float32Array) -> Float32Array:
        """The values that levels and scales stand for: float32 of the shape of ``levels``."""
