"""Training runs that are saved in the middle, or go on from there: test_nothing_lost.py."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch_training import ALGORITHMS, PIPELINES, flat, hooked, network, train

HALF, STEPS = 6, 12
RUNS = [
    (pipeline, algorithm, static_graph)
    for pipeline in ("qsgd-residual", "topk-dgc", "sidco", "signum")
    for algorithm in ALGORITHMS
    for static_graph in ((False, True) if pipeline == "qsgd-residual" else (False,))
]


def run(phase: str, pipeline: str, algorithm: str, static_graph: bool, file: Path) -> str:
    """A digest of the parameters at the end."""
    model = network()
    ddp, state = hooked(model, PIPELINES[pipeline](), algorithm, static_graph=static_graph)
    if phase == "whole":
        train(ddp, HALF)
        torch.save({"model": model.state_dict(), "gradwire": state.state_dict()}, file)
    else:
        saved = torch.load(file, weights_only=True)
        model.load_state_dict(saved["model"])
        state.load_state_dict(saved["gradwire"])
    train(ddp, STEPS - HALF, first=HALF)
    return hashlib.sha256(flat(model).numpy().tobytes()).hexdigest()


def main() -> None:
    """``whole`` saves in the middle and goes on; ``rest`` is a new process from there on."""
    phase, folder = sys.argv[1:]
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    digests = {}
    for pipeline, algorithm, static_graph in RUNS:
        name = f"{pipeline}-{algorithm}-{'static' if static_graph else 'dynamic'}"
        file = Path(folder) / f"{name}-{dist.get_rank()}.pt"
        digests[name] = run(phase, pipeline, algorithm, static_graph, file)
    print(json.dumps(digests), flush=True)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)


if __name__ == "__main__":
    main()
