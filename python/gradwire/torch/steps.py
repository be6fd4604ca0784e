"""Detects where a training step ends: what may be undone in memory."""

from __future__ import annotations

from gradwire.exchange.averaging import Averager
from gradwire.torch.names import ParameterNames
from gradwire.torch.pipeline import Pipeline


class Steps:
    """The steps of one model.

    A step may have several averaged backward passes, like those of a discriminator. It ends when
    parameters are updated, which changes the versions of their tensors. Updates of
    ``parameter.data`` do not change them, so until a change is seen, each backward pass is a step.
    """

    def __init__(self, averager: Averager, names: ParameterNames, pipeline: Pipeline) -> None:
        self._averager = averager
        self._names = names
        self._pipeline = pipeline
        self._versions = 0  # at the start of the last backward pass
        self._sees_updates = False

    def begin_pass(self) -> None:
        """Call before the first bucket of a backward pass."""
        versions = self._names.versions()
        updated = versions != self._versions and self._versions > 0
        self._versions = versions
        self._sees_updates |= updated
        if updated or not self._sees_updates:
            self._averager.end_step(applied=not self._is_void())
        elif not self.end_if_void():
            self._averager.go_on()

    def end_if_void(self) -> bool:
        """Ends the step if its averages are not applied, and returns whether this was so.

        A loss scaler skips a step if an average is not finite, and an error stops it.
        """
        void = self._is_void()
        if void:
            self._averager.end_step(applied=False)
        return void

    def _is_void(self) -> bool:
        return self._averager.step_is_void or self._pipeline.failure is not None
