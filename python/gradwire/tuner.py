"""Chooses, bucket by bucket, between compressed and plain exchange, by measuring both.

A trial takes steps with all buckets plain and steps with all buckets compressed in turn, more of
them if they are short, or if neither kind is clearly the faster one. The time of a bucket is what
it takes from its start, or from the end of the bucket before, to its own end; the span of a step is
the time from its first start to its last end, backward pass included. Buckets are compressed if
spans of such steps are shorter than those of plain ones: by 3 % in the median, and so often when
two are compared that this is no chance. Where only some buckets gain, another trial compares such
steps with the better of the other kinds. All ranks compare the times of the slowest rank, so they
choose alike.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

PLAIN, COMPRESSED, CHOSEN = "plain", "compressed", "chosen"
_WARM_UP = 2  # steps; DDP forms its buckets anew after the first
_REPEATS = 3  # of each kind of step, or more
_MOST_REPEATS = 24
_LONG_ENOUGH = 0.5  # seconds of a trial; shorter ones are at the mercy of noise and go on
_SURE = 0.9  # share of the pairs of a step of each kind in which one kind is shorter: it is so
# After the most repeats this share is sure if it lies so many of its deviations above a half.
_DEVIATIONS = 2.1
_WORTH_IT = 0.9  # of the time of a plain bucket; less of a gain may be noise
_WORTH_THE_STEP = 0.97  # of the span of plain steps
_SHARE = 0.01  # of all time may be lost on trials
_SHORTEST_PAUSE = 500  # steps

Slowest = Callable[[Sequence[float]], list[float]]


class Tuner:
    """Decides for one model which buckets are compressed.

    Args:
        slowest: gives the largest of each number over all ranks; a collective operation.
        clock: seconds.
    """

    def __init__(self, slowest: Slowest, clock: Callable[[], float] = time.perf_counter) -> None:
        self._slowest = slowest
        self._clock = clock
        self._chosen: dict[int, bool] = {}
        self._ahead: list[str] = []  # kinds of the next steps
        self._times: dict[str, list[dict[int, tuple[float, float]]]] = {}
        self.restart()

    def restart(self) -> None:
        """Forgets all measurements: the buckets have changed."""
        self._begin_trial(PLAIN, COMPRESSED)
        self._ahead[:0] = [COMPRESSED] * _WARM_UP
        self._warm_up = _WARM_UP
        self._mode = COMPRESSED
        self._pause = 0
        self._lost = 0.0  # seconds, by the slower steps of trials
        self._now: dict[int, list[float]] = {}

    def begin_step(self) -> None:
        """Before the first bucket of a step, when all of the step before are done."""
        self._keep_times()
        if not self._ahead and self._times:
            self._decide()
        if self._ahead:
            self._mode = self._ahead.pop(0)
            return
        self._mode = CHOSEN
        self._pause -= 1
        if self._pause <= 0:
            self._begin_trial(PLAIN, COMPRESSED)

    def compresses(self, bucket: int) -> bool:
        """Whether this bucket is compressed in this step."""
        if self._mode == CHOSEN:
            return self._chosen.get(bucket, True)
        return self._mode == COMPRESSED

    def begin(self, bucket: int) -> None:
        """A bucket is ready."""
        self._now[bucket] = [self._clock()]

    def end(self, bucket: int) -> None:
        """Its average has arrived."""
        times = self._now.get(bucket)
        if times is not None:  # not restarted since it began
            times.append(self._clock())

    def _keep_times(self) -> None:
        now, self._now = self._now, {}
        if self._warm_up and now:
            self._warm_up -= 1
        elif now and self._measures() and all(len(t) == 2 for t in now.values()):
            step = {bucket: (t[0], t[1]) for bucket, t in now.items()}
            self._times.setdefault(self._mode, []).append(step)

    def _measures(self) -> bool:
        return self._mode != CHOSEN or bool(self._times)

    def _decide(self) -> None:
        base, kind = self._kinds
        buckets = sorted(self._times[base][0])
        mine = [self._seconds(mode, b) for b in buckets for mode in (base, kind)]
        times = self._slowest([*self._spans(base), *self._spans(kind), *mine])
        spans = times[: self._repeats], times[self._repeats : 2 * self._repeats]
        shorter = statistics.fmean(k < b for k in spans[1] for b in spans[0])
        of_base, of_kind = statistics.median(spans[0]), statistics.median(spans[1])
        if more := self._missing_repeats(of_base + of_kind, shorter):
            self._repeats += more
            self._ahead = [base, kind] * more
            return
        self._lost += self._repeats * abs(of_base - of_kind)
        pays = of_kind < _WORTH_THE_STEP * of_base and shorter >= _sure_share(self._repeats)
        best = kind if pays else base
        if kind == COMPRESSED:
            seconds = iter(times[2 * self._repeats :])
            self._chosen = {b: _WORTH_IT * next(seconds) > next(seconds) for b in buckets}
            if len(set(self._chosen.values())) == 2:
                self._begin_trial(best, CHOSEN)
                return
        if best != CHOSEN:
            self._chosen = dict.fromkeys(buckets, best == COMPRESSED)
        self._rest(min(of_base, of_kind))

    def _missing_repeats(self, seconds: float, shorter: float) -> int:
        """Of a step of each kind, which take so long, until the trial is long and clear."""
        room = _MOST_REPEATS - self._repeats
        wanted = _LONG_ENOUGH / max(seconds, _LONG_ENOUGH / _MOST_REPEATS)
        if round(wanted) > self._repeats:
            return min(room, round(wanted) - self._repeats)
        is_clear = not 1 - _SURE < shorter < _SURE
        return 0 if is_clear else min(room, _REPEATS)

    def _begin_trial(self, base: str, kind: str) -> None:
        """Whether steps of one kind are shorter than those of a simpler one."""
        self._kinds = base, kind
        self._times = {}
        self._repeats = _REPEATS  # of each kind in this trial
        self._ahead = [base, kind] * _REPEATS

    def _rest(self, seconds: float) -> None:
        """Until the next trial, so that what this one lost is a small share of such steps."""
        self._pause = max(_SHORTEST_PAUSE, round(self._lost / seconds / _SHARE))
        self._lost = 0.0
        self._times = {}

    def _spans(self, mode: str) -> list[float]:
        """Of as many steps as all ranks have, also if one here could not be measured."""
        spans = [
            max(e for _, e in step.values()) - min(b for b, _ in step.values())
            for step in self._times[mode]
        ]
        return (spans * self._repeats)[-self._repeats :]

    def _seconds(self, mode: str, bucket: int) -> float:
        seconds = []
        for step in self._times[mode]:
            begin, end = step[bucket]
            before = [e for _, e in step.values() if e < end]
            seconds.append(end - max([begin, *before]))
        return statistics.median(seconds)


def _sure_share(repeats: int) -> float:
    """Of the pairs of so many steps of each kind; the deviation is that of Mann and Whitney's U."""
    deviation = math.sqrt((2 * repeats + 1) / 12) / repeats
    return min(_SURE, 0.5 + _DEVIATIONS * deviation)
