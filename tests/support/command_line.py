"""Runs commands of gradwire that fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gradwire.tools.cli import main

COMMAND = [sys.executable, "-m", "gradwire"]


def fails(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a command that fails with this exit code, and changes no file."""
    before = {p.name: p.read_bytes() for p in Path().iterdir() if p.is_file()}
    capsys.readouterr()
    assert main(arguments) == code
    assert {p.name: p.read_bytes() for p in Path().iterdir() if p.is_file()} == before
    message = capsys.readouterr().err
    assert message.startswith("gradwire: ") and len(message.splitlines()) == 1
    return message
