"""Sparsifiers: choose which elements of a gradient to send.

``density`` is the share of elements to send, above 0 and at most 1. ``values`` says how their
values are sent: ``"float32"``, ``"float16"``, ``"bfloat16"``, or a quantizer. With ``warm_up=n``,
the density begins at 0.25 and falls to ``density`` during the first n steps of each tensor. An
object holds the state, if any, of each tensor name.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradwire import _core
from gradwire._checks import check_number
from gradwire._device import Chosen, Elements
from gradwire._quantizer import Quantizer, stream_of
from gradwire._sidco import SIDCoExponential, SIDCoGammaPareto, SIDCoPareto
from gradwire._sparsifier import Sparsifier

__all__ = [
    "DGC",
    "GaussianK",
    "RandomK",
    "RedSync",
    "RedSyncTrimmed",
    "SIDCoExponential",
    "SIDCoGammaPareto",
    "SIDCoPareto",
    "Sparsifier",
    "Threshold",
    "TopK",
]


class TopK(Sparsifier):
    """The elements with the largest magnitudes, exactly (Aji and Heafield, EMNLP 2017)."""

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        return x.top_k(self._wanted(x, step))


@dataclass(init=False, repr=False)
class RandomK(Sparsifier):
    """Random elements. Sender and receiver draw the same indices, so these are not sent.

    The gradient is cut into as many nearly equal parts as elements are sent, starting at a random
    place, and one element is drawn from each part; all elements are equally likely. Rand-k in Stich
    et al., "Sparsified SGD with memory", NeurIPS 2018, draws from all elements together instead.

    Args:
        seed: selects the indices; all ranks draw the same ones.
    """

    seed: int

    def __init__(
        self,
        density: float = 0.01,
        values: str | Quantizer = "float32",
        seed: int = 0,
        *,
        warm_up: int = 0,
    ) -> None:
        super().__init__(density, values, warm_up=warm_up)
        self.seed = seed

    def random_stream(self, name: str, step: int) -> int:
        """The random stream of this tensor and step, the same on all ranks."""
        return stream_of(self.seed, 0, name, step)

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        stream = self.random_stream(name, step)
        indices = _core.random_indices(x.size, self._wanted(x, step), stream)
        return x.at(indices)


@dataclass(init=False, repr=False)
class Threshold(Sparsifier):
    """All nonzero elements with at least some magnitude (Dryden et al., MLHPC 2016).

    Args:
        threshold: the least magnitude, at least 0. ``density`` is ignored, so there is no
            ``warm_up``.
    """

    may_be_empty: ClassVar[bool] = True
    threshold: float

    def __init__(
        self,
        density: float = 0.01,
        values: str | Quantizer = "float32",
        threshold: float = 0.01,
    ) -> None:
        super().__init__(density, values)
        self.threshold = threshold
        check_number("threshold", self.threshold, may_be_infinite=True)
        if not self.threshold >= 0:
            raise ValueError(f"threshold must be at least 0, got {self.threshold}")

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        return x.select_above(self.threshold)


class DGC(Sparsifier):
    """Threshold from the top of a sample, corrected (Lin et al., ICLR 2018, section 3.4).

    While a threshold selects fewer than 1 / ``tolerance`` times the wanted number of elements, it
    falls by 20 %, at most ``most_rounds`` times. If it selects more than ``tolerance`` times the
    wanted number, the largest of these elements are kept.
    """

    tolerance: ClassVar[float] = 1.3
    most_rounds: ClassVar[int] = 10

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        if x.size == 0:
            return x.top_k(0)
        wanted = self._wanted(x, step)
        sample = x.sample_magnitudes()
        _, top = _core.top_k(sample, max(1, round(self.density_at(step) * sample.size)), 1)
        threshold = float(top.min(initial=np.float32(np.finfo(np.float32).max)))
        chosen = x.select_above(threshold)
        for _ in range(self.most_rounds):
            if len(chosen[0]) * self.tolerance >= wanted:
                break
            threshold *= 0.8
            chosen = x.select_above(threshold)
        if len(chosen[0]) > wanted * self.tolerance:
            chosen = x.refined(chosen, wanted)
        return chosen


def _mean_and_largest(x: Elements) -> tuple[float, float]:
    """Mean and maximum of the magnitudes; rounding must not put the mean above the maximum."""
    _, _, magnitudes, largest = x.magnitude_sums()
    return min(magnitudes / x.size, largest), largest


class RedSync(Sparsifier):
    """Threshold between mean and maximum by bisection.

    Fang et al., "RedSync", Journal of Parallel and Distributed Computing, 2019, algorithm 3. The
    search ends when the threshold selects 1 to 2 times the wanted number of elements, or when the
    interval is narrower than ``precision``.
    """

    precision: ClassVar[float] = 1e-3

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        if x.size == 0:
            return x.top_k(0)
        wanted = self._wanted(x, step)
        mean, largest = _mean_and_largest(x)
        low, high = 0.0, 1.0
        threshold = mean
        while high - low > self.precision:
            middle = (low + high) / 2
            threshold = mean + middle * (largest - mean)
            count = x.count_above(threshold)
            if wanted <= count <= 2 * wanted:
                break
            if count < wanted:
                high = middle
            else:
                low = middle
        return x.select_above(threshold)


class RedSyncTrimmed(Sparsifier):
    """Top-k among the elements above a falling threshold (RedSync, algorithm 2).

    The threshold moves from the maximum toward the mean, by ``step_down`` of the distance each
    round, until enough elements reach it.
    """

    step_down: ClassVar[float] = 0.2

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        if x.size == 0:
            return x.top_k(0)
        wanted = self._wanted(x, step)
        mean, largest = _mean_and_largest(x)
        share = 1 - self.step_down
        while share > 0:
            threshold = mean + share * (largest - mean)
            if x.count_above(threshold) >= wanted:
                return x.refined(x.select_above(threshold), wanted)
            share -= self.step_down
        return x.top_k(wanted)


class GaussianK(Sparsifier):
    """Threshold from a normal distribution with the moments of the gradient, corrected.

    While the number of selected elements is off by more than a third, the threshold is multiplied
    by 0.5 or 1.5, at most ``most_rounds`` times (Shi et al., "Understanding top-k sparsification in
    distributed deep learning", 2019).
    """

    most_rounds: ClassVar[int] = 4

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        if x.size == 0:
            return x.top_k(0)
        wanted = self._wanted(x, step)
        total, squares, _, _ = x.magnitude_sums()
        mean = total / x.size
        deviation = max(squares / x.size - mean * mean, 0.0) ** 0.5
        tail = min(max(1 - self.density_at(step) / 2, 0.5), 1 - 1e-12)
        threshold = abs(mean) + deviation * statistics.NormalDist().inv_cdf(tail)
        for _ in range(self.most_rounds):
            count = x.count_above(threshold)
            if count < 2 / 3 * wanted:
                threshold *= 0.5
            elif count > 4 / 3 * wanted:
                threshold *= 1.5
            else:
                break
        return x.select_above(threshold)
