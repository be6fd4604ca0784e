"""One rank of bench/network.py --strategy diloco: trains a GPT in each way that is compared."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import workloads
from network_worker import bytes_sent, run
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import gradwire as gw

Step = Callable[[], None]
OUTER = partial(torch.optim.SGD, lr=0.7, momentum=0.9, nesterov=True)


class PlainDiLoCo:
    """Local steps in plain torch: an all-reduce of outer gradients in float32."""

    def __init__(self, model: nn.Module, every: int) -> None:
        self._parameters = list(model.parameters())
        self._weights = [p.detach().clone() for p in self._parameters]
        self._outer = OUTER(self._weights)
        self._every = every
        self._steps = 0

    def step(self) -> None:
        """Counts an inner step, and ends the round if it was the last one."""
        self._steps += 1
        if self._steps % self._every:
            return
        gradients = [w - p.detach() for w, p in zip(self._weights, self._parameters)]
        flat = nn.utils.parameters_to_vector(gradients)
        dist.all_reduce(flat.div_(dist.get_world_size()))
        for weight, gradient in zip(self._weights, flat.split([w.numel() for w in self._weights])):
            weight.grad = gradient.view(weight.shape)
        self._outer.step()
        with torch.no_grad():
            for parameter, weight in zip(self._parameters, self._weights):
                parameter.copy_(weight)


def plain_ddp(work: workloads.Workload, options: argparse.Namespace) -> tuple[nn.Module, Step]:
    """DDP without compression: the model to call, and what to do after each inner step."""
    return DistributedDataParallel(work.model, gradient_as_bucket_view=True), lambda: None


def compressed_ddp(work: workloads.Workload, options: argparse.Namespace) -> tuple[nn.Module, Step]:
    """DDP with gradwire's hook."""
    ddp = DistributedDataParallel(work.model, gradient_as_bucket_view=True)
    compressor = gw.Compressor(gw.QSGD(16))
    state = gw.torch.CompressionState(
        compressor=compressor, algorithm=options.algorithm, fallback=False
    )
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    return ddp, lambda: None


def plain_diloco(work: workloads.Workload, options: argparse.Namespace) -> tuple[nn.Module, Step]:
    """Local steps without compression."""
    return work.model, PlainDiLoCo(work.model, options.every).step


def compressed_diloco(
    levels: int, work: workloads.Workload, options: argparse.Namespace
) -> tuple[nn.Module, Step]:
    """Local steps with gradwire."""
    diloco = gw.torch.DiLoCo(
        work.model,
        None,  # the worker steps its optimizer
        OUTER,
        gw.Compressor(gw.QSGD(levels), memory=gw.Residual()),
        every=options.every,
        algorithm=options.algorithm,
    )

    def step() -> None:
        diloco.step()

    return work.model, step


METHODS = {
    "plain DDP": plain_ddp,
    "gradwire DDP, QSGD(16)": compressed_ddp,
    "float32 DiLoCo": plain_diloco,
    "gradwire DiLoCo, QSGD(16)": partial(compressed_diloco, 16),
    "gradwire DiLoCo, QSGD(4)": partial(compressed_diloco, 4),
}


def is_over(begin: float, seconds: float) -> bool:
    """Whether the time is over, by the clock of rank 0."""
    over = torch.tensor([float(time.perf_counter() - begin >= seconds)])
    dist.broadcast(over, 0)
    return bool(over.item())


def train(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Trains a fresh model, in whole rounds of steps; a row of the table."""
    work = workloads.make("gpt", options.folder, dist.get_rank(), dist.get_world_size())
    model, after_step = METHODS[name](work, options)
    dist.barrier()
    sent, begin, steps = bytes_sent(), time.perf_counter(), 0
    unit = options.every if "DiLoCo" in name else 1
    while steps < options.steps if options.seconds is None else not is_over(begin, options.seconds):
        for _ in range(unit):
            loss = work.loss(model)
            work.optimizer.zero_grad()
            loss.backward()
            work.optimizer.step()
            after_step()
        steps += unit
    seconds = time.perf_counter() - begin
    everyone: list[int] = [0] * dist.get_world_size()
    dist.all_gather_object(everyone, bytes_sent() - sent)
    row = {
        "method": name,
        "steps": steps,
        "seconds": seconds,
        "bytes": sum(everyone) / len(everyone),
        "loss": work.test(work.model),
    }
    if dist.get_rank() == 0:
        print(f"  {name}: {steps} steps, loss {row['loss']:.3f}", file=sys.stderr, flush=True)
    return row


def compare(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each method."""
    return [train(name, options) for name in options.methods]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--algorithm", default="auto")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--every", type=int, default=50)
    run(parser.parse_args(), compare)


if __name__ == "__main__":
    main()
