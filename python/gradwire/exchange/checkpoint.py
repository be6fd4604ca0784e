"""Checkpoints of averagers: the state that a run needs to continue, and the settings it must match.

A checkpoint belongs to one rank of a run with one world size. :func:`restore` refuses any other;
:func:`redistribute` combines the checkpoints of all ranks of an earlier run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradwire._floats import as_floats, to_float32
from gradwire._memory import TensorMemory
from gradwire._warn import warn_user
from gradwire.compressor import Compressor
from gradwire.exchange.averaging import Averager
from gradwire.exchange.interface import Exchange
from gradwire.exchange.sharded import SECOND_STAGE

_LONGEST = 1 << 28
"""Largest size in bytes of the description of one rank's checkpoints."""

_TOLD = ("rank", "world_size", "pipeline", "memory", "compressors")

State = dict[str, Any]
Tensors = dict[str, TensorMemory]


def save(averager: Averager, tensors: Mapping[str, TensorMemory]) -> State:
    """The checkpoint of this rank: numbers, text and NumPy arrays.

    Args:
        averager: not in the middle of a step.
        tensors: the memory of each tensor.
    """
    return {
        **_identity(averager),
        "compressors": [
            {key: value for key, value in c.state_dict().items() if key in ("steps", "sparsifier")}
            for c in averager.compressors()
        ],
        "tensors": {
            name: {
                "loss_scale": memory.scale,
                "arrays": {kind: array.copy() for kind, array in memory.arrays.items()},
            }
            for name, memory in tensors.items()
        },
    }


def restore(averager: Averager, state: State) -> Tensors:
    """Restores the compressors from a checkpoint; returns the memory of each tensor.

    Raises:
        ValueError: the checkpoint has another rank, world size, algorithm, pipeline or memory.
    """
    _check_compressor(averager, state)
    own = _identity(averager)
    advice = (
        "to continue anyway, pass strict=False and a list of the checkpoints of all ranks of "
        "that run"
    )
    for key in ("algorithm", "world_size", "rank"):
        _check_same(key, state.get(key), own[key], advice)
    _restore_compressors(averager.compressors(), state["compressors"])
    return tensors_of(state)


def tensors_of(state: State) -> Tensors:
    """The memory of each tensor in a checkpoint, as flat arrays."""
    return {
        name: TensorMemory(
            {k: to_float32(*as_floats(a)).copy() for k, a in held["arrays"].items()},
            float(held["loss_scale"]),
        )
        for name, held in state["tensors"].items()
    }


def redistribute(averager: Averager, states: Sequence[State]) -> Tensors:
    """Redistributes the memory of all ranks of an earlier run; all ranks must call it.

    Each rank passes the checkpoints that it can read: none, some or all. Every rank then holds the
    mean over all ranks of the earlier run, so that the average of what is still to be sent is
    unchanged, whatever the new world size.

    Raises:
        ValueError: no rank has read the checkpoint of some rank, or they are of different runs.
    """
    exchange = averager.exchange
    everyone = gather_json(exchange, [_describe(averager, state) for state in states])
    described = [one for of_rank in everyone for one in of_rank]
    for one in described:
        _check_compressor(averager, one)
    readers = _readers(described)
    mean: Tensors = {}
    for name, (count, scale) in sorted(_tensors_in(described).items()):
        kinds = sorted({k for one in described for k in one["tensors"].get(name, {}).get("k", ())})
        total = {kind: np.zeros(count, np.float64) for kind in kinds}
        for state in states:
            held = tensors_of({"tensors": {n: h for n, h in state["tensors"].items() if n == name}})
            if name in held:
                share = 1 / (len(readers) * readers[state["rank"]])
                for kind, array in _first_stage(averager, state, held[name]).at(scale).items():
                    total[kind] += share * array
        mean[name] = TensorMemory({k: _sum_of_all(exchange, a) for k, a in total.items()}, scale)
    if described:
        first = min(described, key=lambda one: one["rank"])
        for compressor, saved in zip(averager.compressors(), first["compressors"]):
            _restore_compressors([compressor], [saved])
    warn_user(
        f"the memories of {len(readers)} ranks were redistributed over {exchange.world_size}: each "
        "rank holds their mean, so nothing is lost, but the run does not continue bit for bit"
    )
    return mean


def state_dict(averager: Averager) -> State:
    """The checkpoint of an averager whose tensors have names that the program chose."""
    held = {name: averager.held(name) for name in list(averager.counts)}
    return save(averager, {name: memory for name, memory in held.items() if memory is not None})


def load_state_dict(averager: Averager, state: Any, strict: bool = True) -> None:
    """Replaces the state of an averager with that of :func:`state_dict`.

    Args:
        averager: configured as it was when the state was saved.
        state: that of this rank; with ``strict=False`` a list of those of all ranks of the earlier
            run, or of some of them if other ranks pass the rest.
        strict: whether the algorithm, world size and rank must be those of the earlier run.

    Raises:
        ValueError: see :func:`restore` and :func:`redistribute`.
    """
    tensors = tensors_from(averager, as_states(state, strict), strict)
    for name in list(averager.counts):
        averager.forget(name)
    averager.counts.clear()
    for name, memory in tensors.items():
        averager.keep(name, memory, next(iter(memory.arrays.values())).size)


