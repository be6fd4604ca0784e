"""Training on slow networks, with each way to send gradients.

    sudo python bench/network.py [--models lstm] [--ranks 2 4] [--links 100mbit 1gbit none]
    sudo python bench/network.py --strategy diloco [--seconds 20 | --steps 300] [--every 50]
        [--ranks 2 4] [--links 10mbit 100mbit]
    sudo python bench/network.py --strategy fsdp [--ranks 2 4] [--links 100mbit 1gbit]

makes network namespaces on this machine, joined by links of these speeds, and removes them in the
end. One process per rank trains there, over gloo, on a core of its own if there are as many. `sent`
is what a rank put on the wire, by the counters of its network device, acknowledgements included.

`--strategy ddp` (the default): `step` is the median time of a step under DDP, on the rank that took
longest; `overhead` that time less the one of the same step without communication; `sent` is for one
step. `one number` is a hook that averages a single float per bucket and leaves gradients as they
are: what it costs that ranks wait for each other. All methods of a table take turns in the same
processes, all with gradients as views of buckets.

`--no-fallback` compresses all buckets. `bf16 hook`, `gradwire QSGD(16)` and `gradwire TernGrad` are
measured if --methods names them.

`--strategy diloco` trains the GPT of examples/diloco_shakespeare.py with each method for the same
time, or with --steps for the same number of steps. DiLoCo ends its last round, so it may take up to
--every steps more. `loss` is that on held-out text at the end, in nats for each character; `sent`
is for the whole run, for which gradwire's DDP hook has no fallback.

`--strategy fsdp` measures steps of that GPT under FSDP2: two ranks shard it, four are two replicas
of two shards. All links have the same speed, so shards are as far apart as replicas. `sent` is for
one step, gathered parameters included.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import network_diloco_worker
import network_fsdp_worker
import network_worker
import workloads
from namespaces import LINKS, network, run_ranks
from network_worker import NOTHING, PLAIN

from gradwire.tools.tables import print_table

Rows = list[dict[str, "float | str"]]


def show_steps(rows: Rows, title: str) -> None:
    """Prints the table of one network: steps under DDP."""
    seconds = {str(row["method"]): float(row["seconds"]) for row in rows}
    idle = seconds.get(NOTHING, 0.0)
    overhead = {name: time - idle for name, time in seconds.items()}
    table = []
    for row in rows:
        name = str(row["method"])
        table.append(
            [
                name,
                f"{1e3 * seconds[name]:.1f}",
                f"{1e3 * overhead[name]:.1f}",
                f"{float(row['bytes']) / 1e6:.3f}",
                f"{seconds[PLAIN] / seconds[name]:.2f}",
                f"{overhead[PLAIN] / overhead[name]:.1f}" if name != NOTHING else "",
                str(row["choice"]),
            ]
        )
    head = ["", "step ms", "overhead ms", "sent MB", "x plain DDP", "x its overhead", "at the end"]
    print_table(title, head, table)


def show_runs(rows: Rows, title: str) -> None:
    """Prints the table of one network: whole runs of training."""
    table = []
    for row in rows:
        steps, seconds, sent = (float(row[key]) for key in ("steps", "seconds", "bytes"))
        table.append(
            [
                str(row["method"]),
                f"{float(row['loss']):.3f}",
                f"{steps:.0f}",
                f"{seconds:.1f}",
                f"{1e3 * seconds / steps:.1f}",
                f"{sent / 1e6:.2f}",
                f"{sent / steps / 1e3:.2f}",
            ]
        )
    head = ["", "loss", "steps", "seconds", "ms per step", "sent MB", "sent kB per step"]
    print_table(title, head, table)


def show_fsdp(rows: Rows, title: str) -> None:
    """Prints the table of one network: steps under FSDP2."""
    first = float(rows[0]["seconds"])
    table = [
        [
            str(row["method"]),
            f"{1e3 * float(row['seconds']):.1f}",
            f"{float(row['bytes']) / 1e6:.3f}",
            f"{first / float(row['seconds']):.2f}",
        ]
        for row in rows
    ]
    print_table(title, ["", "step ms", "sent MB", f"x {rows[0]['method']}"], table)


@dataclass(frozen=True)
class Strategy:
    """A kind of training, and what is compared with it."""

    worker: str
    """File that each rank runs."""
    methods: Sequence[str]
    links: Sequence[str]
    """Those that are measured by default."""
    models: Sequence[str]
    show: Callable[[Rows, str], None]
    more_methods: Sequence[str] = ()
    """Those that are measured only if asked for."""


STRATEGIES = {
    "ddp": Strategy(
        "network_worker.py",
        network_worker.METHODS,
        ["100mbit", "1gbit", "none"],
        workloads.NAMES,
        show_steps,
        network_worker.MORE_METHODS,
    ),
    "diloco": Strategy(
        "network_diloco_worker.py",
        list(network_diloco_worker.METHODS),
        ["10mbit", "100mbit"],
        ["gpt"],
        show_runs,
    ),
    "fsdp": Strategy(
        "network_fsdp_worker.py",
        network_fsdp_worker.METHODS,
        ["100mbit", "1gbit"],
        ["gpt"],
        show_fsdp,
    ),
}


def parse() -> argparse.Namespace:
    """The options, with the defaults of the strategy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategy", default="ddp", choices=list(STRATEGIES))
    parser.add_argument("--models", nargs="+", choices=workloads.NAMES, help="of ddp")
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--links", nargs="+", choices=list(LINKS))
    methods = [m for s in STRATEGIES.values() for m in (*s.methods, *s.more_methods)]
    parser.add_argument("--methods", nargs="+", choices=dict.fromkeys(methods))
    parser.add_argument("--algorithm", default="auto", help="of gradwire")
    parser.add_argument("--no-fallback", dest="fallback", action="store_false", help="of ddp")
    parser.add_argument("--rounds", type=int, default=3, help="of ddp and fsdp")
    parser.add_argument("--steps", type=int, help="in each round (5); of diloco in all")
    parser.add_argument("--seconds", type=float, default=20.0, help="of diloco, without --steps")
    parser.add_argument("--every", type=int, default=50, help="inner steps in a round of diloco")
    parser.add_argument("--save", type=Path, help="JSON file for bench/plot_network.py")
    parser.add_argument("--folder", type=Path, help="keeps the data sets for the next time")
    options = parser.parse_args()
    strategy = STRATEGIES[options.strategy]
    for name in ("models", "links", "methods"):
        chosen = getattr(options, name) or list(getattr(strategy, name))
        setattr(options, name, chosen)
    if unknown := set(options.methods) - {*strategy.methods, *strategy.more_methods}:
        parser.error(f"--strategy {options.strategy} has no methods {sorted(unknown)}")
    if options.strategy == "ddp" and PLAIN not in options.methods:
        parser.error(f"--methods must contain {PLAIN!r}, to compare with")
    return options


