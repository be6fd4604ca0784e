"""Records which tensors are in which bucket, so that memory follows them when buckets change.

The memory of old buckets is split by tensor, and joined for the new buckets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Generic, TypeVar

import numpy as np

from gradwire._memory import TensorMemory
from gradwire.exchange.averaging import Averager

Layout = list[tuple[str, int]]
"""Name and number of elements of each tensor of a bucket."""
Key = TypeVar("Key", int, str)


class Layouts(Generic[Key]):
    """Buckets, and the memory of tensors that are in no bucket now.

    The averager knows a bucket by its key, as text.
    """

    def __init__(self, averager: Averager) -> None:
        self._averager = averager
        self._layouts: dict[Key, Layout] = {}
        self._loose: dict[str, TensorMemory] = {}
        self._loose_at_start: dict[str, TensorMemory | None] = {}  # same, when the step began

    def tensors(self) -> dict[str, TensorMemory]:
        """The memory of each tensor, by name."""
        found = dict(self._loose)
        for key, layout in self._layouts.items():
            found.update(split_memory(self._averager.held(str(key)), layout))
        return found

    def replace(self, tensors: Mapping[str, TensorMemory]) -> None:
        """Replaces the memory of all tensors; no bucket is left."""
        self._take_apart(list(self._layouts))
        self._loose = dict(tensors)
        self._loose_at_start.clear()

    def _undo_others(self, key: Key, kept: Set[str]) -> None:
        """Undoes the step of a bucket for all tensors that are not ``kept``."""
        bucket, layout = str(key), self._layouts[key]
        held = split_memory(self._averager.held(bucket), layout)
        at_start = split_memory(self._averager.at_start(bucket), layout)
        pieces = [(held if name in kept else at_start).get(name) for name, _ in layout]
        self._averager.keep(bucket, join_memories(pieces, layout), count_of(layout))

    def _take_apart(self, keys: Iterable[Key]) -> None:
        for key in keys:
            layout, bucket = self._layouts.pop(key), str(key)
            self._loose.update(split_memory(self._averager.held(bucket), layout))
            if self._averager.is_in_step(bucket):
                at_start = split_memory(self._averager.at_start(bucket), layout)
                self._loose_at_start.update({name: at_start.get(name) for name, _ in layout})
            self._averager.forget(bucket)

    def _put_together(self, key: Key) -> None:
        """Gives a bucket the memory of its tensors."""
        bucket, layout = str(key), self._layouts[key]
        names = [name for name, _ in layout]
        is_in_step = not self._loose_at_start.keys().isdisjoint(names)
        at_start = [self._loose_at_start.pop(n, self._loose.get(n)) for n in names]
        memory = join_memories([self._loose.pop(name, None) for name in names], layout)
        if memory is not None:
            self._averager.keep(bucket, memory, count_of(layout))
        if is_in_step:
            self._averager.set_start(bucket, join_memories(at_start, layout), count_of(layout))


class NamedBuckets(Layouts[str]):
    """Buckets of tensors whose names the program chooses. A bucket is named after its first one."""

    def are_arranged(self, buckets: Sequence[Layout]) -> bool:
        """Whether tensors are in these buckets."""
        return all(self._layouts.get(layout[0][0]) == layout for layout in buckets)

    def arrange(self, buckets: Sequence[Layout]) -> None:
        """Puts tensors into these buckets.

        Steps of tensors that change their bucket can no longer be undone.

        Raises:
            ValueError: a tensor has memory of another number of elements.
        """
        new = [layout for layout in buckets if not self.are_arranged([layout])]
        names = {name for layout in new for name, _ in layout}
        self._take_apart([k for k, old in self._layouts.items() if names & {n for n, _ in old}])
        self._loose_at_start.clear()
        for name, count in [tensor for layout in new for tensor in layout]:
            for array in self._loose[name].arrays.values() if name in self._loose else ():
                if array.size != count:
                    raise ValueError(
                        f"tensor {name!r} had {array.size} elements and has {count} now; "
                        "give each tensor a unique name"
                    )
        for layout in new:
            self._layouts[layout[0][0]] = layout
            self._put_together(layout[0][0])

    def skip(self, names: Set[str]) -> None:
        """Undoes the last step of these tensors."""
        for key, layout in self._layouts.items():
            others = {name for name, _ in layout} - names
            if not others:
                self._averager.take_back([key])
            elif len(others) < len(layout) and self._averager.is_in_step(key):
                self._undo_others(key, others)


def count_of(layout: Layout) -> int:
    """The number of elements of a bucket."""
    return sum(count for _, count in layout)


def split_memory(memory: TensorMemory | None, layout: Layout) -> dict[str, TensorMemory]:
    """The memory of a bucket, split by the names of its tensors."""
    if memory is None:
        return {}
    borders = np.cumsum([count for _, count in layout])[:-1]
    parts = {name: TensorMemory({}, memory.scale) for name, _ in layout}
    for kind, array in memory.arrays.items():
        for part, piece in zip(parts.values(), np.split(array, borders)):
            part.arrays[kind] = piece.copy()
    return parts


def join_memories(pieces: Sequence[TensorMemory | None], layout: Layout) -> TensorMemory | None:
    """The memory of the tensors of a bucket as that of the bucket, at one loss scale."""
    known = [piece for piece in pieces if piece is not None]
    if not known:
        return None
    whole = TensorMemory({}, known[0].scale)
    scaled = [{} if piece is None else piece.at(whole.scale) for piece in pieces]
    for kind in sorted({kind for arrays in scaled for kind in arrays}):
        arrays = [a.get(kind, np.zeros(n, np.float32)) for a, (_, n) in zip(scaled, layout)]
        whole.arrays[kind] = np.concatenate(arrays)
    return whole
