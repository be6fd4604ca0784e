"""Network namespaces on one machine, joined by links of a given speed. Linux, as root."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BRIDGE = "gwbr0"
SUBNET = "10.77.0"
PORT = 29555
LINKS = {"10mbit": "10mbit", "100mbit": "100mbit", "1gbit": "1gbit", "none": None}
BURST = {"10mbit": "64kb", "100mbit": "64kb", "1gbit": "256kb"}


def _run(command: str, check: bool = True) -> None:
    quiet = None if check else subprocess.DEVNULL
    subprocess.run(command.split(), check=check, stderr=quiet, stdout=quiet)


def _remove(ranks: int) -> None:
    for rank in range(ranks):
        _run(f"ip netns del gw{rank}", check=False)
        _run(f"ip link del gwv{rank}", check=False)
    _run(f"ip link del {BRIDGE}", check=False)


def _limit(where: str, device: str, rate: str) -> None:
    _run(f"{where}tc qdisc add dev {device} root tbf rate {rate} burst {BURST[rate]} latency 50ms")


def address(rank: int) -> str:
    """IPv4 address of a rank."""
    return f"{SUBNET}.{rank + 1}"


@contextlib.contextmanager
def network(ranks: int, rate: str | None) -> Iterator[list[list[str]]]:
    """Namespaces that live as long as the block.

    Args:
        ranks: how many.
        rate: of each link, both ways: "10mbit", "100mbit", "1gbit", or None for no limit.

    Yields:
        For each rank the words that a command needs in front of it to run there.
    """
    if os.geteuid() != 0:
        sys.exit("network namespaces need root: run this with sudo")
    _remove(ranks)
    try:
        _run(f"ip link add {BRIDGE} type bridge")
        _run(f"ip link set {BRIDGE} up")
        for rank in range(ranks):
            inside = f"ip -n gw{rank} "
            _run(f"ip netns add gw{rank}")
            _run(f"ip link add gwv{rank} type veth peer name eth0 netns gw{rank}")
            _run(f"ip link set gwv{rank} master {BRIDGE} up")
            _run(inside + f"addr add {address(rank)}/24 dev eth0")
            _run(inside + "link set lo up")
            _run(inside + "link set eth0 up")
            if rate is not None:
                _limit(f"ip netns exec gw{rank} ", "eth0", rate)
                _limit("", f"gwv{rank}", rate)
        yield [["ip", "netns", "exec", f"gw{rank}"] for rank in range(ranks)]
    finally:
        _remove(ranks)


def run_ranks(script: Path, commands: list[list[str]], arguments: list[str]) -> None:
    """Runs a script in each namespace, with what torch.distributed needs, until all have ended."""
    world = len(commands)
    settings = {
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "eth0",
        "MASTER_ADDR": address(0),
        "MASTER_PORT": str(PORT),
        "WORLD_SIZE": str(world),
        "PYTHONWARNINGS": "ignore::FutureWarning",
    }
    workers = [
        subprocess.Popen(
            [*command, sys.executable, str(script), *arguments],
            env={**os.environ, **settings, "RANK": str(rank)},
        )
        for rank, command in enumerate(commands)
    ]
    try:
        failed = [rank for rank, worker in enumerate(workers) if worker.wait() != 0]
    finally:
        for worker in workers:
            worker.kill()
    if failed:
        sys.exit(f"ranks {failed} failed")
