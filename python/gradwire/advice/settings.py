"""The ways to send gradients that are compared, and what is known about their accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gradwire.compressor import Compressor
from gradwire.memory import Residual
from gradwire.quantizers import QSGD, Lossless, TernGrad
from gradwire.sparsifiers import TopK

OPTIMIZERS = ("adamw", "sgd")
PLAIN = "plain float32"
BF16 = "bf16 hook"
LOSSES = 'docs/benchmarks.md, "Losses"'
UNKNOWN = "not measured"


@dataclass(frozen=True)
class Setting:
    """One way to send gradients.

    Args:
        name: for tables.
        cost: for each optimizer, by how much it raised the loss of a small transformer (source:
            ``LOSSES``); "none" if it changes no bit; ``UNKNOWN`` if it was not measured.
        advised: optimizers with which it may be advised. Of gradwire's settings these are the ones
            in README's table of optimizers.
        make: makes its compressor, with this many threads; None for a plain all-reduce.
    """

    name: str
    cost: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(OPTIMIZERS, UNKNOWN))
    advised: tuple[str, ...] = ()
    make: Callable[[int | None], Compressor] | None = None


SETTINGS = (
    Setting(PLAIN, dict.fromkeys(OPTIMIZERS, "none"), OPTIMIZERS),
    Setting(BF16, advised=OPTIMIZERS),
    Setting(
        "Lossless()",
        dict.fromkeys(OPTIMIZERS, "none"),
        OPTIMIZERS,
        lambda threads: Compressor(Lossless(), threads=threads),
    ),
    Setting(
        "QSGD(16)",
        {"adamw": "+0.022", "sgd": "+0.004"},
        OPTIMIZERS,
        lambda threads: Compressor(QSGD(16), threads=threads),
    ),
    Setting(
        "QSGD(4), Residual",
        {"adamw": "+0.083", "sgd": "-0.014"},
        ("sgd",),
        lambda threads: Compressor(QSGD(4), memory=Residual(), threads=threads),
    ),
    Setting(
        "QSGD(4)",
        {"adamw": "+0.086", "sgd": "+0.017"},
        make=lambda threads: Compressor(QSGD(4), threads=threads),
    ),
    Setting("TernGrad()", make=lambda threads: Compressor(TernGrad(), threads=threads)),
    Setting(
        "TopK(0.01), Residual",
        make=lambda threads: Compressor(TopK(0.01), memory=Residual(), threads=threads),
    ),
)
COMPRESSED = tuple(setting for setting in SETTINGS if setting.make is not None)
