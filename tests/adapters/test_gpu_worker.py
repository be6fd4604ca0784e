"""The program that checks and times the hook on a GPU (tests/gpu), run on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

WORKER = Path(__file__).parent.parent / "gpu" / "worker.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(WORKER), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_it_checks_and_measures() -> None:
    ended = run("--device", "cpu", "--small", "--threads", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert len(found["checks"]) == 16
    assert all(figure["gb_per_s"] > 0 for figure in found["stages"].values())
    sent = {name: figure["mb_sent"] for name, figure in found["steps"].items()}
    assert len(sent) == 7 and sent.pop("plain DDP") > 10 * max(sent.values())


def test_it_says_that_there_is_no_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip(
            "this machine has a CUDA device, so the message about a missing one is not printed"
        )
    ended = run()
    assert ended.returncode == 2
    assert ended.stdout == "no CUDA device found\n"
