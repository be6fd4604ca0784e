"""The time at which a GPU gets to a point of the program, for the tuner."""

from __future__ import annotations

import time
from typing import Any, SupportsFloat

import torch


class DeviceClock:
    """Tells the time, on a GPU if there is one.

    A GPU works on what the program has long passed, so that the time of the program says nothing.
    """

    def __init__(self) -> None:
        self._device: torch.device | None = None
        self._first: Any = None

    def follow(self, device: torch.device) -> None:
        """Tells the time of this device from now on, unless it tells that of a GPU already."""
        if self._device is None and device.type == "cuda":
            self._device = device

    def restart(self) -> None:
        """Begins a step, from whose first time on others are counted: long times are inexact."""
        self._first = None

    def __call__(self) -> SupportsFloat:
        """When the current stream of this thread will have done its work so far, in seconds."""
        if self._device is None:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        self._first = self._first or event
        return _Moment(self._first, event)


class _Moment:
    """When a GPU comes to an event, in seconds after the first event of the step."""

    def __init__(self, first: Any, event: Any) -> None:
        self._first = first
        self._event = event

    def __float__(self) -> float:
        self._first.synchronize()
        self._event.synchronize()
        return float(self._first.elapsed_time(self._event)) / 1e3
