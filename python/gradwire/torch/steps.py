"""Where a step of training ends: up to there, memories may have to be taken back."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from gradwire.exchange.averaging import Averager
from gradwire.torch.buckets import Buckets
from gradwire.torch.pipeline import Pipeline

_MOST_PASSES = 8
"""Backward passes without an update that shows, after which updates are assumed not to show."""


class Steps:
    """The steps of one model.

    A step may have several backward passes that are averaged, like those of a GAN's discriminator.
    It ends when parameters are updated: when an optimizer of PyTorch steps, or when the versions of
    their tensors change. Updates through ``parameter.data`` do not show; where updates do not show
    for several passes, each backward pass is a step.

    If averages are not applied, a step is undone for the parameters that no optimizer has updated:
    a loss scaler may skip one of several optimizers.
    """

    def __init__(self, averager: Averager, buckets: Buckets, pipeline: Pipeline[int]) -> None:
        self._averager = averager
        self._buckets = buckets
        self._names = buckets.names
        self._pipeline = pipeline
        self._versions = 0  # when the last backward pass began
        self._stepped: set[str] = set()  # parameters that optimizers have updated since then
        self._has_optimizer_stepped = False
        self._passes = 0  # since the last update
        self._shows_updates: bool | None = None  # None: not known yet
        self.is_open = False
        """Whether a backward pass has begun and has not ended."""
        self._has_last_bucket = False  # of that pass
        self.has_others = False
        """Whether the step may be void because of other averagers of the model."""
        _living.add(self)

    def begin_pass(self) -> bool:
        """Call it before the first bucket of a pass. Says whether the step before goes on.

        A rank that has joined the others has passes without a backward pass of its own: each of
        them is a step.
        """
        is_backward = self._call_at_end()
        stepped, updated = self._stepped, self._was_updated()
        self._stepped = set()
        self._versions = self._names.versions()
        self._passes = 1 if updated else self._passes + 1
        if updated or (self._passes > _MOST_PASSES and not self._has_optimizer_stepped):
            self._shows_updates = updated
        elif self._shows_updates is None and self._names.is_complete:
            self._shows_updates = self._has_optimizer()
        void = self.is_void()
        goes_on = bool(is_backward and self._shows_updates and not updated and not void)
        if goes_on:
            self._averager.go_on()
        else:
            self._buckets.end_step(not void, stepped)
        self.is_open = is_backward
        self._has_last_bucket = False
        return goes_on

    def note_last_bucket(self) -> None:
        """Call it when the last bucket of a pass has been taken over."""
        self._has_last_bucket = True
        self._call_at_end()

    def _call_at_end(self) -> bool:
        """Has autograd call :meth:`_end_pass`. Returns False if there is no backward pass."""
        try:
            torch.autograd.Variable._execution_engine.queue_callback(self._end_pass)
        except RuntimeError:
            return False
        return True

    def _end_pass(self) -> None:
        """Waits for all averages, and raises the error if there was one: DDP, which waits after
        this, turns errors of futures into RuntimeErrors. Backward passes inside this one, as of
        reentrant checkpointing, may call it before the last bucket."""
        self._pipeline.wait()
        if self._has_last_bucket:
            self.is_open = False

    def skip(self) -> None:
        """Makes the step void, unless parameters have been updated since its last pass."""
        if not self._was_updated():
            self._averager.step_is_void = True

    def end_if_void(self) -> None:
        """Ends the step if its averages are not applied: a loss scaler skips all of it if one is
        not finite, and after an error it cannot be finished."""
        if self.is_void():
            self._buckets.end_step(False, self._stepped)
            self.is_open = False

    def note_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Takes note of a step of an optimizer, if it has parameters of this model."""
        names = self._names_in(optimizer)
        may_be_void = self._averager.step_is_void or self.has_others
        if not names or (may_be_void and _was_told_to_skip(optimizer)):
            return
        self._has_optimizer_stepped = True
        self._stepped |= names

    def _names_in(self, optimizer: torch.optim.Optimizer) -> set[str]:
        """The names of those of its parameters that are of this model."""
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        return {name for p in parameters if (name := self._names.known(p)) is not None}

    def _has_optimizer(self) -> bool:
        """Whether an optimizer of PyTorch exists for this model; looks at all objects, once."""
        return any(
            self._names_in(one)
            for one in gc.get_objects()
            if issubclass(type(one), torch.optim.Optimizer) and hasattr(one, "param_groups")
        )

    def _was_updated(self) -> bool:
        """Whether parameters have been updated since the last backward pass began."""
        return bool(self._stepped) or 0 < self._versions != self._names.versions()

    def is_void(self) -> bool:
        """Whether the averages of this step are not applied."""
        return self._averager.step_is_void or self.is_open or self._pipeline.failure is not None


def _was_told_to_skip(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a GradScaler had a fused optimizer leave out the step, within its kernels."""
    return bool(getattr(optimizer, "found_inf", False))


_living: weakref.WeakSet[Steps] = weakref.WeakSet()


def _after_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    for steps in list(_living):
        steps.note_optimizer(optimizer)


register_optimizer_step_post_hook(_after_step)
