"""The base of all memories: state arrays per tensor, with steps that can be undone.

Gradients may be multiplied by a loss scale that changes, as with ``torch.amp.GradScaler``. State
arrays are in units of the loss scale of their last step, and are rescaled when it changes
(``loss_scale`` of a :class:`~gradwire.compressor.Compressor`).

Arrays are in the memory of the device whose gradients they belong to, and move to that of the next
gradient. Whoever asks for the memory of a tensor gets it in host memory.

A step is all or nothing: it writes new arrays, and the old ones stay until the next step of the
tensor, so that a step that fails, or whose averages are discarded, can be undone. A memory
therefore takes twice the bytes of its arrays; three times if a step has several gradients of a
tensor.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gradwire._call import as_call
from gradwire._device import HOST, Device, Indices

Arrays = dict[str, Any]
"""The state arrays of one tensor, by kind: flat, float32, in the memory of one device."""
Ranges = Sequence[tuple[int, int]]
"""(begin, end) of parts of a flat tensor."""


@dataclass
class TensorMemory:
    """The state of one tensor."""

    arrays: Arrays
    scale: float = 1.0
    """The loss scale in whose units the arrays are."""
    device: Device = HOST
    """Where the arrays are."""

    def at(self, scale: float) -> Arrays:
        """New arrays: these ones in units of another loss scale."""
        scaled = {kind: self.device.empty(len(array)) for kind, array in self.arrays.items()}
        for kind, array in self.arrays.items():
            self.device.combine(array, array, 0.0, scale / self.scale, scaled[kind])
        return scaled

    def on(self, device: Device) -> TensorMemory:
        """This state with its arrays on another device; itself if they are there."""
        if self.device == device:
            return self
        arrays = zip(self.arrays, self.device.to_host(*self.arrays.values()))
        moved = {kind: device.from_host(array) for kind, array in arrays}
        return TensorMemory(moved, self.scale, device)


@dataclass
class Draft:
    """The memory of a tensor during a step; it takes effect when it is committed."""

    name: str
    before: TensorMemory | None
    """The state before the step; None if there was none."""
    old: Arrays
    """The arrays of ``before``, or zeros if it is None."""
    new: Arrays
    """The arrays that the step fills."""
    scale: float
    """The loss scale of this step."""
    world_size: int = 1
    """Number of ranks whose gradients are averaged."""
    device: Device = HOST
    """Where all arrays are."""

    @property
    def ratio(self) -> float:
        """The factor that brings ``old`` to the loss scale of this step."""
        return 1.0 if self.before is None else self.scale / self.before.scale

    @contextmanager
    def untouched(self, ranges: Ranges) -> Iterator[None]:
        """Hides ``ranges`` of ``old`` from a step, then carries their values over to ``new``."""
        lifted = [
            (kind, begin, end, self.device.copy(self.old[kind][begin:end]))
            for kind in self.old
            for begin, end in ranges
        ]
        try:
            for kind, begin, end, _ in lifted:
                self.old[kind][begin:end] = 0
            yield
        finally:
            for kind, begin, end, values in lifted:
                self.old[kind][begin:end] = values
        for kind, begin, end, values in lifted:
            self.new[kind][begin:end] = values * self.ratio


class Memory:
    """The base of all memories."""

    kinds: ClassVar[tuple[str, ...]] = ()
    """Suffixes that tell the state arrays of a tensor apart."""
    unsent: ClassVar[str] = ""
    """The kind of the array that holds what is still to be sent."""

    def __init__(self) -> None:
        self._tensors: dict[str, TensorMemory] = {}
        self._before: dict[str, TensorMemory | None] = {}  # states to return to
        self._first: dict[str, TensorMemory | None] = {}  # same, of a longer step
        self._spare: dict[str, TensorMemory] = {}  # arrays to reuse
        self._lock = threading.Lock()  # held while arrays are copied or reused

    def __repr__(self) -> str:
        return as_call(self)

    def __getstate__(self) -> dict[str, Any]:
        """The state for a copy, whose steps so far cannot be undone."""
        with self._lock:
            tensors = {n: memory.on(HOST) for n, memory in list(self._tensors.items())}
            tensors = copy.deepcopy(tensors)
        others = {"_lock": None, "_tensors": tensors, "_before": {}, "_first": {}, "_spare": {}}
        return {**self.__dict__, **others}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "_lock": threading.Lock()})

    def compensate(self, x: Any, draft: Draft) -> Any:
        """The array to compress instead of the gradient ``x``, which is flat, float32 and finite.

        Both are on the device of ``draft``. The result may be one of the arrays of ``draft.new``.
        """
        return x

    def update(self, draft: Draft, indices: Indices, sent: Any) -> None:
        """Records which elements are sent, and their values as sent; on the device of ``draft``."""

    def feedback(self, draft: Draft) -> tuple[float, float] | None:
        """The weights (beta, gamma) if the core computes the next residual itself, else None."""
        return None

    @property
    def keeps_scale(self) -> bool:
        """Whether what is sent estimates the gradient itself, not another kind of update."""
        return True

    def draft(self, name: str, count: int, scale: float = 1.0, device: Device = HOST) -> Draft:
        """Begins a step of a tensor of ``count`` elements, whose gradient is on ``device``.

        Raises:
            ValueError: the tensor had another number of elements before.
        """
        with self._lock:
            before = self._tensors.get(name)
            for array in {} if before is None else before.arrays.values():
                if len(array) != count:
                    raise ValueError(
                        f"tensor {name!r} had {len(array)} elements and has {count} now; "
                        "give each tensor a unique name"
                    )
            spare = self._before.pop(name, None) or self._spare.pop(name, None)
        before = None if before is None else before.on(device)
        old = {} if before is None else before.arrays
        if spare is None or spare.device != device:
            spare = TensorMemory({})
        new = {k: array for k, array in spare.arrays.items() if len(array) == count}
        return Draft(
            name,
            before,
            {k: old[k] if k in old else device.zeros(count) for k in self.kinds},
            {k: new[k] if k in new else device.empty(count) for k in self.kinds},
            scale,
            device=device,
        )

    def commit(self, draft: Draft) -> None:
        """Ends a step: its new arrays become the state."""
        if self.kinds:
            self._before[draft.name] = draft.before
            self._tensors[draft.name] = TensorMemory(draft.new, draft.scale, draft.device)

    def roll_back(self, draft: Draft) -> None:
        """Undoes a step, whether or not it was committed."""
        self._before.pop(draft.name, None)
        self._set(draft.name, draft.before)

    def begin(self, name: str) -> None:
        """Begins a step of a tensor before its :meth:`draft`, so that no earlier one is undone."""
        with self._lock:
            before = self._before.pop(name, None)
            if before is not None:
                self._spare[name] = before

    def take_back(self, name: str) -> None:
        """Undoes the last step of a tensor, unless it was settled or undone already."""
        for steps in (self._before, self._first):  # the older state comes last and wins
            if name in steps:
                self._set(name, steps.pop(name))

    def take_back_parts(self, name: str, ranges: Ranges) -> None:
        """Undoes the last gradient of a tensor in some parts, unless it was undone already."""
        if name not in self._before:
            return
        with self._lock:
            before, after = self._before[name], self._tensors[name]
            ratio = 1.0 if before is None else after.scale / before.scale
            for kind, array in after.arrays.items():
                for begin, end in ranges:
                    old = 0 if before is None else before.arrays[kind][begin:end]
                    array[begin:end] = old * ratio

    def go_on(self) -> None:
        """Continues the step: further gradients are undone together with those so far."""
        self._spare.update(
            {n: m for n, m in self._before.items() if m is not None and n in self._first}
        )
        self._first = {**self._before, **self._first}
        self._before.clear()

    def settle(self) -> None:
        """Makes all steps so far final: they can no longer be undone."""
        for steps in (self._before, self._first):
            self._spare.update({n: m for n, m in steps.items() if m is not None})
            steps.clear()

    def replace(self, name: str, memory: TensorMemory | None, as_step: bool = False) -> None:
        """Replaces the state of a tensor; with ``as_step``, as a step that can be undone."""
        if as_step:
            self._before[name] = self._tensors.get(name)
        else:
            self.forget(name)
        self._set(name, memory)

    def is_in_step(self, name: str) -> bool:
        """Whether a tensor has had a step that can be undone."""
        return name in self._before or name in self._first

    def at_start(self, name: str) -> TensorMemory | None:
        """The state of a tensor when the step began; None if it had none. See :meth:`held`."""
        for steps in (self._first, self._before):
            if name in steps:
                return _on_host(steps[name])
        return self.held(name)

    def set_start(self, name: str, memory: TensorMemory | None) -> None:
        """Replaces the state to which a tensor returns if this step is undone."""
        self._first[name] = memory

    def names(self) -> set[str]:
        """The names of all tensors that have state."""
        return set(self._tensors)

    def held(self, name: str) -> TensorMemory | None:
        """The state of a tensor in host memory, not a copy if it is there; None if it has none."""
        return _on_host(self._tensors.get(name))

    def forget(self, name: str) -> None:
        """Drops the state of a tensor; this cannot be undone."""
        for entries in (self._tensors, self._before, self._first, self._spare):
            entries.pop(name, None)

    def clear(self) -> None:
        """Drops the state of all tensors."""
        for entries in (self._tensors, self._before, self._first, self._spare):
            entries.clear()

    def state_dict(self) -> dict[str, Any]:
        """Copies of all state arrays, by tensor name and kind, for a checkpoint."""
        with self._lock:
            return {
                name + kind: np.array(array)
                for name, memory in list(self._tensors.items())
                for kind, array in memory.on(HOST).arrays.items()
            }

    def loss_scales(self) -> dict[str, float]:
        """The loss scale of each tensor's arrays."""
        return {name: memory.scale for name, memory in list(self._tensors.items())}

    def load_state_dict(
        self, state: Mapping[str, Any], loss_scales: Mapping[str, float] | None = None
    ) -> None:
        """Replaces all state with that of :meth:`state_dict` and :meth:`loss_scales`."""
        tensors: dict[str, TensorMemory] = {}
        for key, array in state.items():
            kind = next((k for k in self.kinds if key.endswith(k)), "")
            name = key[: len(key) - len(kind)]
            scale = (loss_scales or {}).get(name, 1.0)
            tensor = tensors.setdefault(name, TensorMemory({}, scale))
            tensor.arrays[kind] = np.array(array, np.float32).reshape(-1)
        self.clear()
        self._tensors.update(tensors)

    def _set(self, name: str, memory: TensorMemory | None) -> None:
        if memory is None:
            self._tensors.pop(name, None)
        else:
            self._tensors[name] = memory


def _on_host(memory: TensorMemory | None) -> TensorMemory | None:
    return None if memory is None else memory.on(HOST)
