"""Process groups for frames: one gloo group beside each process group of the program.

Groups cost threads and file descriptors, so all users of a process group share one gloo group,
which ends with the last of them. Each user has separate message tags. Garbage collection may end a
user at different times on different ranks, so the ranks agree on the group of each new user through
the store of the process group.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

_PATIENCE = timedelta(minutes=5)
"""How long a rank waits for others that may never come."""

_DEED = "create a CompressionState, Communicator or DiLoCo"


@dataclass
class _Gloo:
    group: Any
    generation: int
    users: int = 0


@dataclass
class _Origin:
    """The state of one process group of the program."""

    leases: int = 0
    """Number of leases so far, the same on all ranks."""
    current: _Gloo | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    """May be taken again by its thread: garbage collection may end another user meanwhile."""


_origins: weakref.WeakKeyDictionary[dist.ProcessGroup, _Origin] = weakref.WeakKeyDictionary()


class GroupLease:
    """The right to use a gloo group with the ranks of a process group. All ranks must create it.

    Args:
        origin: the process group of the program.

    Raises:
        ValueError: this rank is not in ``origin``.
        RuntimeError: other ranks do not create it; names them.
    """

    def __init__(self, origin: dist.ProcessGroup) -> None:
        if not isinstance(origin, dist.ProcessGroup):
            raise ValueError(
                f"rank {dist.get_rank()} is not in this process group; only its ranks may use it"
            )
        self._origin = _origins.setdefault(origin, _Origin())
        self.number = self._origin.leases
        """The number of this user of the process group, the same on all ranks."""
        self._origin.leases += 1
        with self._origin.lock:  # so that the group does not end while ranks agree on it
            current = self._origin.current
            if not _all_have(origin, self.number, current):
                current = _Gloo(_new_group(origin, self.number), self.number)
            assert current is not None
            self._origin.current = current  # also if its last user has just ended
            current.users += 1
        self._gloo: _Gloo | None = current
        self.group = current.group

    def end(self) -> None:
        """Returns the group; the last user ends it."""
        self.group = None
        with self._origin.lock:
            gloo, self._gloo = self._gloo, None
            if gloo is None:
                return
            gloo.users -= 1
            if gloo.users == 0 and self._origin.current is gloo:
                self._origin.current = None


def _all_have(origin: dist.ProcessGroup, number: int, current: _Gloo | None) -> bool:
    """Whether all ranks still have the same gloo group."""
    own = "none" if current is None else str(current.generation)
    everyone = exchange_words(origin, f"{number}", own, _DEED)
    return set(everyone) == {own} and current is not None


def exchange_words(origin: dist.ProcessGroup, key: str, own: str, deed: str) -> list[str]:
    """Waits until all ranks have come here, and returns the word of each rank.

    Args:
        origin: the process group of the program.
        key: not used before.
        own: the word of this rank.
        deed: what brings ranks here, for the error.

    Raises:
        RuntimeError: some ranks do not come; names them.
    """
    store, rank = _store(origin), dist.get_rank(origin)
    store.set(f"{key}/{rank}", own)
    keys = [f"{key}/{other}" for other in range(dist.get_world_size(origin))]
    patience = min(_PATIENCE, _timeout(origin))
    try:
        store.wait(keys, patience)
    except RuntimeError as error:
        missing = [other for other, own_key in enumerate(keys) if not store.check([own_key])]
        raise RuntimeError(
            f"gradwire: rank {rank} has waited {patience.total_seconds():.0f} seconds for ranks "
            f"{missing} to {deed}; all ranks must do so, in the same order"
        ) from error
    return [store.get(own_key).decode() for own_key in keys]


def _new_group(origin: dist.ProcessGroup, number: int) -> Any:
    """Creates a gloo group with the ranks and the timeout of the process group."""
    return dist.ProcessGroupGloo(
        dist.PrefixStore(f"{number}/gloo", _store(origin)),
        dist.get_rank(origin),
        dist.get_world_size(origin),
        _timeout(origin),
    )


def _timeout(origin: dist.ProcessGroup) -> timedelta:
    device = torch.device("cuda" if dist.get_backend(origin) == "nccl" else "cpu")
    timeout: timedelta = origin._get_backend(device).options._timeout
    return timeout


def _store(origin: dist.ProcessGroup) -> dist.PrefixStore:
    return dist.PrefixStore("gradwire", dist.distributed_c10d._world.pg_map[origin][1])
