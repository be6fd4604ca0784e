"""What the ranks of test_nothing_lost.py do: each case gives a figure, or raises."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import nothing_lost_behavior
import nothing_lost_ends
import nothing_lost_optimizers
import nothing_lost_runs
import nothing_lost_steps
import nothing_lost_unused
import torch.distributed as dist
from nothing_lost_training import PIPELINES, counted_run

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


def main() -> None:
    """Runs all cases, and prints their figures, or what failed, as one line of JSON."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    results: dict[str, float | str] = {}
    for name, case in cases_for(dist.get_world_size()).items():
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        try:
            results[name] = case()
        except Exception:
            results[name] = traceback.format_exc()
            break  # the other ranks may wait for this one
    print(json.dumps(results), flush=True)
    if not any(isinstance(result, str) for result in results.values()):
        dist.barrier()
        dist.destroy_process_group()
    os._exit(0)


if __name__ == "__main__":
    main()
