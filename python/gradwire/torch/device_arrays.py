"""What memories and sparsifiers do with tensors on a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gradwire._device import Chosen, Device, Elements
from gradwire._floats import Float32Array
from gradwire.torch.stream import DeviceStream

_LARGEST = torch.finfo(torch.float32).max
_WHOLE_SAMPLE = 1 << 19  # the most elements of which all are sampled, as in sparsify.cpp
_SAMPLED_GROUPS, _GROUP = 4096, 64  # of a larger array


class TensorElements(Elements):
    """See :class:`Elements`. Indices are int64, as torch takes them."""

    def top_k(self, k: int) -> Chosen:
        """See :meth:`Elements.top_k`. Which ones of equal magnitudes are chosen is up to torch."""
        found = self.x.abs().topk(min(k, self.size), sorted=False).indices.sort().values
        return self._nonzero(found)

    def select_above(self, threshold: float) -> Chosen:
        """See :meth:`Elements.select_above`."""
        return self._nonzero((self.x.abs() >= threshold).nonzero().view(-1))

    def count_above(self, threshold: float) -> int:
        """See :meth:`Elements.count_above`."""
        magnitudes = self.x.abs()
        return int(((magnitudes >= threshold) & (magnitudes > 0)).sum())

    def at(self, indices: npt.NDArray[np.uint32]) -> Chosen:
        """See :meth:`Elements.at`."""
        there = torch.from_numpy(indices.astype(np.int64)).to(self.x.device)
        return there, self.x[there]

    def magnitude_sums(self) -> tuple[float, float, float, float]:
        """See :meth:`Elements.magnitude_sums`."""
        norms = [_norm(self.x, order) for order in (2, 1, math.inf)]
        total, l2, l1, largest = torch.stack([self.x.sum(dtype=torch.float64), *norms]).tolist()
        return total, l2 * l2, l1, largest

    def sample_magnitudes(self) -> Float32Array:
        """See :meth:`Elements.sample_magnitudes`; the same elements as in host memory."""
        sample = self.x
        if self.size > _WHOLE_SAMPLE:
            places = (_SAMPLED_GROUPS, _GROUP), (self.size // _SAMPLED_GROUPS, 1)
            sample = self.x.as_strided(*places, self.x.storage_offset()).reshape(-1)
        magnitudes: Float32Array = sample.abs().cpu().numpy()
        return magnitudes

    def _nonzero(self, indices: torch.Tensor) -> Chosen:
        values = self.x[indices]
        is_kept = values != 0
        return indices[is_kept], values[is_kept]


@dataclass(frozen=True)
class TensorDevice(Device):
    """See :class:`Device`. All work is done on one stream.

    Callers make that stream current, except for :meth:`to_host`, which other threads may call.
    """

    stream: DeviceStream

    def empty(self, count: int) -> torch.Tensor:
        """See :meth:`Device.empty`."""
        return torch.empty(count, device=self.stream.device)

    def zeros(self, count: int) -> torch.Tensor:
        """See :meth:`Device.zeros`."""
        return torch.zeros(count, device=self.stream.device)

    def copy(self, array: torch.Tensor) -> torch.Tensor:
        """See :meth:`Device.copy`."""
        return array.clone()

    def combine(
        self,
        x: torch.Tensor,
        residual: torch.Tensor,
        gamma: float,
        beta: float,
        out: torch.Tensor,
    ) -> None:
        """See :meth:`Device.combine`."""
        torch.mul(residual, beta, out=out).add_(x, alpha=gamma).clamp_(-_LARGEST, _LARGEST)

    def norm(self, x: torch.Tensor) -> float:
        """See :meth:`Device.norm`."""
        return float(_norm(x, 2))

    def elements(self, x: torch.Tensor, threads: int) -> Elements:
        """See :meth:`Device.elements`."""
        return TensorElements(x, threads)

    def to_host(self, *arrays: torch.Tensor) -> list[npt.NDArray[Any]]:
        """See :meth:`Device.to_host`."""
        with self.stream.current():
            hosts = [self.stream.to_host(_narrow(array)) for array in arrays]
            self.stream.wait()
        return [_as_numpy(host) for host in hosts]

    def from_host(self, array: Float32Array) -> torch.Tensor:
        """See :meth:`Device.from_host`."""
        return torch.from_numpy(array).to(self.stream.device, copy=True)


def _norm(x: torch.Tensor, order: float) -> torch.Tensor:
    return torch.linalg.vector_norm(x, order, dtype=torch.float64)


def _narrow(array: torch.Tensor) -> torch.Tensor:
    """Indices as 32 bits, half of the bytes to copy; anything else as it is."""
    return array.to(torch.int32) if array.dtype == torch.int64 else array


def _as_numpy(host: torch.Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = host.numpy()
    return array.view(np.uint32) if array.dtype == np.int32 else array
