"""Runs a script as several processes that know each other, and collects what they say."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

LONGEST = 240  # seconds
SUPPORT = Path(__file__).parent
WORKERS = SUPPORT.parent / "adapters"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_ranks(
    script: str, world: int, *arguments: str, longest: float = LONGEST
) -> list[subprocess.CompletedProcess[str]]:
    """One process per rank, with PyTorch's environment variables; ends all of them."""
    settings = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKERS / script), *arguments],
            env={**os.environ, **settings, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    ended = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=longest)
            ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    finally:
        for process in processes:
            process.kill()
    return ended


def results_of(ended: list[subprocess.CompletedProcess[str]]) -> list[dict[str, Any]]:
    """The last line that each rank printed, as JSON; by rank."""
    for rank, process in enumerate(ended):
        assert process.returncode == 0, f"rank {rank}: {process.stderr[-3000:]}"
    return [json.loads(process.stdout.splitlines()[-1]) for process in ended]
