"""SIDCo: thresholds from fitted distributions (Abdelmoniem et al., MLSys 2021)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from gradwire import _core
from gradwire._core import TailFit
from gradwire._device import Chosen, Elements
from gradwire._quantizer import Quantizer
from gradwire._sparsifier import Sparsifier


@dataclass
class _Fitted:
    """The state of SIDCo for one tensor."""

    stages: int = 4
    """Most stages of a fit."""
    aim: float = 1.0
    """The density that fits are asked for, as a multiple of the wanted one."""
    low: float = 0.0
    """Largest aim known to select too few elements."""
    high: float = math.inf
    """Smallest aim known to select too many elements."""
    calls: int = 0
    """Calls since the aim and the stages were last checked."""
    passed: float = 0.0
    """Sum of achieved / wanted elements over these calls."""

    def correct(self, mean: float) -> None:
        """Moves the aim between the bounds; ``mean`` is the mean of achieved / wanted elements."""
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
        else:  # the bounds have met: select too many, then keep the largest
            self.aim = self.high


class _SIDCo(Sparsifier):
    """Threshold from a distribution fitted in stages (Abdelmoniem et al., MLSys 2021).

    Each stage is fitted to what exceeds the threshold of the stage before; all stages but the last
    keep a quarter of the elements. Fits see the nonzero elements of a sample: 2^18 elements, or the
    whole gradient if it has at most 2^19. Where a stage would leave too few elements, the
    quantile of the sample is the threshold. Every 5 calls, if the mean density is more than 20 %
    off, a stage is added or, where another stage would not help, the density that the fit aims for
    is corrected. If a threshold selects over 20 % too many elements, the largest are kept.
    """

    fit: ClassVar[TailFit]
    most_stages: ClassVar[int] = 8
    look_every: ClassVar[int] = 5
    tolerance: ClassVar[float] = 0.2

    def __init__(
        self, density: float = 0.01, values: str | Quantizer = "float32", *, warm_up: int = 0
    ) -> None:
        super().__init__(density, values, warm_up=warm_up)
        self._state: dict[str, _Fitted] = {}

    def _choose(self, x: Elements, name: str, step: int) -> Chosen:
        state = self._state.setdefault(name, _Fitted())
        wanted = self._wanted(x, step)
        aim = min(state.aim * self.density_at(step), 1.0)
        threshold, stages = _core.sidco_threshold(
            x.sample_magnitudes(), aim, self.fit, state.stages
        )
        chosen = x.select_above(threshold)
        if x.size:
            self._adapt(state, len(chosen[0]) / wanted, stages)
        if len(chosen[0]) > (1 + self.tolerance) * wanted:
            return x.refined(chosen, wanted)
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
        """The state of the fits of all tensors, for a checkpoint."""
        return {name: asdict(state) for name, state in list(self._state.items())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replaces all state with that of :meth:`state_dict`."""
        self._state = {name: _Fitted(**values) for name, values in state.items()}


class SIDCoExponential(_SIDCo):
    """SIDCo with exponential fits: threshold -mean * ln(ratio) (section 2.3)."""

    fit: ClassVar[TailFit] = TailFit.EXPONENTIAL


class SIDCoGammaPareto(_SIDCo):
    """SIDCo with a closed-form gamma fit, then generalized Pareto fits (section 2.3)."""

    fit: ClassVar[TailFit] = TailFit.GAMMA_PARETO


class SIDCoPareto(_SIDCo):
    """SIDCo with generalized Pareto fits by moments (section 2.3).

    With shape k = (mean^2 / var - 1) / 2 and scale a = mean * (mean^2 / var + 1) / 2, the threshold
    is a * (1 - ratio^k) / k.
    """

    fit: ClassVar[TailFit] = TailFit.PARETO
