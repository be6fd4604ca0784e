"""The examples in docstrings and README run; the README's commands stand where CI finds them."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import gradwire

README = Path(__file__).parent.parent / "README.md"
ADAPTERS = ["horovod", "jax", "tensorflow"]  # their packages are installed by tests/adapters
MODULES = [m.name for m in pkgutil.iter_modules(gradwire.__path__) if m.name != "__main__"]
NEEDS = {"torch": "torch", "mpi": "mpi4py"}


@pytest.mark.parametrize("name", ["", *(name for name in MODULES if name not in ADAPTERS)])
def test_docstrings(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    module = importlib.import_module(f"gradwire.{name}" if name else "gradwire")
    assert doctest.testmod(module).failed == 0


def test_there_are_examples() -> None:
    assert doctest.testmod(gradwire).attempted >= 5
    assert doctest.testfile(str(README), module_relative=False).attempted >= 5


def test_readme_examples() -> None:
    assert doctest.testfile(str(README), module_relative=False).failed == 0


def test_readme_has_two_commands() -> None:
    commands = re.findall(r"^```sh\n(.+)\n```$", README.read_text(), re.MULTILINE)
    assert [("demo" in c, "pytest" in c) for c in commands[:2]] == [(True, False), (False, True)]


def test_public_names_are_documented() -> None:
    for name in gradwire.__all__:
        if name != "__version__":
            assert getattr(gradwire, name).__doc__, name
