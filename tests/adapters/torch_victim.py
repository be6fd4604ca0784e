"""A rank dies in mid-step; the others say how they noticed."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta

import torch.distributed as dist
from torch_training import hooked, network, train

import gradwire as gw

TIMEOUT = 20  # seconds


def main() -> None:
    """Prints the error and the seconds it took."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=TIMEOUT))
    model = network()
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    ddp, _ = hooked(model, compressor, sys.argv[1])
    train(ddp, 3)
    if dist.get_rank() == dist.get_world_size() - 1:
        next(model.parameters()).register_hook(lambda _: os._exit(0))
    begin = time.monotonic()
    try:
        train(ddp, 1)
        error = "none"
    except RuntimeError as caught:
        error = str(caught)
    print(json.dumps({"error": error, "seconds": time.monotonic() - begin}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
