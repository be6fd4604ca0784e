"""What a user has chosen for a state, before ranks have met."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch.distributed as dist

from gradwire.compressor import Compressor
from gradwire.torch.rules import Rules


@dataclass
class Settings:
    """The settings of a :class:`~gradwire.torch.CompressionState`."""

    compressor: Compressor
    algorithm: str
    fallback: bool
    loss_scale: Callable[[], float] | None
    start_step: int
    rules: Rules
    enabled: bool = True

    def __deepcopy__(self, memo: dict[int, Any]) -> Settings:
        memo[id(self.loss_scale)] = self.loss_scale  # a copied scaler would never be updated
        copied = {f.name: copy.deepcopy(getattr(self, f.name), memo) for f in fields(self)}
        return Settings(**copied)

    def compressors(self) -> list[Compressor]:
        """That of the state, then that of each rule."""
        return [self.compressor, *self.rules.compressors]

    def alike(self) -> dict[str, Any]:
        """What must be identical on all ranks, beside the compressors."""
        return {
            "fallback": self.fallback,
            "start_step": self.start_step,
            "rules": self.rules.in_words(),
        }


def group_or_default(group: dist.ProcessGroup | None) -> dist.ProcessGroup:
    """``group``, or the default group if it is None.

    Raises:
        RuntimeError: torch.distributed is not initialized.
    """
    found = group or dist.group.WORLD
    if found is None:
        raise RuntimeError("call torch.distributed.init_process_group() first")
    return found
