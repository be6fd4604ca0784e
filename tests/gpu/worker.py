"""Checks and times the hook on one GPU that two ranks share; or, to check this program, on the CPU.

    python tests/gpu/worker.py --device cuda
    python tests/gpu/worker.py --device cpu --small

It prints a table and a line of JSON. It exits with 1 if a check fails, and with 2 if there is no
GPU. NCCL refuses two ranks on one GPU, so the gradients of plain DDP travel over gloo here, too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import correctness
import speed
import torch
import torch.distributed as dist

SUPPORT = Path(__file__).resolve().parent.parent / "support"
RANKS = 2
NO_GPU = 2


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="small arrays, few steps")
    parser.add_argument("--threads", type=int, help="of each rank; default: half of the cores")
    return parser.parse_args()


def run_as_rank(options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """All checks and measurements; {"error": ...} if one fails."""
    device = torch.device(options.device, 0 if options.device == "cuda" else None)
    try:
        return {
            "checks": correctness.run(device),
            "stages": speed.time_stages(device, options.small, threads),
            "steps": speed.time_steps(device, options.small, threads),
        }
    except Exception:
        return {"error": traceback.format_exc()}


def name_of(device: str) -> str:
    """Of the GPU, or that it is the CPU."""
    return torch.cuda.get_device_name(0) if device == "cuda" else "CPU"


def table(found: dict[str, Any]) -> str:
    """All figures in words."""
    lines = [f"{found['device']}, torch {found['torch']}, {found['threads']} threads per rank"]
    lines += ["", "check: passed on all ranks", *(f"  {name}" for name in found["checks"])]
    lines += ["", f"{'stage':50} {'ms':>9} {'GB/s':>8}  (of the float32 gradient)"]
    lines += [f"  {k:48} {v['ms']:9.3f} {v['gb_per_s']:8.2f}" for k, v in found["stages"].items()]
    lines += ["", f"{'step':50} {'ms':>9} {'MB sent':>8}  (by one rank)"]
    lines += [f"  {k:48} {v['ms']:9.1f} {v['mb_sent']:8.2f}" for k, v in found["steps"].items()]
    return "\n".join(lines)


def run_all(options: argparse.Namespace, threads: int) -> int:
    """Starts the ranks and prints what they found; returns the exit status."""
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device found")
        return NO_GPU
    sys.path.insert(0, str(SUPPORT))
    from ranks import run_ranks

    arguments = ["--device", options.device, "--threads", str(threads)]
    arguments += ["--small"] if options.small else []
    results = []
    for rank, ended in enumerate(run_ranks(__file__, RANKS, *arguments, longest=300)):
        lines = ended.stdout.splitlines()
        result = json.loads(lines[-1]) if lines else {"error": ended.stderr[-3000:]}
        if "error" in result:
            print(f"rank {rank} failed:\n{result['error']}")
        results.append(result)
    if any("error" in result for result in results):
        return 1
    about = {"device": name_of(options.device), "torch": torch.__version__, "threads": threads}
    found = {**about, **results[0]}
    print(table(found))
    print(json.dumps(found))
    return 0


def main() -> None:
    """Runs as one rank if there is a RANK, or else starts the ranks."""
    options = parse()
    threads = options.threads or max(1, (os.cpu_count() or 2) // RANKS)
    if "RANK" not in os.environ:
        sys.exit(run_all(options, threads))
    dist.init_process_group("gloo", timeout=timedelta(seconds=120))
    result = run_as_rank(options, threads)
    print(json.dumps(result), flush=True)
    if "error" not in result:
        dist.barrier()
        dist.destroy_process_group()
    os._exit(0)  # threads of gloo may outlive the group


if __name__ == "__main__":
    main()
