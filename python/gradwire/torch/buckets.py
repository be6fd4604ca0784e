"""Which parameters lie in which bucket, so that memories follow them when buckets change.

DDP forms its buckets anew after the first step, and a resumed run begins with the first ones again.
The memory of a bucket is therefore cut into those of its parameters, and put together anew.
Parameters are numbered in the order in which they are first seen, which is the same in every run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gradwire.averaging import Averager, State

Layout = list[tuple[int, int]]
"""Number and elements of each parameter of a bucket."""


class Buckets:
    """The buckets of one model, and the memories of parameters that lie in none at the moment."""

    def __init__(self, averager: Averager) -> None:
        self._averager = averager
        self._numbers: dict[int, int] = {}
        self._layouts: dict[int, Layout] = {}
        self._loose: dict[int, State] = {}

    def update(self, index: int, parameters: Sequence[torch.Tensor]) -> bool:
        """Takes note of a bucket. Says whether there have been other buckets before."""
        layout = [(self._number(p), p.numel()) for p in parameters]
        if self._layouts.get(index) == layout:
            return False
        stale = [i for i in self._layouts if i >= index]
        self._take_apart(stale)
        self._layouts[index] = layout
        self._put_together(index)
        return bool(stale)

    def sizes(self) -> dict[int, int]:
        """Elements of all buckets, by their indices."""
        return {i: sum(count for _, count in self._layouts[i]) for i in sorted(self._layouts)}

    def state_dict(self) -> dict[int, dict[str, torch.Tensor]]:
        """The memory of each parameter."""
        layouts = dict(self._layouts)
        self._take_apart(list(layouts))
        state = {
            number: {kind: torch.from_numpy(array.copy()) for kind, array in kinds.items()}
            for number, kinds in self._loose.items()
        }
        for index, layout in layouts.items():
            self._layouts[index] = layout
            self._put_together(index)
        return state

    def load_state_dict(self, state: dict[int, dict[str, torch.Tensor]]) -> None:
        """Replaces the memories of all parameters."""
        self._take_apart(list(self._layouts))
        self._loose = {
            number: {kind: np.array(array, np.float32) for kind, array in kinds.items()}
            for number, kinds in state.items()
        }

    def _number(self, parameter: torch.Tensor) -> int:
        return self._numbers.setdefault(id(parameter), len(self._numbers))

    def _take_apart(self, indices: list[int]) -> None:
        for index in indices:
            layout = self._layouts.pop(index)
            arrays = self._averager.take(str(index), sum(count for _, count in layout))
            borders = np.cumsum([count for _, count in layout])[:-1]
            for kind, array in arrays.items():
                for (number, _), piece in zip(layout, np.split(array, borders)):
                    self._loose.setdefault(number, {})[kind] = piece

    def _put_together(self, index: int) -> None:
        layout = self._layouts[index]
        pieces = [(self._loose.pop(number, {}), count) for number, count in layout]
        for kind in {kind for piece, _ in pieces for kind in piece}:
            arrays = [p.get(kind, np.zeros(count, np.float32)) for p, count in pieces]
            self._averager.put(str(index), {kind: np.concatenate(arrays)})
