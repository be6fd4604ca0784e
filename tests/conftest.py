"""Fixtures that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cases import CORNER_CASES

SUPPORT = str(Path(__file__).parent / "support")


@pytest.fixture(params=CORNER_CASES, ids=lambda name: name.replace(" ", "-"))
def corner_case(request: pytest.FixtureRequest) -> np.ndarray:
    """One of the arrays that are easy to get wrong."""
    return CORNER_CASES[request.param]


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Runs a script in a new interpreter and returns what it prints."""

    def run(script: str, *arguments: str, **environment: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={**os.environ, "PYTHONPATH": SUPPORT, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run
