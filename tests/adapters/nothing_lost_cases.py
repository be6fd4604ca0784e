"""What the ranks of test_nothing_lost.py do: each case gives a figure, or raises."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import nothing_lost_behavior
import nothing_lost_ends
import nothing_lost_optimizers
import nothing_lost_runs
import nothing_lost_steps
import nothing_lost_unused
from nothing_lost_training import PIPELINES, counted_run
from torch_worker import run_cases

ALGORITHMS = ("allgather", "sharded")
SOME = ("QSGD(4), Residual", "EFSignSGD, EFSign(0.5)", "TopK, Residual")
STEPS = {2: 200, 3: 80, 4: 60}
Case = Callable[[], float]


def counted_cases(world: int) -> dict[str, Case]:
    """Runs whose figure is the share that is lost."""
    cases: dict[str, Case] = {}
    for pipeline in PIPELINES if world == 2 else SOME:
        for algorithm in ALGORITHMS:
            for fallback in (False, True):
                if fallback and ("EFSign" in pipeline or "DGC" in pipeline):
                    continue  # they have none
                name = f"{pipeline}, {algorithm}{', fallback' if fallback else ''}"
                cases[name] = partial(counted_run, pipeline, algorithm, fallback, STEPS[world])
    return cases


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    modules = (
        nothing_lost_behavior,
        nothing_lost_runs,
        nothing_lost_steps,
        nothing_lost_optimizers,
        nothing_lost_unused,
        nothing_lost_ends,
    )
    others = (module.cases_for(world) for module in modules)
    return {name: case for cases in (counted_cases(world), *others) for name, case in cases.items()}


if __name__ == "__main__":
    run_cases(cases_for)
