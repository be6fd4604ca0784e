"""Chooses, bucket by bucket, between compressed and plain exchange, by measuring both.

A trial takes steps with all buckets plain and steps with all buckets compressed in turn, more of
them if they are short. The time of a bucket is what it takes from its start, or from the end of
the bucket before, to its own end; the span of a step is the time from its first start to its last
end, backward pass included. A bucket is compressed if that was clearly faster in the median; and
all are plain again if the span of such steps is hardly shorter than that of plain ones. All ranks
compare the times of the slowest rank, so they choose alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

PLAIN, COMPRESSED, CHOSEN = "plain", "compressed", "chosen"
_WARM_UP = 2  # steps; DDP forms its buckets anew after the first
_REPEATS = 3  # of each kind of step
_MOST_REPEATS = 12
_LONG_ENOUGH = 0.5  # seconds of a trial; shorter ones are at the mercy of noise and go on
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
        self.restart()

    def restart(self) -> None:
        """Forgets all measurements: the buckets have changed."""
        self._repeats = _REPEATS  # of each kind of step in this trial
        self._ahead = [COMPRESSED] * _WARM_UP + [PLAIN, COMPRESSED] * _REPEATS
        self._warm_up = _WARM_UP
        self._mode = COMPRESSED
        self._times: dict[str, list[dict[int, tuple[float, float]]]] = {}
        self._pause = 0
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
            self._repeats = _REPEATS
            self._ahead = [PLAIN, COMPRESSED] * _REPEATS

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
        if CHOSEN in self._times:
            plain, mixed = self._slowest([self._span(PLAIN), self._span(CHOSEN)])
            if mixed > _WORTH_THE_STEP * plain:
                self._chosen = dict.fromkeys(self._chosen, False)
            self._rest(min(plain, mixed), max(plain, mixed))
            return
        buckets = sorted(self._times[PLAIN][0])
        mine = [self._seconds(mode, b) for b in buckets for mode in (PLAIN, COMPRESSED)]
        times = self._slowest([self._span(PLAIN), self._span(COMPRESSED), *mine])
        plain, compressed = times[:2]
        if self._repeats == _REPEATS:
            more = self._missing_repeats(plain + compressed)
            self._repeats += more
            self._ahead = [PLAIN, COMPRESSED] * more
            if more:
                return
        self._chosen = {
            b: times[2 * i + 3] < _WORTH_IT * times[2 * i + 2] for i, b in enumerate(buckets)
        }
        if len(set(self._chosen.values())) == 2:
            self._ahead = [CHOSEN] * self._repeats
            return
        if compressed > _WORTH_THE_STEP * plain:
            self._chosen = dict.fromkeys(buckets, False)
        self._rest(min(plain, compressed), max(plain, compressed))

    def _missing_repeats(self, seconds: float) -> int:
        """Of a plain and a compressed step that take so long, until the trial is long enough."""
        wanted = _LONG_ENOUGH / max(seconds, _LONG_ENOUGH / _MOST_REPEATS)
        return max(0, round(wanted) - _REPEATS)

    def _rest(self, fast: float, slow: float) -> None:
        """Until the next trial, so that its slower steps cost no more than their share."""
        self._times = {}
        self._pause = max(_SHORTEST_PAUSE, round(self._repeats * slow / fast / _SHARE))

    def _span(self, mode: str) -> float:
        spans = []
        for step in self._times[mode]:
            spans.append(max(e for _, e in step.values()) - min(b for b, _ in step.values()))
        return statistics.median(spans)

    def _seconds(self, mode: str, bucket: int) -> float:
        seconds = []
        for step in self._times[mode]:
            begin, end = step[bucket]
            before = [e for _, e in step.values() if e < end]
            seconds.append(end - max([begin, *before]))
        return statistics.median(seconds)
