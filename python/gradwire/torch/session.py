"""The work of a state for one model under DDP, from the time at which all ranks have met."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from gradwire.exchange.agreement import agree
from gradwire.exchange.tuner import Tuner
from gradwire.torch.clock import DeviceClock
from gradwire.torch.lane import Lane, Turns
from gradwire.torch.names import ParameterNames
from gradwire.torch.regroup import Bucket
from gradwire.torch.report import (
    in_words,
    log_choice,
    report_buckets,
    report_phase,
    report_setup,
    report_traffic,
)
from gradwire.torch.rules import EXCLUDED
from gradwire.torch.settings import Settings

_HOOK = "run a backward pass with the hook compressed_allreduce"
_RULES = "rules; functions in exclude and rules must decide alike on all ranks"


class DDPSession:
    """Averages the buckets of one model, with a lane for each compressor.

    Args:
        settings: those of the state.
        group: of the model. All its ranks must create a session, in the same order.
    """

    def __init__(self, settings: Settings, group: dist.ProcessGroup) -> None:
        self._settings = settings
        self._rules = settings.rules
        self._names = ParameterNames()
        compressors = settings.compressors()
        self.lanes = [
            Lane(
                group,
                compressor,
                settings.algorithm,
                settings.loss_scale,
                settings.alike(),
                self._names,
                Turns(number, len(compressors)),
            )
            for number, compressor in enumerate(compressors)
        ]
        self._first = self.lanes[0]
        self.averager = self._first.averager
        self.exchange = self._first.exchange
        self._clock = DeviceClock()
        self.tuner = Tuner(self.exchange.largest, self._clock)
        for lane in self.lanes:
            if settings.fallback and lane.averager.compressor.estimates_gradient:
                lane.turns.tuner = self.tuner
            lane.steps.has_others = len(self.lanes) > 1
        self._measures = any(lane.turns.tuner is not None for lane in self.lanes)
        self.steps = 0
        self._was_enabled = settings.enabled
        self._switches = 0
        self._seen: set[int] = set()  # parameters in this pass, by id
        self._taken = 0  # buckets in this pass

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._first.is_closed

    def is_unused(self, state: object) -> bool:
        """Whether ``state`` of this session has no model, and no checkpoint was loaded."""
        self._names.look_for_model_of(state)
        has_memory = any(lane.buckets.tensors() for lane in self.lanes)
        return not (self._names.parameters() or self.steps or has_memory)

    def close(self) -> None:
        """Ends the threads, releases the gloo group and discards all state."""
        for lane in self.lanes:
            lane.close()

    def reduce(self, state: object, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        """The hook; ``state`` is that with which it was registered."""
        for lane in self.lanes:
            lane.pipeline.check_failure()
        index, buffer = self._note(bucket), bucket.buffer()
        if not buffer.is_floating_point():
            self._first.buckets.update(index, [])
            self._pass_over(index, [0])
            future = self._first.plain.average(buffer)
        else:
            self._names.look_for_model_of(state, bucket.parameters()[0])
            layout = self._first.buckets.layout_of(bucket.parameters())
            if self._rules.learn(self._names, is_told=self.exchange.rank == 0):
                agree(self.exchange, self._rules.outcome(), _RULES)
            self._clock.follow(buffer.device)
            future = self._average(Bucket(index, buffer, layout))
        if bucket.is_last() or self._seen == self._names.reduced:
            self._seen.clear()
            self._taken = 0
            for lane in self.lanes:
                lane.end_pass()
        return future

    def _note(self, bucket: dist.GradBucket) -> int:
        """Begins a pass with its first bucket, and returns the index of the bucket.

        In the first pass of a static graph, DDP says of each bucket that it is the first and not
        the last.
        """
        own = {id(parameter) for parameter in bucket.parameters()}
        if bucket.index() == 0 and (not self._seen or self._seen & own):
            self._seen.clear()  # the pass before was given up if it has seen these
            self._taken = 0
            self._begin_pass()
        if not own <= self._names.reduced:  # the model was wrapped anew, with other parameters
            self._names.reduced = set()
        index = int(max(bucket.index(), self._taken))
        self._seen |= own
        self._taken += 1
        return index

    def _average(self, bucket: Bucket) -> torch.futures.Future[torch.Tensor]:
        parts = self._rules.split(bucket)
        self._pass_over(bucket.index, parts)
        futures = {place: self._take(place, part) for place, part in parts.items()}
        if len(futures) == 1:
            return next(iter(futures.values()))
        joined = torch.futures.collect_all(list(futures.values()))
        return joined.then(partial(_joined, self._rules, bucket, list(futures)))

    def _pass_over(self, index: int, places: Collection[int]) -> None:
        """Tells lanes that a bucket is not theirs; another one of this number may have been."""
        for number, lane in enumerate(self.lanes):
            if number not in places:
                lane.pass_over(index)

    def _take(self, place: int, part: Bucket) -> torch.futures.Future[torch.Tensor]:
        if place == EXCLUDED:
            return self._first.plain.average(part.buffer)
        if part.buffer.is_sparse:
            return self.lanes[place].take_sparse(part)
        return self.lanes[place].take(part)

    def _begin_pass(self) -> None:
        self.exchange.meet(_HOOK)
        self._agree_on_switches()
        self.steps += 1
        self._share_void()
        for lane in self.lanes:
            lane.is_on = self._is_on()
            lane.begin_pass()
        if self._measures and self._is_on():
            decisions = self.tuner.decisions
            self.tuner.begin_step()
            self._clock.restart()
            if decisions == 0 < self.tuner.decisions and self.exchange.rank == 0:
                log_choice(self.report())
        watches = [lane.watches() for lane in self.lanes]
        for lane in self.lanes:
            lane.plain.watches = any(watches)

    def _agree_on_switches(self) -> None:
        """Waits until all ranks have switched ``enabled`` as this one has."""
        if self._was_enabled != self._settings.enabled:
            self._was_enabled = self._settings.enabled
            self._switches += 1
            word = str(self._settings.enabled)
            self.exchange.meet(f"set enabled to {word}", f"enabled/{self._switches}/{word}")

    def _share_void(self) -> None:
        """A step whose averages are not applied is void in all lanes."""
        if any(lane.steps.is_void() for lane in self.lanes):
            for lane in self.lanes:
                lane.averager.step_is_void = True

    def _is_on(self) -> bool:
        return self._settings.enabled and self.steps > self._settings.start_step

    def choices(self) -> dict[int, bool]:
        """See :meth:`CompressionState.choices`."""
        found: dict[int, bool] = {}
        for lane in self.lanes:
            for index, compresses in lane.choices().items():
                found[index] = found.get(index, False) or compresses
        return found

    @property
    def saturated(self) -> int:
        """See :meth:`CompressionState.saturated`."""
        return sum(lane.pipeline.saturated for lane in self.lanes)

    def report(self) -> dict[str, Any]:
        """See :meth:`CompressionState.report`."""
        sizes = [lane.buckets.sizes() for lane in self.lanes]
        settled = None if self._measures else "compressed without measuring"
        is_on = self._is_on()
        if any(sizes) and not is_on:
            start = f"plain up to step {self._settings.start_step}"
            settled = start if self._settings.enabled else "not enabled"
        elif not self.choices():
            settled = "no bucket can be compressed" if self.steps else "no step yet"
        phase = report_phase(self.tuner, settled)
        buckets = []
        for lane, of_lane in zip(self.lanes, sizes):
            plain = lane.always_plain()
            if not is_on:
                plain = dict.fromkeys(of_lane, str(phase["phase"]))
            buckets += report_buckets(lane, plain, str(phase["phase"]))
        return {
            "steps": self.steps,
            **report_setup(self.averager),
            **phase,
            "rules": self._report_rules(),
            "excluded_elements": self._rules.count_excluded(self._names),
            "buckets": sorted(buckets, key=lambda row: row["index"]),
            **report_traffic([lane.averager for lane in self.lanes], self._plain_bytes()),
            "saturated": self.saturated,
        }

    def _report_rules(self) -> list[dict[str, Any]]:
        return [
            {"parameters": self._rules.pattern_of(number), **report_setup(lane.averager)}
            for number, lane in enumerate(self.lanes)
            if number > 0
        ]

    def _plain_bytes(self) -> int:
        return sum(lane.plain.bytes_sent for lane in self.lanes)

    def summary(self) -> str:
        """See :meth:`CompressionState.summary`."""
        return in_words(self.report())

    def save(self) -> dict[str, Any]:
        """See :meth:`CompressionState.state_dict`."""
        self._share_void()
        first, *others = [lane.save() for lane in self.lanes]
        rules = {"rules": self._rules.in_words(), "lanes": others} if self._rules else {}
        return {**first, **rules, "steps": self.steps}

    def load(self, state: object, states: Sequence[dict[str, Any]], strict: bool) -> None:
        """See :meth:`CompressionState.load_state_dict`; ``state`` is the one to load."""
        for one in states:
            if one.get("algorithm") == "scattered":
                raise ValueError(
                    "this checkpoint is of a model under FSDP2; call gw.torch.compress_fsdp(model, "
                    "state) before load_state_dict"
                )
            saved = list(one.get("rules", []))
            if saved != self._rules.in_words():
                raise ValueError(
                    f"the checkpoint has rules {saved}, this state has {self._rules.in_words()}; "
                    "pass the same exclude and rules"
                )
        self._names.look_for_model_of(state)
        for number, lane in enumerate(self.lanes):
            lane.load([_of_lane(one, number) for one in states], strict)
        steps = [float(one.get("steps", 0)) for one in states]
        self.steps = int(steps[0] if strict else self.exchange.largest([max([0.0, *steps])])[0])

    def skip_step(self) -> None:
        """See :meth:`CompressionState.skip_step`."""
        for lane in self.lanes:
            lane.averager.check_open()
            lane.steps.skip()


def _of_lane(state: dict[str, Any], number: int) -> dict[str, Any]:
    lanes: Sequence[dict[str, Any]] = state.get("lanes", ())
    return state if number == 0 else lanes[number - 1]


def _joined(
    rules: Any,
    bucket: Bucket,
    places: Sequence[int],
    ended: torch.futures.Future[list[torch.futures.Future[torch.Tensor]]],
) -> torch.Tensor:
    parts: Mapping[int, torch.Tensor] = {  # all are there, but their streams may go on
        place: future.wait() for place, future in zip(places, ended.value())
    }
    for part in parts.values():
        if part.is_cuda:  # its memory may be used again only after this stream has read it
            part.record_stream(torch.cuda.current_stream(part.device))
    averaged: torch.Tensor = rules.join(bucket, parts)
    return averaged
