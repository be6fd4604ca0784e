"""Steps of training under FSDP2 on slow networks: plain, and with gradwire's compress_fsdp.

    sudo python bench/network_fsdp_worker.py [--ranks 2 4] [--links 100mbit 1gbit none]

Like bench/network.py, of which this is also the worker: one process per rank, each in a network
namespace. Two ranks shard the model; four are two replicas of two shards. All links have the same
speed, so shards are as far apart as replicas. The model is a small transformer, the tokens are
random. `step` is the median time of a step on the rank that took longest; `sent` what a rank put on
the wire in a step, gathered parameters included, by the counters of its network device.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from namespaces import LINKS, network, run_ranks
from network_worker import bytes_sent, slowest
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

import gradwire as gw
from gradwire.tools.tables import print_table

PLAIN = "plain FSDP2"
GRADWIRE = {
    "gradwire Lossless": lambda: gw.Compressor(gw.Lossless()),
    "gradwire QSGD(16), Residual": lambda: gw.Compressor(gw.QSGD(16), memory=gw.Residual()),
    "gradwire TopK(0.01)": lambda: gw.Compressor(gw.TopK(0.01), memory=gw.Residual()),
}
METHODS = (PLAIN, *GRADWIRE)
VOCABULARY, WIDTH, LAYERS, LENGTH, BATCH = 256, 256, 4, 64, 4
WARM_UP = 3  # steps


class Transformer(nn.Module):
    """Some 3.2 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True)
            for _ in range(LAYERS)
        )
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


@dataclass
class Method:
    """One way to send gradients, with a model of its own."""

    name: str
    model: Transformer
    optimizer: torch.optim.Optimizer
    seconds: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def step(self) -> None:
        """One step of training."""
        before, begin = bytes_sent(), time.perf_counter()
        tokens = torch.randint(VOCABULARY, (BATCH, LENGTH + 1))
        scores = self.model(tokens[:, :-1]).flatten(0, 1)
        nn.functional.cross_entropy(scores, tokens[:, 1:].flatten()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seconds.append(time.perf_counter() - begin)
        self.sent.append(bytes_sent() - before)


def make_method(name: str, mesh: DeviceMesh) -> Method:
    """A method with a fresh model."""
    model = Transformer()
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    if name in GRADWIRE:
        state = gw.torch.CompressionState(compressor=GRADWIRE[name]())
        gw.torch.compress_fsdp(model, state)
    return Method(name, model, torch.optim.AdamW(model.parameters(), 1e-3))


def work(options: argparse.Namespace) -> None:
    """One rank: measures all methods in turns."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    os.sched_setaffinity(0, {rank % (os.cpu_count() or 1)})
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    sizes, names = ((2, 2), ("replicate", "shard")) if world == 4 else ((world,), ("shard",))
    mesh = init_device_mesh("cpu", sizes, mesh_dim_names=names)
    methods = [make_method(name, mesh) for name in METHODS]
    torch.manual_seed(1 + rank)
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
    rows = [
        {
            "method": method.name,
            "seconds": statistics.median(slowest(method.seconds)),
            "bytes": statistics.median(method.sent),
        }
        for method in methods
    ]
    if rank == 0:
        options.out.write_text(json.dumps(rows))
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)


def measure(ranks: int, link: str, rounds: int, steps: int) -> list[dict[str, float | str]]:
    """Runs the ranks in namespaces joined by links of this speed; needs root.

    Args:
        ranks: 2 for shards, 4 for two replicas of two shards.
        link: a key of ``namespaces.LINKS``.
        rounds: in which the methods take turns.
        steps: of each method in a round.

    Returns:
        For each method its name, "seconds" of a step and "bytes" that rank 0 sends in a step.
    """
    with tempfile.TemporaryDirectory() as folder, network(ranks, LINKS[link]) as commands:
        out = Path(folder) / "rows.json"
        arguments = ["--out", str(out), "--rounds", str(rounds), "--steps", str(steps)]
        run_ranks(Path(__file__), commands, arguments)
        rows: list[dict[str, float | str]] = json.loads(out.read_text())
    return rows


def show(rows: list[dict[str, float | str]], title: str) -> None:
    """Prints the table of one network."""
    plain = float(rows[0]["seconds"])
    table = [
        [
            str(row["method"]),
            f"{1e3 * float(row['seconds']):.1f}",
            f"{float(row['bytes']) / 1e6:.3f}",
            f"{plain / float(row['seconds']):.2f}",
        ]
        for row in rows
    ]
    print_table(title, ["", "step ms", "sent MB", f"x {PLAIN}"], table)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 4], choices=[2, 4])
    parser.add_argument("--links", nargs="+", default=list(LINKS), choices=list(LINKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out is not None:
        work(options)
    for ranks in options.ranks:
        for link in options.links:
            rows = measure(ranks, link, options.rounds, options.steps)
            show(rows, f"{ranks} ranks, links: {link}")


if __name__ == "__main__":
    sys.exit(main())
