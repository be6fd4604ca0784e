"""Chooses, bucket by bucket, between compressed and plain exchange, by measuring both.

A trial alternates steps with all buckets plain and steps with all buckets compressed; it has more
of them if they are short, or if neither kind is clearly faster. The time of a bucket is from its
start or the previous bucket's end, whichever is later, to its end. The span of a step is from its
first start to its last end, backward pass included. Buckets are compressed if the spans of
compressed steps are shorter than those of plain ones: by 3 % in the median, and in so large a share
of all pairs of steps that it is not by chance. If only some buckets gain, another trial compares
steps that compress just these with the better of the two other kinds. All ranks use the times of
the slowest rank, so they make the same choice.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import SupportsFloat

PLAIN, COMPRESSED, CHOSEN = "plain", "compressed", "chosen"
_WARM_UP = 2  # steps that are not measured; DDP rebuilds its buckets after the first one
_REPEATS = 3  # steps of each kind in a trial, at first
_MOST_REPEATS = 24  # steps of each kind in a trial, at most
_LONG_ENOUGH = 0.5  # seconds; shorter trials are extended, because they are noisy
_SURE = 0.9  # one kind is surely faster if it wins this share of all pairs of a step of each kind
# With many repeats, a smaller share is enough: this many standard deviations above one half.
_DEVIATIONS = 2.1
_WORTH_IT = 0.9  # a compressed bucket must take less than this share of the time of a plain one
_WORTH_THE_STEP = 0.97  # compressed steps must take less than this share of the span of plain ones
_SHARE = 0.01  # share of all time that trials may lose
_SHORTEST_PAUSE = 500  # steps between trials, at least

Slowest = Callable[[Sequence[float]], list[float]]


class Tuner:
    """Decides for one model which buckets are compressed.

    Args:
        slowest: returns the maximum of each number over all ranks; a collective operation.
        clock: returns the time in seconds. It is converted to a float when the next step begins,
            so that devices that lag behind need not be waited for.
    """

    def __init__(
        self, slowest: Slowest, clock: Callable[[], SupportsFloat] = time.perf_counter
    ) -> None:
        self._slowest = slowest
        self._clock = clock
        self._chosen: dict[int, bool] = {}
        self._ahead: list[str] = []  # the kinds of the next steps
        self._times: dict[str, list[dict[int, tuple[float, float]]]] = {}
        self._measured = 0  # steps of trials since the last decision
        self.decisions = 0
        """How often buckets have been chosen."""
        self.step_seconds: dict[str, float] = {}
        """Median seconds of steps of each kind when buckets were chosen last."""
        self.bucket_seconds: dict[int, tuple[float, float]] = {}
        """Median seconds of each bucket at that time, plain and compressed."""
        self.restart()

    def restart(self) -> None:
        """Discards all measurements, because the buckets have changed."""
        self._begin_trial(PLAIN, COMPRESSED)
        self._ahead[:0] = [COMPRESSED] * _WARM_UP
        self._warm_up = _WARM_UP
        self._mode = COMPRESSED
        self._pause = 0
        self._lost = 0.0  # seconds lost on the slower steps of trials
        self._now: dict[int, list[SupportsFloat]] = {}
        self._measured = 0
        self._has_chosen = False
        self.step_seconds.clear()
        self.bucket_seconds.clear()

    def progress(self) -> tuple[int, int] | None:
        """Steps measured so far, and about how many there will be; None between two trials."""
        if self._has_chosen and not self._measured:
            return None
        return self._measured, self._measured + len(self._ahead)

    def begin_step(self) -> None:
        """Call before the first bucket of a step, when all buckets of the last step have ended."""
        self._keep_times()
        if not self._ahead and self._times:
            self._decide()
        if self._ahead:
            self._mode = self._ahead.pop(0)
            self._measured += 1
            return
        self._mode = CHOSEN
        self._pause -= 1
        if self._pause <= 0:
            self._begin_trial(PLAIN, COMPRESSED)

    def compresses(self, bucket: int) -> bool:
        """Whether to compress this bucket in this step."""
        if self._mode == CHOSEN:
            return self._chosen.get(bucket, True)
        return self._mode == COMPRESSED

    def begin(self, bucket: int) -> None:
        """Call when a bucket is ready."""
        self._now[bucket] = [self._clock()]

    def end(self, bucket: int) -> None:
        """Call when the average of a bucket has arrived."""
        times = self._now.get(bucket)
        if times is not None:  # the tuner has not been restarted since
            times.append(self._clock())

    def _keep_times(self) -> None:
        now, self._now = self._now, {}
        if self._warm_up and now:
            self._warm_up -= 1
        elif now and self._measures() and all(len(t) == 2 for t in now.values()):
            step = {bucket: (float(t[0]), float(t[1])) for bucket, t in now.items()}
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
        if kind == COMPRESSED:
            self.step_seconds = {}
        self.step_seconds |= {base: of_base, kind: of_kind}
        pays = of_kind < _WORTH_THE_STEP * of_base and shorter >= _sure_share(self._repeats)
        best = kind if pays else base
        if kind == COMPRESSED:
            seconds = times[2 * self._repeats :]
            self.bucket_seconds = dict(zip(buckets, zip(seconds[::2], seconds[1::2])))
            self._chosen = {b: _WORTH_IT * p > c for b, (p, c) in self.bucket_seconds.items()}
            if len(set(self._chosen.values())) == 2:
                self._begin_trial(best, CHOSEN)
                return
        if best != CHOSEN:
            self._chosen = dict.fromkeys(buckets, best == COMPRESSED)
        self._rest(min(of_base, of_kind))

    def _missing_repeats(self, seconds: float, shorter: float) -> int:
        """How many more steps of each kind the trial needs until it is long enough and clear.

        Args:
            seconds: median span of a step of one kind plus that of the other.
            shorter: share of all pairs of steps in which the second kind is shorter.
        """
        room = _MOST_REPEATS - self._repeats
        wanted = _LONG_ENOUGH / max(seconds, _LONG_ENOUGH / _MOST_REPEATS)
        if round(wanted) > self._repeats:
            return min(room, round(wanted) - self._repeats)
        is_clear = not 1 - _SURE < shorter < _SURE
        return 0 if is_clear else min(room, _REPEATS)

    def _begin_trial(self, base: str, kind: str) -> None:
        """Starts to compare steps of one kind with those of a simpler kind, the base."""
        self._kinds = base, kind
        self._times = {}
        self._repeats = _REPEATS  # steps of each kind in this trial
        self._ahead = [base, kind] * _REPEATS

    def _rest(self, seconds: float) -> None:
        """Pauses long enough, in steps of ``seconds``, for trials to lose little of all time."""
        self._pause = max(_SHORTEST_PAUSE, round(self._lost / seconds / _SHARE))
        self._lost = 0.0
        self._times = {}
        self._measured = 0
        self._has_chosen = True
        self.decisions += 1

    def _spans(self, mode: str) -> list[float]:
        """Spans of as many steps as other ranks have, even if one here could not be measured."""
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
    """The share of pairs above which one kind is surely faster (Mann and Whitney's U)."""
    deviation = math.sqrt((2 * repeats + 1) / 12) / repeats
    return min(_SURE, 0.5 + _DEVIATIONS * deviation)
