"""Where arrays are, and what memories and sparsifiers do with them there.

In host memory they are NumPy arrays, on which the core works. Adapters implement :class:`Device`
and :class:`Elements` for arrays of their frameworks on other devices, which take the same
operators: ``array[begin:end] = 0``, ``array[indices] -= other``, ``array * number``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._floats import Float32Array

Indices = Any
"""Flat indices, ascending: 1-D uint32 in host memory; or a slice."""
Chosen = tuple[Any, Any]
"""Indices, and the elements at these."""


class Elements(ABC):
    """The elements of a flat float32 array, for a sparsifier to choose from.

    Args:
        x: the array, at most 2^32 elements.
        threads: at most this many; 0 for the default.
    """

    def __init__(self, x: Any, threads: int = 0) -> None:
        self.x = x
        self.threads = threads
        self.size = len(x)

    @abstractmethod
    def top_k(self, k: int) -> Chosen:
        """The k nonzero elements with the largest magnitudes, or all if there are fewer."""

    @abstractmethod
    def select_above(self, threshold: float) -> Chosen:
        """The nonzero elements with at least this magnitude."""

    @abstractmethod
    def count_above(self, threshold: float) -> int:
        """The number of elements that :meth:`select_above` returns."""

    @abstractmethod
    def at(self, indices: npt.NDArray[np.uint32]) -> Chosen:
        """The elements at indices that are in host memory."""

    @abstractmethod
    def magnitude_sums(self) -> tuple[float, float, float, float]:
        """The sums of elements, of their squares and of their magnitudes; the largest magnitude."""

    @abstractmethod
    def sample_magnitudes(self) -> Float32Array:
        """Magnitudes of 2^18 elements, or of all if there are at most 2^19; in host memory."""

    def refined(self, chosen: Chosen, k: int) -> Chosen:
        """The k largest of some chosen elements, by magnitude."""
        indices, values = chosen
        places, kept = type(self)(values, self.threads).top_k(k)
        return indices[places], kept


class Device(ABC):
    """Makes and combines flat float32 arrays in one place."""

    @abstractmethod
    def empty(self, count: int) -> Any:
        """A new array."""

    @abstractmethod
    def zeros(self, count: int) -> Any:
        """A new array of zeros."""

    @abstractmethod
    def copy(self, array: Any) -> Any:
        """A copy of an array, or of a part of it."""

    @abstractmethod
    def combine(self, x: Any, residual: Any, gamma: float, beta: float, out: Any) -> None:
        """Sets ``out`` to gamma * x + beta * residual, limited to the largest finite magnitude."""

    @abstractmethod
    def norm(self, x: Any) -> float:
        """The Euclidean norm of finite elements."""

    @abstractmethod
    def elements(self, x: Any, threads: int) -> Elements:
        """See :class:`Elements`."""

    @abstractmethod
    def to_host(self, *arrays: Any) -> list[npt.NDArray[Any]]:
        """The same arrays in host memory, without a copy if they are there; indices as uint32."""

    @abstractmethod
    def from_host(self, array: Float32Array) -> Any:
        """An array here; the same one if it is here."""


class _HostElements(Elements):
    def top_k(self, k: int) -> Chosen:
        return _core.top_k(self.x, k, self.threads)

    def select_above(self, threshold: float) -> Chosen:
        return _core.select_above(self.x, threshold, self.threads)

    def count_above(self, threshold: float) -> int:
        return _core.count_above(self.x, threshold, self.threads)

    def at(self, indices: npt.NDArray[np.uint32]) -> Chosen:
        return indices, self.x[indices]

    def magnitude_sums(self) -> tuple[float, float, float, float]:
        return _core.magnitude_sums(self.x, self.threads)

    def sample_magnitudes(self) -> Float32Array:
        return _core.sample_magnitudes(self.x)


@dataclass(frozen=True)  # equal to its copies
class _Host(Device):
    def empty(self, count: int) -> Any:
        return np.empty(count, np.float32)

    def zeros(self, count: int) -> Any:
        return np.zeros(count, np.float32)

    def copy(self, array: Any) -> Any:
        return array.copy()

    def combine(self, x: Any, residual: Any, gamma: float, beta: float, out: Any) -> None:
        _core.combine(x, residual, gamma, beta, out)

    def norm(self, x: Any) -> float:
        largest = _core.magnitude_sums(x, 1)[3]
        if largest == 0:
            return 0.0
        # Squares of elements relative to the largest one neither overflow nor vanish.
        return largest * math.sqrt(_core.magnitude_sums(x / np.float32(largest), 1)[1])

    def elements(self, x: Any, threads: int) -> Elements:
        return _HostElements(x, threads)

    def to_host(self, *arrays: Any) -> list[npt.NDArray[Any]]:
        return list(arrays)

    def from_host(self, array: Float32Array) -> Any:
        return array


HOST: Device = _Host()
"""Host memory."""
