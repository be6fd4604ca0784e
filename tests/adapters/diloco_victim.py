"""A rank dies within a round of local steps; the others say how they noticed."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta

import torch.distributed as dist
from diloco_training import DiLoCoRun
from torch_training import network

import gradwire as gw

TIMEOUT = 20  # seconds


def main() -> None:
    """Prints the error and the seconds it took."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=TIMEOUT))
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    run = DiLoCoRun(network(), compressor, every=3)
    run.train(4)
    if dist.get_rank() == dist.get_world_size() - 1:
        os._exit(0)
    begin = time.monotonic()
    try:
        run.train(2)
        error = "none"
    except RuntimeError as caught:
        error = str(caught)
    print(json.dumps({"error": error, "seconds": time.monotonic() - begin}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
