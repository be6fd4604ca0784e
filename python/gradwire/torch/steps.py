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
    """

    def __init__(self, averager: Averager, buckets: Buckets, pipeline: Pipeline) -> None:
        self._averager = averager
        self._buckets = buckets
        self._names = buckets.names
        self._pipeline = pipeline
        self._versions = 0  # when the last backward pass began
        self._optimizer_steps = 0
        self._passes = 0  # since the last update
        self._shows_updates: bool | None = None  # None: not known yet
        self._is_open = False  # a backward pass has begun and has not ended
        _living.add(self)

    def begin_pass(self) -> bool:
        """Call it before the first bucket of a pass. Says whether the step before goes on.

        A rank that has joined the others has passes without a backward pass of its own: each of
        them is a step.
        """
        is_backward = self._is_in_backward()
        updated = self._was_updated()
        self._passes = 1 if updated else self._passes + 1
        if updated or self._passes > _MOST_PASSES:
            self._shows_updates = updated
        elif self._shows_updates is None and self._names.is_complete:
            self._shows_updates = self._has_optimizer()
        void = self._is_void()
        goes_on = bool(is_backward and self._shows_updates and not updated and not void)
        if goes_on:
            self._averager.go_on()
        else:
            self._buckets.end_step(applied=not void)
        self._is_open = is_backward
        return goes_on

    def _is_in_backward(self) -> bool:
        """Whether autograd will call :meth:`_end_pass` at the end of a backward pass."""
        try:
            torch.autograd.Variable._execution_engine.queue_callback(self._end_pass)
        except RuntimeError:
            return False
        return True

    def _end_pass(self) -> None:
        """Waits for all averages, and raises the error if there was one: DDP, which waits after
        this, turns errors of futures into RuntimeErrors."""
        self._pipeline.wait()
        self._is_open = False

    def end_if_void(self) -> None:
        """Ends the step if its averages are not applied: a loss scaler skips all of it if one is
        not finite, and after an error it cannot be finished."""
        if self._is_void():
            self._buckets.end_step(applied=False)
            self._is_open = False

    def note_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Takes note of a step of an optimizer, if it has parameters of this model."""
        self._optimizer_steps += self._is_ours(optimizer)

    def _is_ours(self, optimizer: torch.optim.Optimizer) -> bool:
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        return any(self._names.knows(p) for p in parameters)

    def _has_optimizer(self) -> bool:
        """Whether an optimizer of PyTorch exists for this model; looks at all objects, once."""
        return any(
            self._is_ours(one)
            for one in gc.get_objects()
            if issubclass(type(one), torch.optim.Optimizer) and hasattr(one, "param_groups")
        )

    def _was_updated(self) -> bool:
        steps, self._optimizer_steps = self._optimizer_steps, 0
        before, self._versions = self._versions, self._names.versions()
        return steps > 0 or (before > 0 and before != self._versions)

    def _is_void(self) -> bool:
        return self._averager.step_is_void or self._is_open or self._pipeline.failure is not None


_living: weakref.WeakSet[Steps] = weakref.WeakSet()


def _after_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    for steps in list(_living):
        steps.note_optimizer(optimizer)


register_optimizer_step_post_hook(_after_step)
