"""One rank of bench/network.py --strategy fsdp: measures steps of a GPT in each way to send."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
import workloads
from network_worker import bytes_sent, run, slowest
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

import gradwire as gw

PLAIN = "plain FSDP2"
GRADWIRE = {
    "gradwire Lossless": lambda: gw.Compressor(gw.Lossless()),
    "gradwire QSGD(16), Residual": lambda: gw.Compressor(gw.QSGD(16), memory=gw.Residual()),
    "gradwire TopK(0.01), Residual": lambda: gw.Compressor(gw.TopK(0.01), memory=gw.Residual()),
}
METHODS = (PLAIN, *GRADWIRE)
WARM_UP = 3  # steps


@dataclass
class Method:
    """One way to send gradients, with a model of its own."""

    name: str
    work: workloads.Workload
    optimizer: torch.optim.Optimizer
    seconds: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def step(self) -> None:
        """One step of training, and what it takes."""
        before, begin = bytes_sent(), time.perf_counter()
        self.work.loss(self.work.model).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seconds.append(time.perf_counter() - begin)
        self.sent.append(bytes_sent() - before)


def make_method(name: str, mesh: DeviceMesh, options: argparse.Namespace) -> Method:
    """A method with a fresh model."""
    work = workloads.make("gpt", options.folder, dist.get_rank(), dist.get_world_size())
    for layer in work.model.layers.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(work.model, mesh=mesh)
    if name in GRADWIRE:
        state = gw.torch.CompressionState(compressor=GRADWIRE[name]())
        gw.torch.compress_fsdp(work.model, state)
    return Method(name, work, torch.optim.AdamW(work.model.parameters(), 1e-3))


def compare(options: argparse.Namespace) -> list[dict[str, object]]:
    """Step times of all methods, measured in turns. Four ranks are two replicas of two shards."""
    world = dist.get_world_size()
    sizes, names = ((2, 2), ("replicate", "shard")) if world == 4 else ((world,), ("shard",))
    mesh = init_device_mesh("cpu", sizes, mesh_dim_names=names)
    methods = [make_method(name, mesh, options) for name in options.methods]
    for method in methods:
        for _ in range(WARM_UP):
            method.step()
        method.seconds.clear()
        method.sent.clear()
    for _ in range(options.rounds):
        for method in methods:
            dist.barrier()
            for _ in range(options.steps):
                method.step()
    return [
        {
            "method": method.name,
            "seconds": statistics.median(slowest(method.seconds)),
            "bytes": statistics.median(method.sent),
        }
        for method in methods
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    run(parser.parse_args(), compare)


if __name__ == "__main__":
    sys.exit(main())