def as_states(state: Any, strict: bool) -> list[State]:
    """One checkpoint or a list of them, as a list.

    Raises:
        ValueError: ``strict`` and not exactly one checkpoint, or something is not a checkpoint.
    """
    states = list(state) if isinstance(state, (list, tuple)) else [state]
    if strict and len(states) != 1:
        raise ValueError(
            f"got {len(states)} checkpoints; pass only that of this rank, or pass strict=False"
        )
    if not all(isinstance(one, Mapping) and "tensors" in one for one in states):
        raise ValueError(
            'state is not a gradwire checkpoint, or an older version made it: it has no "tensors"; '
            "pass what state_dict() returned"
        )
    return states


def shapes_in(states: Sequence[State]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in some checkpoints, by name."""
    return {
        name: tuple(next(iter(tensor["arrays"].values())).shape)
        for one in states
        for name, tensor in one["tensors"].items()
    }


def tensors_from(averager: Averager, states: Sequence[State], strict: bool) -> Tensors:
    """The memory of each tensor: :func:`restore` if ``strict``, else :func:`redistribute`."""
    return restore(averager, states[0]) if strict else redistribute(averager, states)


def _identity(averager: Averager) -> State:
    averager.check_open()
    compressor = averager.compressor
    return {
        "rank": averager.exchange.rank,
        "world_size": averager.exchange.world_size,
        "algorithm": averager.algorithm,
        "pipeline": type(compressor.pipeline).__name__,
        "memory": type(compressor.memory).__name__,
    }


def _check_compressor(averager: Averager, state: State) -> None:
    own = _identity(averager)
    for key in ("pipeline", "memory"):
        _check_same(key, state.get(key), own[key], "configure the compressor as before")


def _check_same(key: str, saved: Any, own: Any, advice: str) -> None:
    if saved != own:
        raise ValueError(
            f"the checkpoint has {key.replace('_', ' ')} {saved}, this process has {own}; {advice}"
        )


def _restore_compressors(compressors: Sequence[Compressor], saved: Sequence[State]) -> None:
    for compressor, one in zip(compressors, saved):
        state = compressor.state_dict()
        compressor.load_state_dict({**state, "memory": {}, **one})


def _first_stage(averager: Averager, state: State, memory: TensorMemory) -> TensorMemory:
    """``memory`` with the residual of the second compression added to that of the first."""
    arrays = dict(memory.arrays)
    second = arrays.pop(SECOND_STAGE, None)
    if second is not None:
        unsent = averager.compressor.memory.unsent
        first = arrays.get(unsent, np.zeros_like(second))
        arrays[unsent] = first + np.float32(state["world_size"]) * second
    return TensorMemory(arrays, memory.scale)


def _describe(averager: Averager, state: State) -> State:
    """What other ranks need to know about a checkpoint; small enough for JSON."""
    tensors = {}
    for name, memory in tensors_of(state).items():
        first = _first_stage(averager, state, memory)
        count = next(iter(first.arrays.values())).size
        tensors[name] = {"n": count, "s": first.scale, "k": list(first.arrays)}
    return {**{key: value for key, value in state.items() if key in _TOLD}, "tensors": tensors}


def gather_json(exchange: Exchange, value: Any) -> list[Any]:
    """The values of all ranks, in rank order; all ranks must call it."""
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    return [json.loads(text.tobytes()) for text in exchange.allgather(data, _LONGEST)]


def _readers(described: Sequence[State]) -> dict[int, int]:
    """How many ranks have read the checkpoint of each rank of the earlier run.

    Raises:
        ValueError: a checkpoint was not read, or they are of runs with different world sizes.
    """
    worlds = {one["world_size"] for one in described}
    if len(worlds) > 1:
        raise ValueError(f"the checkpoints have world sizes {sorted(worlds)}; pass one run's only")
    readers = dict.fromkeys(range(max(worlds, default=0)), 0)
    for one in described:
        readers[one["rank"]] += 1
    missing = [rank for rank, count in readers.items() if count == 0]
    if missing or not described:
        raise ValueError(
            f"no rank has passed the checkpoint of rank {', '.join(map(str, missing)) or '0'} of "
            "the earlier run, so its memory would be lost; pass a list with those of all ranks"
        )
    return readers


def _tensors_in(described: Sequence[State]) -> dict[str, tuple[int, float]]:
    """The number of elements and the loss scale of each tensor."""
    found: dict[str, tuple[int, float]] = {}
    for one in described:
        for name, tensor in one["tensors"].items():
            count, _ = found.setdefault(name, (tensor["n"], tensor["s"]))
            if count != tensor["n"]:
                raise ValueError(
                    f"tensor {name!r} has {count} elements in one checkpoint and {tensor['n']} in "
                    "another; pass checkpoints of one run"
                )
    return found


def _sum_of_all(exchange: Exchange, array: np.ndarray[Any, Any]) -> Any:
    """The sum over all ranks as float32, added up in the order of ranks."""
    data = exchange.allgather(array.view(np.uint8), array.nbytes)
    total = np.sum([one.view(np.float64) for one in data], axis=0)
    return total.astype(np.float32)
