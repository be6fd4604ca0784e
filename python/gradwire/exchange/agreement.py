"""Checks that all ranks are configured identically, before they exchange frames."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from gradwire import _core
from gradwire.compressor import Compressor
from gradwire.exchange.interface import Exchange
from gradwire.memory import Memory

_LONGEST = 1 << 24
"""Largest size in bytes of the settings of one rank."""


class CommonError(ValueError):
    """An error that all ranks raise at the same point, so that they may go on together."""


def settings_of(compressor: Compressor, **more: Any) -> dict[str, str]:
    """All settings that must be identical on all ranks, as text."""
    return {
        "gradwire": _core.version(),
        "pipeline": repr(compressor.pipeline),
        "codec": repr(compressor.codec),
        "memory": _describe(compressor.memory),
        "seed": repr(compressor.seed),
        **{name: repr(value) for name, value in more.items()},
    }


def agree(
    exchange: Exchange,
    settings: dict[str, str],
    what: str = "settings; configure them identically",
) -> None:
    """Compares the settings of all ranks; all ranks must call it.

    Args:
        exchange: between these ranks.
        settings: of this rank.
        what: what the settings are, and what to do if they differ.

    Raises:
        CommonError: two ranks differ; the message names them and the settings.
    """
    text = np.frombuffer(json.dumps(settings).encode(), np.uint8)
    everyone = [_parse(data.tobytes()) for data in exchange.allgather(text, _LONGEST)]
    first = everyone[0]
    for rank, other in enumerate(everyone):
        differing = [key for key in sorted({*first, *other}) if first.get(key) != other.get(key)]
        if differing:
            lines = [f"  {key}: {first.get(key)} and {other.get(key)}" for key in differing]
            raise CommonError(f"rank 0 and rank {rank} have different {what}:\n" + "\n".join(lines))


def _parse(data: bytes) -> dict[str, str]:
    try:
        settings = json.loads(data)
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        return {"gradwire": "an unknown version"}
    return settings


def _describe(memory: Memory) -> str:
    options = [f"{k}={v!r}" for k, v in vars(memory).items() if not k.startswith("_")]
    return f"{type(memory).__name__}({', '.join(options)})"
