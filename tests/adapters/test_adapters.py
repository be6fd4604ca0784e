"""Adapters whose packages are missing say what to install."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

PACKAGES = {
    "torch": "torch",
    "mpi": "mpi4py",
    "horovod": "horovod",
    "tensorflow": "tensorflow",
    "jax": "jax",
}


@pytest.mark.parametrize("adapter", PACKAGES)
def test_a_missing_package_is_named_with_its_extra(adapter: str) -> None:
    package = PACKAGES[adapter]
    code = f"import sys; sys.modules[{package!r}] = None\nimport gradwire as gw\ngw.{adapter}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    needed = f"({package}|torch)"  # Horovod's adapter needs both
    assert re.search(f"ImportError: gradwire.{adapter} needs the package {needed}", ended.stderr)
    assert f"pip install 'gradwire[{adapter}]'" in ended.stderr


def test_importing_gradwire_imports_none() -> None:
    code = (
        f"import gradwire, sys; print([p for p in {list(PACKAGES.values())} if p in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
