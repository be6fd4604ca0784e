"""What all quantizers share."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._floats import Float32Array, as_floats


def stream_of(seed: int, rank: int, name: str, step: int) -> int:
    """The random numbers for one tensor of one rank in one step, as a 64-bit name."""
    text = f"{seed}/{rank}/{step}/{name}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def zeroes_nonfinite(nonfinite: str) -> bool:
    """Whether ``nonfinite`` is "zero" rather than "error"."""
    if nonfinite not in ("error", "zero"):
        raise ValueError(f'nonfinite must be "error" or "zero", got {nonfinite!r}')
    return nonfinite == "zero"


class Quantizer(ABC):
    """What all quantizers share."""

    loses_nothing: ClassVar[bool] = False
    needs_memory: ClassVar[bool] = False
    """It quantises what a memory of its own makes of gradients."""
    keeps_scale: ClassVar[bool] = True
    """What it sends has the magnitude of the gradient."""

    @abstractmethod
    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""

    def quantize(
        self, x: Any, *, seed: int = 0, rank: int = 0, step: int = 0, nonfinite: str = "error"
    ) -> tuple[npt.NDArray[np.int8], Float32Array]:
        """Levels and scales of a gradient.

        Args:
            x: float32, float16, bfloat16 or float64, any shape; a NumPy array or torch CPU tensor.
            seed: of the random numbers.
            rank: of this process; ranks draw independent numbers.
            step: of training; steps draw independent numbers.
            nonfinite: "error", or "zero" to take NaN and infinity for 0.

        Returns:
            Levels, int8 of the shape of ``x``; and scales, float32, one per bucket (two for
            :class:`OneBit`, none for :class:`SignSGD`).

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: an element is NaN or infinite.
        """
        array, number = as_floats(x)
        stream = stream_of(seed, rank, "", step)
        return _core.quantize(array, number, self.core(), stream, zeroes_nonfinite(nonfinite))

    @abstractmethod
    def dequantize(self, levels: npt.NDArray[np.int8], scales: Float32Array) -> Float32Array:
        """What :meth:`quantize` stands for: float32 of the shape of ``levels``."""
