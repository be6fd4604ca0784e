"""Which memory a pipeline may have, and which it needs."""

from __future__ import annotations

from typing import Any

from gradwire._memory import Memory
from gradwire._quantizer import Quantizer
from gradwire._sparsifier import Sparsifier
from gradwire.memory import NoMemory, Residual, SignMomentum
from gradwire.quantizers import EFSignSGD, Lossless, OneBit, SignSGD, Signum, Uniform


def check_pair(pipeline: Any, memory: Any) -> None:
    """Raises TypeError or ValueError unless a compressor can have both."""
    if not isinstance(pipeline, (Quantizer, Sparsifier)):
        raise TypeError(
            "pipeline must be a quantizer or a sparsifier, such as gw.QSGD(4), "
            f"got {_told(pipeline)}"
        )
    if not isinstance(memory, Memory):
        raise TypeError(f"memory must be a memory, such as gw.Residual(), got {_told(memory)}")
    if isinstance(memory, NoMemory):
        return
    if isinstance(pipeline, Lossless):
        raise ValueError("Lossless loses nothing and takes no memory; pass memory=None")
    if isinstance(memory, SignMomentum) != isinstance(pipeline, Signum):
        raise ValueError("Signum and SignMomentum can only be used together; pass memory=None")
    if isinstance(pipeline, Signum) and isinstance(memory, SignMomentum):
        if memory.momentum != pipeline.momentum:
            momenta = f"{pipeline.momentum}, but its memory has {memory.momentum}"
            raise ValueError(f"Signum has momentum {momenta}; pass memory=None")
        return
    if votes(pipeline):
        raise ValueError(
            f"{type(memory).__name__} adds what was not sent to the next gradient, but a vote on "
            "signs does not send a part of the gradient; use EFSignSGD instead of SignSGD"
        )
    if isinstance(pipeline, Quantizer) and not isinstance(memory, Residual):
        raise ValueError(
            f"{type(memory).__name__} is for sparsifiers; use Residual with quantizers"
        )


def votes(pipeline: Quantizer | Sparsifier) -> bool:
    """Whether a pipeline sends votes on the sign of an update, not magnitudes."""
    return isinstance(pipeline if isinstance(pipeline, Quantizer) else pipeline.values, SignSGD)


def missing_memory(pipeline: Quantizer | Sparsifier, memory: Memory) -> str | None:
    """What a pipeline loses in training without a memory, and the line to write; None if nothing.

    Unbiased quantizers need none: what they lose averages out.
    """
    if not isinstance(memory, NoMemory):
        return None
    better = f"gw.Compressor(gw.{pipeline!r}, memory=gw.Residual())"
    rounds = isinstance(pipeline, Uniform) and not pipeline.stochastic
    if isinstance(pipeline, SignSGD):
        loss = "only signs arrive, and training may not converge (Karimireddy et al., 2019)"
        better = "gw.Compressor(gw.EFSignSGD(), memory=gw.EFSign(learning_rate))"
    elif isinstance(pipeline, Sparsifier):
        loss = "elements that are not chosen never arrive"
    elif rounds or isinstance(pipeline, (EFSignSGD, OneBit)):
        loss = "what rounding loses never arrives"
    else:
        return None
    return f"{type(pipeline).__name__} has no memory: {loss}; with one: {better}"


def check_takes_turns(compressor: Any) -> None:
    """Raises ValueError if frames cannot take turns with uncompressed gradients."""
    if not compressor.estimates_gradient:
        raise ValueError(
            "start_step must be 0 and enabled True: what this compressor sends needs another "
            "learning rate than the gradient, so it cannot take turns with uncompressed gradients; "
            f"got {compressor!r}"
        )


def _told(wrong: Any) -> str:
    if isinstance(wrong, type):
        return f"the class {wrong.__name__}; write {wrong.__name__}()"
    return repr(wrong)