def worker_arguments(model: str, options: argparse.Namespace) -> list[str]:
    """The options of a worker that are its strategy's alone."""
    if options.strategy != "diloco":
        lengths = ["--rounds", str(options.rounds), "--steps", str(options.steps or 5)]
        fallback = [] if options.fallback else ["--no-fallback"]
        return [model, *lengths, *fallback] if options.strategy == "ddp" else lengths
    length = ["--seconds", str(options.seconds)]
    if options.steps is not None:
        length = ["--steps", str(options.steps)]
    return [*length, "--every", str(options.every)]


def main() -> None:
    """Command line."""
    options = parse()
    strategy = STRATEGIES[options.strategy]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        workloads.fetch_text(folder)
        if "ncf" in options.models:
            workloads.fetch_ratings(folder)
        out = Path(temporary) / "rows.json"
        common = ["--folder", str(folder), "--out", str(out), "--algorithm", options.algorithm]
        common += ["--methods", *options.methods]
        saved: list[dict[str, object]] = []
        for model in options.models:
            own = worker_arguments(model, options)
            for ranks in options.ranks:
                for link in options.links:
                    with network(ranks, LINKS[link]) as commands:
                        script = Path(__file__).parent / strategy.worker
                        run_ranks(script, commands, [*own, *common])
                    rows = json.loads(out.read_text())
                    strategy.show(rows, f"{model}, {ranks} ranks, links: {link}")
                    saved.append({"model": model, "ranks": ranks, "link": link, "rows": rows})
                    if options.save:
                        options.save.write_text(json.dumps(saved))


if __name__ == "__main__":
    main()
