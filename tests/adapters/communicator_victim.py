"""The last rank dies while averages are on their way; the others say how they noticed."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta

import torch.distributed as dist
from communicator_training import all_numbers, gradients, make

import gradwire as gw

TIMEOUT = 20  # seconds


def main() -> None:
    """Prints the errors, the seconds they took, and whether memory is as before."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=TIMEOUT))
    communicator = make(gw.Compressor(gw.QSGD(4), memory=gw.Residual()), sys.argv[1])
    communicator.average(gradients(0))
    before = all_numbers(communicator)
    if dist.get_rank() == dist.get_world_size() - 1:
        os._exit(0)
    begin = time.monotonic()
    pending = communicator.average(gradients(1), async_op=True)
    errors = []
    for work in (pending.wait, lambda: communicator.step(gradients(1)["a"], "a")):
        try:
            work()
            errors.append("none")
        except RuntimeError as caught:
            errors.append(str(caught))
    as_before = all_numbers(communicator) == before
    communicator.close()
    seconds = time.monotonic() - begin
    print(json.dumps({"errors": errors, "seconds": seconds, "as_before": as_before}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
