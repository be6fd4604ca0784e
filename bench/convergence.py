"""Time to an accuracy on a slow network, and final accuracies over several seeds.

    sudo python bench/convergence.py [--models cnn lstm] [--link 100mbit] [--seeds 3] [--ranks 2]
        [--algorithm auto]

trains on ranks in network namespaces joined by such links, with plain DDP and with gradwire's hook.
`time` is the training time until the test is as good as plain DDP's in the end; tests are not
counted. cnn is tested by its accuracy on 10,000 images, lstm by its loss on held-out words. With
--seeds N each is trained from N starts, without limits on the links and without fallback; the table
has the mean of the final tests, and of their differences from plain DDP with the same start.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import workloads
from namespaces import LINKS, network, run_ranks
from network_worker import GRADWIRE, PLAIN

from gradwire.tools.progress import Progress
from gradwire.tools.tables import print_table

WORKER = Path(__file__).parent / "convergence_worker.py"
STEPS = {"cnn": 600, "lstm": 100}
TESTS = 12
Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Setting:
    """What all runs have in common."""

    ranks: int
    algorithm: str
    folder: Path

    def train(self, model: str, method: str, link: str, *more: str) -> Curve:
        """Seconds and tests of a run."""
        ranks = network(self.ranks, LINKS[link])
        with tempfile.TemporaryDirectory() as temporary, ranks as commands:
            out = Path(temporary) / "curve.json"
            arguments = [model, method, "--folder", str(self.folder), "--out", str(out), *more]
            arguments += ["--algorithm", self.algorithm, "--steps", str(STEPS[model])]
            run_ranks(WORKER, commands, arguments)
            return [(seconds, result) for seconds, result in json.loads(out.read_text())]


def time_to(curve: Curve, target: float, lower_is_better: bool) -> str:
    """Seconds until the test is as good as the target."""
    for seconds, result in curve:
        if result <= target if lower_is_better else result >= target:
            return f"{seconds:.1f}"
    return "not reached"


def compare_times(model: str, link: str, methods: Sequence[str], setting: Setting) -> None:
    """Prints the table of one model."""
    tests = ["--tests", str(TESTS)]
    curves = {method: setting.train(model, method, link, *tests) for method in methods}
    target = curves[PLAIN][-1][1]
    rows = []
    for method, curve in curves.items():
        total, result = curve[-1]
        reached = time_to(curve, target, model == "lstm")
        rows.append([method, f"{result:.4f}", f"{total:.1f}", reached])
    title = f"{model}, {setting.ranks} ranks, links: {link}; plain DDP ends at {target:.4f}"
    print_table(title, ["", "final test", "all steps s", "time s"], rows)


def compare_seeds(model: str, seeds: int, methods: Sequence[str], setting: Setting) -> None:
    """Prints the table of final tests."""
    results: dict[str, list[float]] = {method: [] for method in methods}
    with Progress("seeds", seeds * len(methods)) as progress:
        for seed in range(seeds):
            for method in methods:
                more = ["--seed", str(seed), "--no-fallback", "--tests", "1"]
                results[method].append(setting.train(model, method, "none", *more)[-1][1])
                progress.step(method)
    rows = []
    for method, tests in results.items():
        differences = [a - b for a, b in zip(tests, results[PLAIN])]
        each = " ".join(f"{test:.4f}" for test in tests)
        rows.append(
            [method, f"{statistics.mean(tests):.4f}", f"{statistics.mean(differences):+.4f}", each]
        )
    title = f"{model}, {setting.ranks} ranks, {STEPS[model]} steps, final tests over {seeds} seeds"
    print_table(title, ["", "mean", "less plain DDP", "each"], rows)


def main() -> None:
    """Command line."""
    methods = [PLAIN, *GRADWIRE]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--methods", nargs="+", default=methods, choices=methods)
    parser.add_argument("--link", default="100mbit", choices=list(LINKS))
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--algorithm", default="auto", help="of gradwire's hook")
    parser.add_argument("--folder", type=Path, help="keeps the data sets for the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        workloads.fetch_text(folder)
        setting = Setting(options.ranks, options.algorithm, folder)
        for model in options.models:
            if options.seeds:
                compare_seeds(model, options.seeds, options.methods, setting)
            else:
                compare_times(model, options.link, options.methods, setting)


if __name__ == "__main__":
    main()
