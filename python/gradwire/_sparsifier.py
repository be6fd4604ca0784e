"""What all sparsifiers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._floats import Float32Array, as_floats, to_float32
from gradwire._quantizer import Quantizer

Indices = npt.NDArray[np.uint32]
Chosen = tuple[Indices, Float32Array]


@dataclass
class Sparsifier(ABC):
    """What all sparsifiers share.

    Args:
        density: share of the elements to keep.
        values: how the kept values travel.
    """

    may_be_empty: ClassVar[bool] = False
    """Whether nothing may be chosen of a gradient that is not zero; otherwise the largest are."""

    density: float = 0.01
    values: str | Quantizer = "float32"

    def __post_init__(self) -> None:
        if not 0 < self.density <= 1:
            raise ValueError(f"density must be above 0 and at most 1, got {self.density}")
        if isinstance(self.values, Quantizer):
            if self.values.loses_nothing:
                raise ValueError('values=Lossless() is what values="float32" does')
            if self.values.needs_memory:
                raise ValueError("Signum needs a memory of its own; take values=SignSGD()")
        elif self.values not in ("float32", "float16", "bfloat16"):
            raise ValueError(
                'values must be "float32", "float16", "bfloat16" or a quantizer, '
                f"got {self.values!r}"
            )

    def sparsify(self, x: Any, name: str = "", step: int = 0, threads: int | None = None) -> Chosen:
        """Chooses elements of a gradient.

        Args:
            x: float32, float16, bfloat16 or float64, any shape, at most 2^32 elements.
            name: of the tensor, for sparsifiers with state.
            step: of training, for random ones.
            threads: at most this many; None for the default.

        Returns:
            Ascending flat indices, uint32, and the elements there, float32. Zeros are never chosen,
            but by :class:`RandomK`.
        """
        flat = to_float32(*as_floats(x))
        return self.choose(flat, name, step, threads or 0)

    def random_stream(self, name: str, step: int) -> int | None:
        """What indices are drawn from, if sender and receiver draw them alike."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """State of all tensors, for a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replaces all state by that of :meth:`state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, got that of {list(state)}")

    def fitted(self, name: str) -> Any:
        """What is remembered of a tensor, for :meth:`fit_again`; None if nothing."""
        return None

    def fit_again(self, name: str, fitted: Any) -> None:
        """Goes back to what :meth:`fitted` gave."""
        return

    def choose(self, x: Float32Array, name: str, step: int, threads: int) -> Chosen:
        """As :meth:`sparsify`, for a flat float32 array."""
        chosen = self._choose(x, name, step, threads)
        if chosen[0].size == 0 and not self.may_be_empty:
            return _core.top_k(x, self._wanted(x), threads)
        return chosen

    @abstractmethod
    def _choose(self, x: Float32Array, name: str, step: int, threads: int) -> Chosen:
        """What :meth:`choose` gives, perhaps nothing."""

    def _wanted(self, x: Float32Array) -> int:
        """Elements to keep; at least one of a gradient that is not empty."""
        return min(x.size, max(1, round(self.density * x.size)))


def refined(chosen: Chosen, k: int) -> Chosen:
    """The k largest of the chosen elements."""
    indices, values = chosen
    places, kept = _core.top_k(values, k, 1)
    return indices[places], kept
