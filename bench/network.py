"""Steps of training on slow networks, with each way to send gradients.

    sudo python bench/network.py [--models lstm] [--ranks 2 4] [--links 100mbit 1gbit none]

makes network namespaces on this machine, joined by links of these speeds, and removes them in the
end. One process per rank trains there, under DDP over gloo, on a core of its own if there are as
many. `step` is the median time of a step, on the rank that took longest; `overhead` that time less
the one of the same step without communication; `sent` what a rank put on the wire in a step, by
the counters of its network device, acknowledgements included. `one number` is a hook that averages
a single float per bucket and leaves gradients as they are: what it costs that ranks wait for each
other. All methods of a table take turns in the same processes, all with gradients as views of
buckets.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import workloads
from namespaces import LINKS, network, run_ranks
from network_worker import METHODS, NOTHING, PLAIN

from gradwire.tools.tables import print_table

WORKER = Path(__file__).parent / "network_worker.py"


def show(rows: list[dict[str, float | str]], title: str) -> None:
    """Prints the table of one network."""
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=workloads.NAMES, choices=workloads.NAMES)
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--links", nargs="+", default=list(LINKS), choices=list(LINKS))
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--algorithm", default="auto", help="of gradwire's hook")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--save", type=Path, help="JSON file for bench/plot_network.py")
    parser.add_argument("--folder", type=Path, help="keeps the data sets for the next time")
    options = parser.parse_args()
    if PLAIN not in options.methods:
        parser.error(f"--methods must contain {PLAIN!r}, to compare with")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        workloads.fetch_text(folder)
        workloads.fetch_ratings(folder)
        out = Path(temporary) / "rows.json"
        saved: list[dict[str, object]] = []
        for model in options.models:
            for ranks in options.ranks:
                for link in options.links:
                    with network(ranks, LINKS[link]) as commands:
                        arguments = [model, "--folder", str(folder), "--out", str(out)]
                        arguments += ["--rounds", str(options.rounds)]
                        arguments += ["--steps", str(options.steps)]
                        arguments += ["--algorithm", options.algorithm]
                        run_ranks(WORKER, commands, [*arguments, "--methods", *options.methods])
                    rows = json.loads(out.read_text())
                    show(rows, f"{model}, {ranks} ranks, links: {link}")
                    saved.append({"model": model, "ranks": ranks, "link": link, "rows": rows})
                    if options.save:
                        options.save.write_text(json.dumps(saved))


if __name__ == "__main__":
    main()
