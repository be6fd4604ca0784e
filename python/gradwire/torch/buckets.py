"""The buckets of DDP, which rebuilds them after the first step; memory follows the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import accumulate
from typing import Any

import torch

from gradwire._memory import TensorMemory
from gradwire.exchange.averaging import Averager
from gradwire.exchange.layouts import Layout, Layouts, count_of
from gradwire.torch.names import ParameterNames
from gradwire.torch.used_parameters import UsedParameters

Shapes = Mapping[str, tuple[int, ...]]


class Buckets(Layouts[int]):
    """Buckets of one model, by index; and the memory of parameters that are in none yet."""

    def __init__(self, averager: Averager, names: ParameterNames) -> None:
        super().__init__(averager)
        self.names = names
        self.used = UsedParameters(self.names)
        self._unchecked: dict[str, tuple[int, ...]] = {}  # shapes in a checkpoint, by name

    def layout_of(self, parameters: Sequence[torch.Tensor]) -> Layout:
        """The layout of a bucket of these parameters.

        Raises:
            ValueError: they belong to another model, or the shapes in the checkpoint differ.
        """
        layout = [(self.names.of(p), p.numel()) for p in parameters]
        self.check(self._unchecked)
        if self.names.is_complete:
            self._unchecked = {}
        return layout

    def update(self, index: int, layout: Layout) -> bool:
        """Records a bucket, and returns whether it replaces other ones."""
        if self._layouts.get(index) == layout:
            return False
        stale = [i for i in self._layouts if i >= index]
        self._take_apart(stale)
        self._layouts[index] = layout
        if layout:  # not of a sparse bucket
            ends = list(accumulate(count for _, count in layout))
            self._averager.parts[str(index)] = list(zip([0, *ends[:-1]], ends))
            self._put_together(index)
        return bool(stale)

    def drop(self, index: int) -> bool:
        """Takes note that a bucket has none of these parameters; returns whether it had some."""
        if index not in self._layouts:
            return False
        self._take_apart([index])
        return True

    def sizes(self) -> dict[int, int]:
        """The number of elements of each bucket, by index; 0 if it is sparse, or not of floats."""
        return {index: count_of(self._layouts[index]) for index in sorted(self._layouts)}

    def layouts(self) -> dict[int, list[str]]:
        """The names of the parameters of each bucket, by index."""
        layouts = sorted(self._layouts.items())
        return {i: [name for name, _ in layout] for i, layout in layouts if layout}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the known parameters and of those in a checkpoint, by name."""
        return {**self._unchecked, **self.names.shapes()}

    def reshape(self, tensors: Mapping[str, Any]) -> None:
        """Gives the arrays of a checkpoint the shapes of their parameters, as torch tensors."""
        shapes = self.shapes()
        for name, tensor in tensors.items():
            tensor["arrays"] = {
                kind: torch.from_numpy(array).reshape(shapes.get(name, (-1,)))
                for kind, array in tensor["arrays"].items()
            }

    def load(self, tensors: Mapping[str, TensorMemory], shapes: Shapes) -> None:
        """Replaces the memory of all parameters.

        Args:
            tensors: the memory of each parameter, by name.
            shapes: those of the parameters; call :meth:`check` first. If the model is not known
                yet, they are checked in the first step.
        """
        self._unchecked = {} if self.names.is_complete else dict(shapes)
        self.replace(tensors)

    def end_step(self, applied: bool, updated: Set[str]) -> None:
        """Ends a step. If it was not ``applied``, undoes it for all parameters not ``updated``."""
        if not applied:
            for index, layout in self._layouts.items():
                if self._averager.is_in_step(str(index)) and updated & {name for name, _ in layout}:
                    self._undo_others(index, updated)
            for name, memory in self._loose_at_start.items():
                if memory is None:
                    self._loose.pop(name, None)
                else:
                    self._loose[name] = memory
        self._loose_at_start.clear()
        self._averager.end_step(applied)

    def check(self, shapes: Shapes) -> None:
        """Raises ValueError if the model is known and lacks parameters of these shapes."""
        own = self.names.shapes()
        for name, shape in shapes.items() if self.names.is_complete else ():
            if name not in own:
                raise ValueError(
                    f"the checkpoint has memory of {name}, which is not a parameter of this model"
                )
            if own[name] != shape:
                raise ValueError(
                    f"parameter {name} has shape {own[name]}, but {shape} in the checkpoint"
                )
