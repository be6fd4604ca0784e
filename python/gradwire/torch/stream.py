"""The stream on which gradients and averages of a GPU are computed and copied."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


class DeviceStream:
    """A stream for our work on one device, so that it does not queue behind the backward pass.

    On the CPU, where work is done when a function returns, all this does nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def current(self) -> contextlib.AbstractContextManager[Any]:
        """Makes this the stream of the calling thread; end it with ``with``."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def wait(self) -> None:
        """Waits until all work so far is done; other threads run meanwhile."""
        if self._stream is not None:
            record_event(self._stream).synchronize()

    def host_tensor(self, count: int, dtype: torch.dtype) -> torch.Tensor:
        """Host memory for copies from and to the device.

        It is pinned. PyTorch keeps pinned memory for reuse when it is freed, and does not reuse it
        before copies from it are done.
        """
        return torch.empty(count, dtype=dtype, pin_memory=self._stream is not None)

    def to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """Begins to copy a flat tensor to host memory; :meth:`wait` for it."""
        host = self.host_tensor(tensor.numel(), tensor.dtype)
        return host.copy_(tensor, non_blocking=self._stream is not None)

    def from_host(self, tensor: torch.Tensor) -> torch.Tensor:
        """Begins to copy a tensor of :meth:`host_tensor` to the device."""
        return tensor.to(self.device, non_blocking=self._stream is not None)


def ready_event(buffer: torch.Tensor) -> Any:
    """An event of the work that now computes ``buffer``; None on the CPU."""
    if buffer.device.type != "cuda":
        return None
    return record_event(torch.cuda.current_stream(buffer.device))


def record_event(stream: Any) -> Any:
    """An event of the work so far on a stream. A thread that waits for it sleeps."""
    return stream.record_event(torch.cuda.Event(blocking=True))
