"""Where a step of training ends: what memories may have to be taken back to."""

from __future__ import annotations

from gradwire.averaging import Averager
from gradwire.torch.names import ParameterNames
from gradwire.torch.pipeline import Pipeline


class Steps:
    """The steps of one model.

    A step may have several backward passes that are averaged, as those of a discriminator. It ends
    when parameters are updated, which shows in the versions of their tensors. Updates by way of
    ``parameter.data`` do not show there: while none has been seen, each backward pass is a step.
    """

    def __init__(self, averager: Averager, names: ParameterNames, pipeline: Pipeline) -> None:
        self._averager = averager
        self._names = names
        self._pipeline = pipeline
        self._versions = 0  # when the last backward pass began
        self._sees_updates = False

    def begin_pass(self) -> None:
        """Before the first bucket of a backward pass."""
        versions = self._names.versions()
        updated = versions != self._versions and self._versions > 0
        self._versions = versions
        self._sees_updates |= updated
        if updated or not self._sees_updates:
            self._averager.end_step(applied=not self._is_void())
        elif not self.end_if_void():
            self._averager.go_on()

    def end_if_void(self) -> bool:
        """Ends the step if its averages are not applied: a loss scaler skips all of it if one is
        not finite, and after an error it cannot be finished. Says whether that was so."""
        void = self._is_void()
        if void:
            self._averager.end_step(applied=False)
        return void

    def _is_void(self) -> bool:
        return self._averager.step_is_void or self._pipeline.failure is not None
