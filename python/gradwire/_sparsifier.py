"""The base of all sparsifiers."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gradwire._checks import check_integer, check_number
from gradwire._device import HOST, Chosen, Elements
from gradwire._floats import Float32Array, as_floats, to_float32
from gradwire._quantizer import Quantizer


@dataclass(init=False, repr=False)
class Sparsifier(ABC):
    """The base of all sparsifiers.

    Args:
        density: share of the elements to send, above 0 and at most 1.
        values: how their values are sent: "float32", "float16", "bfloat16", or a quantizer.
        warm_up: number of steps of each tensor in which the density falls exponentially from
            :attr:`first_density` to ``density``, because early gradients change fast and are
            large (Lin et al., "DGC", ICLR 2018, section 3.3). 0 for none.

    The steps of a tensor are those in which a :class:`~gradwire.compressor.Compressor` has made a
    frame of it. A call that raises does not count. A step counts if it is skipped later
    (:meth:`~gradwire.compressor.Compressor.skip_step`), but not if the gradient was sent without
    compression.
    """

    may_be_empty: ClassVar[bool] = False
    """Whether a nonzero gradient may be left out as a whole; if not, top-k is the fallback."""
    first_density: ClassVar[float] = 0.25
    """The density at the beginning of a warm-up, as in the paper."""

    density: float
    values: str | Quantizer
    warm_up: int

    def __init__(
        self, density: float = 0.01, values: str | Quantizer = "float32", *, warm_up: int = 0
    ) -> None:
        self.density = density
        self.values = values
        self.warm_up = warm_up
        check_integer("warm_up", self.warm_up, 0)
        check_number("density", self.density)
        if not 0 < self.density <= 1:
            raise ValueError(f"density must be above 0 and at most 1, got {self.density}")
        if isinstance(self.values, Quantizer):
            if self.values.loses_nothing:
                raise ValueError('values cannot be Lossless; pass values="float32" instead')
            if self.values.needs_memory:
                raise ValueError("values cannot be Signum, which needs a memory; pass SignSGD()")
        elif self.values not in ("float32", "float16", "bfloat16"):
            raise ValueError(
                'values must be "float32", "float16", "bfloat16" or a quantizer, '
                f"got {self.values!r}; a number of steps to warm up is passed as warm_up="
            )

    def __repr__(self) -> str:
        """The call that makes it, with all arguments, but ``warm_up`` only if it is used."""
        names = inspect.signature(type(self)).parameters
        shown = [n for n in names if n != "warm_up" or self.warm_up]
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in shown)})"

    def density_at(self, step: int) -> float:
        """The density in a step, counted from 0.

        During a warm-up that is first * (density / first)^(step / warm_up), where first is
        :attr:`first_density`, or ``density`` if that is larger; afterwards ``density``.

        >>> import gradwire as gw
        >>> sparsifier = gw.TopK(0.001, warm_up=4)
        >>> [round(sparsifier.density_at(step), 4) for step in range(6)]
        [0.25, 0.0629, 0.0158, 0.004, 0.001, 0.001]
        """
        if step >= self.warm_up:
            return self.density
        first = max(self.first_density, self.density)
        return float(first * (self.density / first) ** (step / self.warm_up))

    def sparsify(
        self, x: Any, name: str = "", step: int = 0, threads: int | None = None
    ) -> tuple[npt.NDArray[np.uint32], Float32Array]:
        """Chooses the elements of a gradient to send.

        Args:
            x: float32, float16, bfloat16 or float64, any shape, at most 2^32 elements.
            name: of the tensor, for sparsifiers with state.
            step: of the tensor, counted from 0, for random sparsifiers and warm-ups.
            threads: at most this many; None for the default.

        Returns:
            Ascending flat indices, 1-D uint32, and the elements at these, 1-D float32. Only
            :class:`RandomK` chooses zeros.

        Raises:
            TypeError: ``x`` does not hold floats.
        """
        flat = to_float32(*as_floats(x))
        return self.choose(HOST.elements(flat, threads or 0), name, step)

    def random_stream(self, name: str, step: int) -> int | None:
        """The random stream from which both sender and receiver draw the indices; else None."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """The state of all tensors, for a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replaces all state with that of :meth:`state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, got state of {list(state)}")

    def fitted(self, name: str) -> Any:
        """A copy of the state of a tensor, for :meth:`fit_again`; None if it has none."""
        return None

    def fit_again(self, name: str, fitted: Any) -> None:
        """Restores the state that :meth:`fitted` returned."""
        return

    def choose(self, x: Elements, name: str, step: int) -> Chosen:
        """Like :meth:`sparsify`, of elements on any device; the result is there, too."""
        chosen = self._choose(x, name, step)
        if len(chosen[0]) == 0 and not self.may_be_empty:
            return x.top_k(self._wanted(x, step))
        return chosen

    @abstractmethod
    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        """The elements that the method itself chooses, perhaps none."""

    def _wanted(self, x: Elements, step: int) -> int:
        """The number of elements to send; at least 1 unless the gradient is empty."""
        return min(x.size, max(1, round(self.density_at(step) * x.size)))
