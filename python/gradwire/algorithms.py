"""The averagers by name, for ranks that have agreed on their settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from gradwire.agreement import agree, settings_of
from gradwire.averaging import Allgather, Averager
from gradwire.compressor import Compressor
from gradwire.exchange import Exchange
from gradwire.sharded import Sharded

ALGORITHMS = ("allgather", "sharded")
FEW_RANKS = 3
"""Up to this many, ``auto`` takes ``allgather``: fewer round trips, and one compression only."""


def make_averager(
    compressor: Compressor,
    exchange: Exchange,
    algorithm: str = "auto",
    loss_scale: Callable[[], float] | None = None,
    **settings: Any,
) -> Averager:
    """The averager of an algorithm by name: "allgather", "sharded", or "auto" by world size.

    All ranks must call it: their settings are compared.

    Raises:
        ValueError: there is no such algorithm, ranks differ in what the frames depend on or in
            ``settings``, or the compressor is in use already.
    """
    if algorithm == "auto":
        algorithm = "allgather" if exchange.world_size <= FEW_RANKS else "sharded"
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm {algorithm!r}; take one of: auto, {', '.join(ALGORITHMS)}"
        )
    if loss_scale is not None:
        compressor.loss_scale = loss_scale
    if compressor.loss_scale is not None and compressor.nonfinite == "zero":
        warnings.warn(
            'nonfinite="zero" hides overflow from the loss scaler, whose scale will grow without '
            'end; pass nonfinite="error": averages are then NaN where a gradient overflows',
            stacklevel=4,
        )
    compressor.rank = exchange.rank
    scaled = compressor.loss_scale is not None
    agree(exchange, settings_of(compressor, algorithm=algorithm, loss_scale=scaled, **settings))
    return (Allgather if algorithm == "allgather" else Sharded)(compressor, exchange)
