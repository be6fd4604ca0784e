"""Compares the model of a step (docs/advice.md) with steps that bench/network.py has measured.

    python bench/capture.py grads
    sudo python bench/network.py --models lstm cnn --ranks 2 --no-fallback --steps 2 --rounds 10 \\
        --methods "no communication" "plain DDP" "bf16 hook" "gradwire QSGD(4)" \\
        "gradwire QSGD(16)" "gradwire TernGrad" "one number" --save measured.json
    python bench/predictions.py measured.json grads

Speeds and sizes of frames are measured here, on one thread, on the gradient of an early step of the
same model (GRADS/MODEL-step5.npy). The backward pass is taken to be two thirds of the step without
communication; that step and what the model adds to the backward pass are the prediction. A link
without limit has the speed with which the plain step is predicted exactly, so that cell is not
counted. `choice` compares the fastest setting by prediction with the fastest by measurement.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from network_worker import NOTHING, PLAIN

from gradwire.advice.advise import rank_settings
from gradwire.advice.calibration import Speed, calibrate
from gradwire.advice.settings import BF16
from gradwire.advice.settings import PLAIN as PLAIN_SETTING
from gradwire.advice.step_model import Setup
from gradwire.tools.tables import print_table

SETTINGS = {
    PLAIN: PLAIN_SETTING,
    "bf16 hook": BF16,
    "gradwire QSGD(4)": "QSGD(4)",
    "gradwire QSGD(4), Residual": "QSGD(4), Residual",
    "gradwire QSGD(16)": "QSGD(16)",
    "gradwire TernGrad": "TernGrad()",
    "gradwire TopK(0.01)": "TopK(0.01), Residual",
}
LINKS = {"10mbit": 10e6, "100mbit": 100e6, "1gbit": 1e9}
LATENCY = 1e-4  # seconds, about what ping shows between two namespaces
BACKWARD = 2 / 3  # share of a step; the forward pass takes about half the time of the backward pass
FASTEST = 1e12  # bit/s, above which a link without limit is not searched for


def predict(
    cell: dict[str, Any], link: float, idle: float, speeds: dict[str, Speed]
) -> dict[str, tuple[float, float]]:
    """Seconds and bytes of a step with each setting."""
    parameters = cell["rows"][0]["parameters"]
    setup = Setup(parameters, cell["ranks"], link, LATENCY, BACKWARD * idle, cpu_training=True)
    rest = idle - setup.backward
    advice = rank_settings(setup, "adamw", 1, speeds, False)
    return {c.setting: (rest + c.ms_per_step / 1e3, 1e6 * c.mb_per_step) for c in advice.choices}


def link_of(cell: dict[str, Any], plain: float, idle: float, speeds: dict[str, Speed]) -> float:
    """Bits per second of the link of a cell; see the top of this file for one without limit."""
    if cell["link"] in LINKS:
        return LINKS[cell["link"]]
    low, high = 1e6, FASTEST
    for _ in range(60):
        middle = (low * high) ** 0.5
        is_slow = predict(cell, middle, idle, speeds)[PLAIN_SETTING][0] > plain
        low, high = (middle, high) if is_slow else (low, middle)
    return high


def compare(cell: dict[str, Any], speeds: dict[str, Speed]) -> tuple[list[float], float]:
    """Prints the table of a cell; returns relative errors, and what the predicted choice loses."""
    measured = {row["method"]: row for row in cell["rows"]}
    idle = measured[NOTHING]["seconds"]
    link = link_of(cell, measured[PLAIN]["seconds"], idle, speeds)
    predicted = predict(cell, link, idle, speeds)
    rows, errors = [], []
    seconds: dict[str, tuple[float, float]] = {}
    for method, row in measured.items():
        if method not in SETTINGS:
            continue
        told, sent = predicted[SETTINGS[method]]
        seconds[method] = told, row["seconds"]
        error = told / row["seconds"] - 1
        is_counted = method != PLAIN or cell["link"] in LINKS
        errors += [error] * is_counted
        rows.append(
            [
                method,
                *(f"{1e3 * told:.1f}", f"{1e3 * row['seconds']:.1f}"),
                f"{100 * error:+.1f}" if is_counted else "",
                *(f"{sent / 1e6:.3f}", f"{row['bytes'] / 1e6:.3f}"),
            ]
        )
    chosen = min(seconds, key=lambda method: seconds[method][0])
    best = min(took for _, took in seconds.values())
    head = ["", "predicted ms", "measured ms", "error %", "predicted MB", "measured MB"]
    title = f"{cell['model']}, {cell['ranks']} ranks, {cell['link']} ({link / 1e9:.3g} Gbit/s), "
    title += f"{1e3 * idle:.1f} ms without communication"
    print_table(title, head, rows)
    return errors, seconds[chosen][1] / best - 1


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measured", type=Path, help="what bench/network.py --save has written")
    parser.add_argument("gradients", type=Path, help="folder of bench/capture.py")
    options = parser.parse_args()
    errors, losses = [], []
    speeds = {}
    for cell in json.loads(options.measured.read_text()):
        model = cell["model"]
        if model not in speeds:
            gradient = np.load(options.gradients / f"{model}-step5.npy")
            speeds[model] = calibrate(gradient, threads=1, refresh=True)
        of_cell, loss = compare(cell, speeds[model])
        errors += [abs(error) for error in of_cell]
        losses.append(loss)
    print(
        f"{len(errors)} steps: median error {100 * statistics.median(errors):.1f} %, largest "
        f"{100 * max(errors):.1f} %, {100 * np.mean(np.array(errors) <= 0.25):.0f} % within 25 %"
    )
    print(
        f"{len(losses)} networks: in {sum(loss <= 0.05 for loss in losses)} the setting that is "
        "fastest by prediction took at most 5 % longer than the fastest"
    )


if __name__ == "__main__":
    main()
