"""Losses of a small transformer, trained with several optimizers and compressors.

    torchrun --standalone --nproc_per_node=2 bench/optimizers.py [--optimizers adamw sgd]
        [--steps 350] [--seeds 2] [--text FILE_OR_FOLDER]

trains the GPT of examples/diloco_shakespeare.py, with 2 layers of width 64, to predict the next
character of Shakespeare: batches of 8 x 64 characters on each rank, AdamW at 1e-3 and SGD at 0.1.
It prints the loss on held-out text in nats per character, the mean of several tests at the end of
training and of all seeds. The text comes from where bench/capture.py gets it. Needs PyTorch.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from workloads import local_steps, shakespeare, text_loss

import gradwire as gw

WIDTH, LAYERS, LENGTH, BATCH = 64, 2, 64, 8
HELD_OUT = 9_000  # last characters of the text, not trained on
TESTS = 5
TEST_EVERY = 10  # steps

OPTIMIZERS: dict[str, tuple[str, Callable[..., torch.optim.Optimizer]]] = {
    "adamw": ("AdamW, 1e-3", lambda parameters: torch.optim.AdamW(parameters, 1e-3)),
    "sgd": ("SGD, 0.1", lambda parameters: torch.optim.SGD(parameters, 0.1)),
}
METHODS: dict[str, Callable[[], gw.Compressor] | None] = {
    "plain DDP": None,
    "`QSGD(4)`": lambda: gw.Compressor(gw.QSGD(4)),
    "`QSGD(16)`": lambda: gw.Compressor(gw.QSGD(16)),
    "`QSGD(4)`, `Residual`": lambda: gw.Compressor(gw.QSGD(4), memory=gw.Residual()),
    "`QSGD(16)`, `Residual`": lambda: gw.Compressor(gw.QSGD(16), memory=gw.Residual()),
}


def final_loss(optimizer_name: str, method: str, seed: int, ids: torch.Tensor, steps: int) -> float:
    """Trains a model; its mean loss in the last tests."""
    torch.manual_seed(seed)
    model = local_steps.GPT(int(ids.max()) + 1, WIDTH, LAYERS, LENGTH)
    ddp = DistributedDataParallel(model)
    optimizer = OPTIMIZERS[optimizer_name][1](model.parameters())
    share = ids[:-HELD_OUT].chunk(dist.get_world_size())[dist.get_rank()]
    batches = shakespeare.word_batches(share, BATCH, LENGTH)
    tests = []
    with contextlib.ExitStack() as stack:
        make_compressor = METHODS[method]
        if make_compressor is not None:
            state = gw.torch.CompressionState(compressor=make_compressor(), fallback=False)
            ddp.register_comm_hook(stack.enter_context(state), gw.torch.compressed_allreduce)
        for left in reversed(range(steps)):
            x, y = next(batches)
            optimizer.zero_grad()
            nn.functional.cross_entropy(ddp(x).flatten(0, 1), y.flatten()).backward()
            optimizer.step()
            if left % TEST_EVERY == 0 and left < TESTS * TEST_EVERY:
                tests.append(text_loss(model, ids[-HELD_OUT:]))
        dist.barrier()
    return statistics.mean(tests)


def table(optimizers: list[str], seeds: int, ids: torch.Tensor, steps: int) -> str:
    """A Markdown table: a row for each method, a column for each optimizer."""
    rows = [["", *(OPTIMIZERS[name][0] for name in optimizers)], ["---"] * (1 + len(optimizers))]
    for method in METHODS:
        row = [method]
        for name in optimizers:
            losses = [final_loss(name, method, seed, ids, steps) for seed in range(seeds)]
            row.append(f"{statistics.mean(losses):.3f}")
            if dist.get_rank() == 0:
                print(f"  {name}, {method}: {losses}", file=sys.stderr, flush=True)
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), choices=OPTIMIZERS)
    parser.add_argument("--steps", type=int, default=350)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--text", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shakespeare.common.start(seed=0)
    text = [shakespeare.read_text(options.text) if dist.get_rank() == 0 else ""]
    dist.broadcast_object_list(text)
    ids = local_steps.character_ids(text[0])
    shakespeare.common.finish(table(options.optimizers, options.seeds, ids, options.steps), None)


if __name__ == "__main__":
    main()
