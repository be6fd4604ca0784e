"""SIDCo: thresholds from fitted distributions (Abdelmoniem et al., MLSys 2021)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from gradwire import _core
from gradwire._floats import Float32Array
from gradwire._sparsifier import Chosen, Sparsifier, refined


@dataclass
class _Fitted:
    """What SIDCo remembers of a tensor."""

    stages: int = 4
    aim: float = 1.0
    """Share of the wanted density that fits are asked for."""
    low: float = 0.0
    """Largest aim that has let too few elements pass."""
    high: float = math.inf
    """Smallest aim that has let too many pass."""
    calls: int = 0
    passed: float = 0.0
    """Sum of achieved / wanted over the calls since the last look."""

    def correct(self, mean: float) -> None:
        """Moves the aim, between those that are known to be too low and too high."""
        if mean < 1:
            self.low = self.aim
            self.high = self.high if self.high > self.aim else math.inf
        else:
            self.high = self.aim
            self.low = self.low if self.low < self.aim else 0.0
        if self.low == 0.0 or self.high == math.inf:
            self.aim = min(max(self.aim / mean, 0.01), 100.0)
        elif self.high > 1.05 * self.low:
            self.aim = math.sqrt(self.low * self.high)
        else:  # nothing lies between: rather too many, of which the largest are taken
            self.aim = self.high


@dataclass
class _SIDCo(Sparsifier):
    """Threshold from a distribution fitted in stages (Abdelmoniem et al., MLSys 2021).

    Each stage is fitted to what exceeds the threshold of the one before; all but the last keep a
    quarter. Fits see a sample of 2^18 elements, and no zeros; where one would leave too few, the
    sample's own quantile is taken. Every 5 calls, if the mean density is more than a fifth off,
    there is a stage more or, where stages are of no more use, the fit is asked for so much more or
    less. Of elements that are more than a fifth too many, the largest are taken.
    """

    fit: ClassVar[int]
    most_stages: ClassVar[int] = 8
    look_every: ClassVar[int] = 5
    tolerance: ClassVar[float] = 0.2

    _state: dict[str, _Fitted] = field(default_factory=dict, init=False, repr=False, compare=False)

    def _choose(self, x: Float32Array, name: str, step: int, threads: int) -> Chosen:
        state = self._state.setdefault(name, _Fitted())
        wanted = self._wanted(x)
        aim = min(state.aim * self.density, 1.0)
        threshold, stages = _core.sidco_threshold(x, aim, self.fit, state.stages)
        chosen = _core.select_above(x, threshold, threads)
        if x.size:
            self._adapt(state, chosen[0].size / wanted, stages)
        if chosen[0].size > (1 + self.tolerance) * wanted:
            return refined(chosen, wanted)
        return chosen

    def _adapt(self, state: _Fitted, achieved: float, stages: int) -> None:
        state.calls += 1
        state.passed += achieved
        if state.calls < self.look_every:
            return
        mean = max(state.passed / state.calls, 0.01)
        state.calls, state.passed = 0, 0.0
        if abs(mean - 1) <= self.tolerance:
            return
        if state.aim == 1.0 and stages == state.stages < self.most_stages:
            state.stages += 1
        else:
            state.correct(mean)

    def fitted(self, name: str) -> _Fitted | None:
        """See :meth:`Sparsifier.fitted`."""
        state = self._state.get(name)
        return None if state is None else replace(state)

    def fit_again(self, name: str, fitted: _Fitted | None) -> None:
        """See :meth:`Sparsifier.fit_again`."""
        if fitted is None:
            self._state.pop(name, None)
        else:
            self._state[name] = fitted

    def state_dict(self) -> dict[str, Any]:
        """The stages of all tensors."""
        return {name: asdict(state) for name, state in list(self._state.items())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replaces all state by that of :meth:`state_dict`."""
        self._state = {name: _Fitted(**values) for name, values in state.items()}


@dataclass
class SIDCoExponential(_SIDCo):
    """SIDCo with exponential fits: threshold -mean * ln(ratio) (section 2.3)."""

    fit: ClassVar[int] = 0


@dataclass
class SIDCoGammaPareto(_SIDCo):
    """SIDCo with a closed-form gamma fit, then generalised Pareto fits (section 2.3)."""

    fit: ClassVar[int] = 1


@dataclass
class SIDCoPareto(_SIDCo):
    """SIDCo with generalised Pareto fits by moments (section 2.3).

    With shape k = (mean^2 / var - 1) / 2 and scale a = mean * (mean^2 / var + 1) / 2, the threshold
    is a * (1 - ratio^k) / k.
    """

    fit: ClassVar[int] = 2
