"""Records which parameters are in which bucket, so that memory follows them when buckets change.

DDP rebuilds its buckets after the first step. The memory of the old buckets is then split by
parameter, and joined for the new buckets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch

from gradwire._memory import TensorMemory
from gradwire.exchange.averaging import Averager
from gradwire.torch.names import Layout, ParameterNames
from gradwire.torch.used_parameters import UsedParameters

Shapes = Mapping[str, tuple[int, ...]]


class Buckets:
    """Buckets of one model, and the memory of parameters that are in no bucket yet."""

    def __init__(self, averager: Averager, names: ParameterNames) -> None:
        self._averager = averager
        self.names = names
        self.used = UsedParameters(self.names)
        self._layouts: dict[int, Layout] = {}
        self._loose: dict[str, TensorMemory] = {}
        self._loose_at_start: dict[str, TensorMemory | None] = {}  # same, when the step began
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
        self._put_together(index)
        return bool(stale)

    def drop(self, index: int) -> None:
        """Takes note that a bucket has none of these parameters any more."""
        if index in self._layouts:
            self._take_apart([index])

    def sizes(self) -> dict[int, int]:
        """The number of elements of each bucket, by index; 0 if it is sparse, or not of floats."""
        return {index: _count(self._layouts[index]) for index in sorted(self._layouts)}

    def layouts(self) -> dict[int, list[str]]:
        """The names of the parameters of each bucket, by index."""
        layouts = sorted(self._layouts.items())
        return {i: [name for name, _ in layout] for i, layout in layouts if layout}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the known parameters and of those in a checkpoint, by name."""
        return {**self._unchecked, **self.names.shapes()}

    def tensors(self) -> dict[str, TensorMemory]:
        """The memory of each parameter, by name."""
        found = dict(self._loose)
        for index, layout in self._layouts.items():
            found.update(split_memory(self._averager.held(str(index)), layout))
        return found

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
        self._take_apart(list(self._layouts))
        self._loose = dict(tensors)
        self._loose_at_start.clear()

    def end_step(self, applied: bool, updated: Set[str]) -> None:
        """Ends a step. If it was not ``applied``, undoes it for all parameters not ``updated``."""
        if not applied:
            for index, layout in self._layouts.items():
                if self._averager.is_in_step(str(index)) and updated & {name for name, _ in layout}:
                    self._undo_others(str(index), layout, updated)
            for name, memory in self._loose_at_start.items():
                if memory is None:
                    self._loose.pop(name, None)
                else:
                    self._loose[name] = memory
        self._loose_at_start.clear()
        self._averager.end_step(applied)

    def _undo_others(self, bucket: str, layout: Layout, updated: Set[str]) -> None:
        held = split_memory(self._averager.held(bucket), layout)
        at_start = split_memory(self._averager.at_start(bucket), layout)
        pieces = [(held if name in updated else at_start).get(name) for name, _ in layout]
        self._averager.keep(bucket, join_memories(pieces, layout), _count(layout))

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

    def _take_apart(self, indices: list[int]) -> None:
        for index in indices:
            layout, bucket = self._layouts.pop(index), str(index)
            self._loose.update(split_memory(self._averager.held(bucket), layout))
            if self._averager.is_in_step(bucket):
                at_start = split_memory(self._averager.at_start(bucket), layout)
                self._loose_at_start.update({name: at_start.get(name) for name, _ in layout})
            self._averager.forget(bucket)

    def _put_together(self, index: int) -> None:
        layout = self._layouts[index]
        if not layout:  # a sparse bucket
            return
        ends = np.cumsum([count for _, count in layout]).tolist()
        self._averager.parts[str(index)] = list(zip([0, *ends[:-1]], ends))
        names = [name for name, _ in layout]
        is_in_step = not self._loose_at_start.keys().isdisjoint(names)
        at_start = [self._loose_at_start.pop(n, self._loose.get(n)) for n in names]
        memory = join_memories([self._loose.pop(name, None) for name in names], layout)
        if memory is not None:
            self._averager.keep(str(index), memory, ends[-1])
        if is_in_step:
            self._averager.set_start(str(index), join_memories(at_start, layout), ends[-1])


def _count(layout: Layout) -> int:
    return sum(count for _, count in layout)


def split_memory(memory: TensorMemory | None, layout: Layout) -> dict[str, TensorMemory]:
    """The memory of a bucket, split by parameter name."""
    if memory is None:
        return {}
    borders = np.cumsum([count for _, count in layout])[:-1]
    parts = {name: TensorMemory({}, memory.scale) for name, _ in layout}
    for kind, array in memory.arrays.items():
        for part, piece in zip(parts.values(), np.split(array, borders)):
            part.arrays[kind] = piece.copy()
    return parts


def join_memories(pieces: Sequence[TensorMemory | None], layout: Layout) -> TensorMemory | None:
    """The memory of the parameters of a bucket as that of the bucket, at one loss scale."""
    known = [piece for piece in pieces if piece is not None]
    if not known:
        return None
    whole = TensorMemory({}, known[0].scale)
    scaled = [{} if piece is None else piece.at(whole.scale) for piece in pieces]
    for kind in sorted({kind for arrays in scaled for kind in arrays}):
        arrays = [a.get(kind, np.zeros(n, np.float32)) for a, (_, n) in zip(scaled, layout)]
        whole.arrays[kind] = np.concatenate(arrays)
    return whole
