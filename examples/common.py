"""Code shared by the examples: options, the distributed model, progress, and a clean exit."""

from __future__ import annotations

import argparse
import os
import sys
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import gradwire as gw


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options of all examples."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--steps", type=int, default=300, help="training steps (default 300)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--compressor",
        default="qsgd",
        help=f"plain for no compression, or {', '.join(gw.factory.COMPRESSORS)} (default qsgd)",
    )
    options.add_argument("--memory", default="none", help=", ".join(gw.factory.MEMORIES))
    options.add_argument("--codec", default="entropy", help=", ".join(gw.codecs()))
    options.add_argument("--density", type=float, help="share of elements that are sent")
    options.add_argument("--algorithm", default="auto", help="auto, allgather, sharded")
    return options


def start(seed: int) -> None:
    """Joins the other processes of torchrun; the same seed gives all the same model."""
    dist.init_process_group("gloo")
    torch.manual_seed(seed)


def chosen_compressor(options: argparse.Namespace) -> gw.Compressor:
    """The compressor that the options describe."""
    settings = {name: getattr(options, name) for name in ("compressor", "memory", "codec")}
    if options.density is not None:
        settings["density"] = options.density
    return gw.compressor_from_params(settings)


def distributed(
    model: nn.Module, options: argparse.Namespace
) -> tuple[DistributedDataParallel, gw.torch.CompressionState | None]:
    """The model under DDP, with or without compression."""
    ddp = DistributedDataParallel(model)
    if options.compressor == "plain":
        return ddp, None
    state = gw.torch.CompressionState(
        compressor=chosen_compressor(options), algorithm=options.algorithm
    )
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    return ddp, state


class Progress:
    """A progress line, printed by the first rank."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._begin = time.perf_counter()
        self._speaks = dist.get_rank() == 0

    def show(self, step: int, loss: float) -> None:
        """Call after each step; steps count from 1."""
        if not self._speaks or (not sys.stderr.isatty() and step % 50 and step != self._steps):
            return
        each = (time.perf_counter() - self._begin) / step
        end = "\r" if sys.stderr.isatty() and step < self._steps else "\n"
        text = f"step {step}/{self._steps}  loss {loss:.3f}  {1e3 * each:.0f} ms per step"
        print(text, end=end, file=sys.stderr, flush=True)


def finish(result: str, state: gw.torch.CompressionState | gw.torch.DiLoCo | None) -> None:
    """Prints the result on the first rank, and exits.

    Uses ``os._exit``, because gloo's threads can abort a process at its regular exit.
    """
    if dist.get_rank() == 0:
        print(result if state is None else f"{result}\n{state.summary()}", flush=True)
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)
