"""One rank of bench/network.py --strategy ddp: measures steps with each way to send gradients."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ddp_baselines
import torch
import torch.distributed as dist
import workloads
from torch.nn.parallel import DistributedDataParallel

import gradwire as gw

NOTHING = "no communication"
PLAIN = "plain DDP"
GRADWIRE = {
    "gradwire QSGD(4)": lambda: gw.Compressor(gw.QSGD(4)),
    "gradwire QSGD(4), Residual": lambda: gw.Compressor(gw.QSGD(4), memory=gw.Residual()),
    "gradwire TopK(0.01)": lambda: gw.Compressor(gw.TopK(0.01), memory=gw.Residual()),
}
MORE_GRADWIRE = {
    "gradwire QSGD(16)": lambda: gw.Compressor(gw.QSGD(16)),
    "gradwire TernGrad": lambda: gw.Compressor(gw.TernGrad()),
}
RIVALS = ("fp16 hook", "PowerSGD hook", "QSGD, torch", "Top-k, torch", "one number")
METHODS = (NOTHING, PLAIN, *GRADWIRE, *RIVALS)
MORE_METHODS = (*MORE_GRADWIRE, "bf16 hook")
"""Those that are measured only if asked for."""
WARM_UP = 104  # steps; gradwire has chosen by then
FEW = 3  # of the same for others
ONE_BUCKET = 1000  # MB


def bytes_sent() -> int:
    """By this namespace so far."""
    return int(Path("/sys/class/net/eth0/statistics/tx_bytes").read_text())


@dataclass
class Method:
    """One way to send gradients, with a model of its own."""

    name: str
    work: workloads.Workload
    ddp: DistributedDataParallel
    state: gw.torch.CompressionState | None = None
    seconds: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def step(self) -> float:
        """One step of training; its loss."""
        silent = self.ddp.no_sync() if self.name == NOTHING else contextlib.nullcontext()
        with silent:
            loss = self.work.loss(self.ddp)
            self.work.optimizer.zero_grad()
            loss.backward()
        self.work.optimizer.step()
        return loss.item()

    def measure(self, steps: int) -> None:
        """Notes the seconds and bytes of some steps."""
        for _ in range(steps):
            before, begin = bytes_sent(), time.perf_counter()
            self.step()
            self.seconds.append(time.perf_counter() - begin)
            self.sent.append(bytes_sent() - before)


def make_method(name: str, options: argparse.Namespace) -> Method:
    """A method with a fresh model."""
    rank, world = dist.get_rank(), dist.get_world_size()
    work = workloads.make(options.model, options.folder, rank, world, options.seed)
    # The hook of PowerSGD sends from callbacks, whose order is not the same on all ranks: with two
    # buckets gloo mixes them up.
    size = ONE_BUCKET if name == "PowerSGD hook" else None
    ddp = DistributedDataParallel(work.model, bucket_cap_mb=size, gradient_as_bucket_view=True)
    state = None
    compressors = {**GRADWIRE, **MORE_GRADWIRE}
    if name in compressors:
        state = gw.torch.CompressionState(
            compressor=compressors[name](), algorithm=options.algorithm, fallback=options.fallback
        )
        ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    elif name not in (NOTHING, PLAIN):
        ddp_baselines.use(name, ddp)
    return Method(name, work, ddp, state)


def compressed_buckets(state: gw.torch.CompressionState) -> str:
    """How many buckets are compressed, in words."""
    sent = [bucket["sent"] for bucket in state.report()["buckets"]]
    return f"{sent.count('compressed')} of {len(sent)} buckets compressed"


def slowest(seconds: list[float]) -> list[float]:
    """The time of each step on the rank that took longest; the others would have to wait for it."""
    everyone: list[list[float]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(everyone, seconds)
    return [max(times) for times in zip(*everyone)]


def compare(options: argparse.Namespace) -> list[dict[str, object]]:
    """Step times of all methods, measured in turns."""
    methods = [make_method(name, options) for name in options.methods]
    for method in methods:
        for _ in range(WARM_UP if method.state and options.fallback else FEW):
            method.step()
    for round_number in range(options.rounds):
        for method in methods:
            dist.barrier()
            method.measure(options.steps)
            if dist.get_rank() == 0:
                print(f"  round {round_number + 1}  {method.name}", file=sys.stderr, flush=True)
    return [
        {
            "method": m.name,
            "seconds": statistics.median(slowest(m.seconds)),
            "bytes": statistics.median(m.sent),
            "choice": "" if m.state is None else compressed_buckets(m.state),
            "parameters": sum(p.numel() for p in m.work.model.parameters()),
        }
        for m in methods
    ]


def run(
    options: argparse.Namespace, compare: Callable[[argparse.Namespace], list[dict[str, object]]]
) -> None:
    """Joins the other ranks, on a core of its own, and writes the rows of a table."""
    os.sched_setaffinity(0, {int(os.environ["RANK"]) % (os.cpu_count() or 1)})
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rows = compare(options)
    if dist.get_rank() == 0:
        options.out.write_text(json.dumps(rows))
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=workloads.NAMES)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=(*METHODS, *MORE_METHODS))
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--no-fallback", dest="fallback", action="store_false")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    run(parser.parse_args(), compare)


if __name__ == "__main__":
    main()
