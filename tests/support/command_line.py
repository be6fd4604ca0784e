"""Files for commands of gradwire, and commands that fail."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from cases import ternary

from gradwire.tools.cli import main

GRADIENT = np.random.default_rng(0).laplace(size=(300, 50)).astype(np.float32)
COMMAND = [sys.executable, "-m", "gradwire"]


def work_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes ``folder`` the current one, with a gradient and some levels in it."""
    monkeypatch.chdir(folder)
    np.save("grad.npy", GRADIENT)
    np.save("levels.npy", ternary(50_000))


def fails(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a command that fails with this exit code, and changes no file."""
    before = {p.name: p.read_bytes() for p in Path().iterdir() if p.is_file()}
    capsys.readouterr()
    assert main(arguments) == code
    assert {p.name: p.read_bytes() for p in Path().iterdir() if p.is_file()} == before
    message = capsys.readouterr().err
    assert message.startswith("gradwire: ") and len(message.splitlines()) == 1
    return message
