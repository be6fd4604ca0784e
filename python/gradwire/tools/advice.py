"""The command that advises whether and how to compress."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gradwire.advice.advise import Advice, advise, flat_gradient
from gradwire.advice.calibration import cache_file
from gradwire.advice.settings import LOSSES
from gradwire.tools.read_array import read_array
from gradwire.tools.tables import print_table

WIDTH = 88
NAMES = {"adamw": "AdamW", "sgd": "SGD"}


def give_advice(options: Namespace) -> dict[str, Any]:
    """Advises; returns all figures, prints them in words unless ``--json``.

    Raises:
        ValueError: there is neither a file nor ``--parameters``, or the file has no gradient; the
            message begins with its name.
    """
    path: Path | None = options.gradient
    if path is None and options.parameters is None:
        raise ValueError("advise needs FILE with a gradient, or --parameters such as 350M")
    gradient = None
    if path is not None:
        try:
            gradient = flat_gradient(read_array(path, options.key))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
    advice = advise(
        gradient,
        parameters=options.parameters,
        link=options.link,
        latency=options.latency,
        ranks=options.ranks,
        backward=options.backward,
        optimizer=options.optimizer,
        threads=options.threads,
        cpu_training=options.cpu_training,
        refresh=options.refresh,
    )
    if not options.json:
        _print(advice)
    return asdict(advice)


def _print(advice: Advice) -> None:
    setup = advice.setup
    print_table(
        f"{setup.parameters:,} parameters, {setup.ranks} ranks, "
        f"{_bandwidth(setup.link)}, latency {1e3 * setup.latency:g} ms, "
        f"backward pass {1e3 * setup.backward:g} ms"
        f"{' on the CPU' if setup.cpu_training else ''}, {NAMES[advice.optimizer]}",
        ["setting", "algorithm", "ms/step", "MB/step", "x plain", "x bf16", "loss", "suits"],
        [
            [
                *(choice.setting, choice.algorithm),
                *(f"{choice.ms_per_step:.1f}", f"{choice.mb_per_step:.2f}"),
                *(f"{choice.times_plain:.2f}", f"{choice.times_bf16:.2f}"),
                choice.accuracy_cost,
                "yes" if choice.is_advisable else "no",
            ]
            for choice in advice.choices
        ],
    )
    print(_notes(advice))
    print(f"\n{textwrap.fill(advice.reason, WIDTH)}")
    if advice.lines:
        print("Paste this after the line that wraps your model in DistributedDataParallel:\n")
        print("\n".join(f"    {line}" for line in advice.lines))


def _notes(advice: Advice) -> str:
    """What the columns mean, and how far to trust them."""
    threads = f"{advice.threads} thread{'s' if advice.threads > 1 else ''}"
    notes = [
        "ms/step: predicted, from the start of the backward pass until all averages have arrived;",
        "         add the forward pass and the optimizer, which take the same time in all rows.",
        "MB/step: what each rank sends.",
        "loss:    by how much it was higher after 350 steps of a small transformer with",
        f"         {NAMES[advice.optimizer]} ({LOSSES}). Yours may differ.",
        f"suits:   whether README names it for {NAMES[advice.optimizer]}, or it is common",
        "         practice.",
        f"Speeds were measured on this machine with {threads} for each rank, and kept in",
        f"{cache_file()}; --refresh measures them again.",
    ]
    if advice.frames_are_a_guess:
        notes += [
            "Sizes of gradwire's frames are a guess: they are those of random numbers. Pass a file",
            "with a gradient of your model to measure its frames.",
        ]
    return "\n".join(notes)


def _bandwidth(bits: float) -> str:
    """Bits per second in words, rounded to four digits."""
    for size, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bits >= size:
            return f"{bits / size:.4g} {unit}"
    return f"{bits:.4g} bit/s"
