"""One rank of bench/convergence.py: trains a model, and tests it now and then."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from network_worker import GRADWIRE, PLAIN, make_method


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("method", choices=[PLAIN, *GRADWIRE])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--tests", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-fallback", dest="fallback", action="store_false")
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(os.environ["RANK"]) % (os.cpu_count() or 1)})
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    method = make_method(options.method, options)
    # The rate falls to 0, so that the end does not depend on the noise of the last steps.
    schedule = torch.optim.lr_scheduler.LinearLR(
        method.work.optimizer, 1.0, 0.0, total_iters=options.steps
    )
    curve = []
    seconds = 0.0
    for step in range(1, options.steps + 1):
        begin = time.perf_counter()
        method.step()
        schedule.step()
        seconds += time.perf_counter() - begin
        if step % (options.steps // options.tests) == 0:
            dist.barrier()
            if dist.get_rank() == 0:
                curve.append((seconds, method.work.test(method.work.model)))
            dist.barrier()
    if dist.get_rank() == 0:
        options.out.write_text(json.dumps(curve))
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)


if __name__ == "__main__":
    main()
