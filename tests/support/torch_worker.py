"""What the workers of the tests of PyTorch share: they run cases on all ranks."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import torch.distributed as dist

Case = Callable[[], Any]


def run_cases(cases_for: Callable[[int], Mapping[str, Case]]) -> None:
    """Joins the other ranks, runs cases, and prints one line of JSON: what each case has returned,
    "" for None, or what failed. The process ends here.

    Args:
        cases_for: the cases for a number of ranks, by name. With an argument on the command line,
            only those run whose names contain it.
    """
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    results: dict[str, Any] = {}
    failed = False
    for name, case in cases_for(dist.get_world_size()).items():
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        try:
            result = case()
            results[name] = "" if result is None else result
        except Exception:
            results[name] = traceback.format_exc()
            failed = True
            break  # the other ranks may wait for this one
    print(json.dumps(results), flush=True)
    if not failed:
        dist.barrier()
        dist.destroy_process_group()
    os._exit(0)
