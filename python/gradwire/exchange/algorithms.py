"""Creates an averager by the name of its algorithm, once all ranks agree on their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gradwire._checks import check_choice, check_loss_scale
from gradwire._pairs import missing_memory
from gradwire._warn import warn_user
from gradwire.compressor import Compressor
from gradwire.exchange.agreement import agree, settings_of
from gradwire.exchange.allgather import Allgather
from gradwire.exchange.averaging import Averager
from gradwire.exchange.interface import Exchange
from gradwire.exchange.scattered import Scattered
from gradwire.exchange.sharded import Sharded

ALGORITHMS = ("allgather", "sharded")
FEW_RANKS = 3
"""Up to this many ranks, ``auto`` is ``allgather``: fewer round trips, a single compression."""


def check_algorithm(algorithm: str) -> None:
    """Raises ValueError if no algorithm has this name."""
    check_choice("algorithm", algorithm, ("auto", *ALGORITHMS))


def make_averager(
    compressor: Compressor,
    exchange: Exchange,
    algorithm: str = "auto",
    loss_scale: Callable[[], float] | None = None,
    **settings: Any,
) -> Averager:
    """Creates an averager. All ranks must call it: their settings are compared.

    Args:
        compressor: its rank and world size are set to those of ``exchange``.
        exchange: how bytes travel between ranks.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        loss_scale: returns the current loss scale; None to leave that of ``compressor``.
        settings: more settings that must be identical on all ranks.

    Raises:
        ValueError: ``algorithm`` is unknown, settings differ between ranks, or the compressor is in
            use already.
    """
    check_algorithm(algorithm)
    if algorithm == "auto":
        algorithm = "allgather" if exchange.world_size <= FEW_RANKS else "sharded"
    _agree(compressor, exchange, algorithm, loss_scale, settings)
    return (Allgather if algorithm == "allgather" else Sharded)(compressor, exchange)


def make_scattered(
    compressor: Compressor,
    exchange: Exchange,
    loss_scale: Callable[[], float] | None = None,
    **settings: Any,
) -> Scattered:
    """Creates an averager that gives each rank its part of the average only.

    See :func:`make_averager`. ``compressor`` must not send votes.
    """
    _agree(compressor, exchange, "scattered", loss_scale, settings)
    return Scattered(compressor, exchange)


def _agree(
    compressor: Compressor,
    exchange: Exchange,
    algorithm: str,
    loss_scale: Callable[[], float] | None,
    settings: Mapping[str, Any],
) -> None:
    """Sets the rank and the loss scale of a compressor; compares the settings of all ranks."""
    check_loss_scale(loss_scale)
    if loss_scale is not None:
        compressor.loss_scale = loss_scale
    if compressor.loss_scale is not None and compressor.nonfinite == "zero":
        warn_user(
            'nonfinite="zero" hides overflow from the loss scaler, whose scale will grow without '
            'limit; pass nonfinite="error", which makes the average NaN if a gradient overflows'
        )
    if exchange.rank == 0 and (loss := missing_memory(compressor.pipeline, compressor.memory)):
        warn_user(loss)
    compressor.rank, compressor.world_size = exchange.rank, exchange.world_size
    scaled = compressor.loss_scale is not None
    agree(exchange, settings_of(compressor, algorithm=algorithm, loss_scale=scaled, **settings))
