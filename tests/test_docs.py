"""Documents: examples run, links lead somewhere, commands stand where CI looks for them."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
from ranks import run_ranks

import gradwire

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ADAPTERS = ["horovod", "jax", "tensorflow"]  # their packages are installed by tests/adapters
MODULES = [
    m.name[len("gradwire.") :]
    for m in pkgutil.walk_packages(gradwire.__path__, "gradwire.")
    if m.name != "gradwire.__main__"
]
NEEDS = {"torch": "torch", "mpi": "mpi4py"}


@pytest.mark.parametrize("name", ["", *(name for name in MODULES if name not in ADAPTERS)])
def test_docstrings(name: str) -> None:
    package = name.split(".")[0]
    if package in NEEDS:
        pytest.importorskip(NEEDS[package])
    module = importlib.import_module(f"gradwire.{name}" if name else "gradwire")
    assert doctest.testmod(module).failed == 0


def test_there_are_examples() -> None:
    assert doctest.testmod(gradwire).attempted >= 5
    assert sum(len(doctest.DocTestParser().get_examples(d.read_text())) for d in DOCUMENTS) >= 20


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_examples_in_documents(document: Path) -> None:
    assert doctest.testfile(str(document), module_relative=False).failed == 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), target


def test_the_architecture_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    places = [p for p in ROOT.rglob("*") if not {".git", ".venv", "build"} & set(p.parts)]
    known = {f"/{p.relative_to(ROOT).as_posix()}" for p in places}
    for name in set(re.findall(r"`([\w./]+\.(?:[ch]pp|py|md|cmake))`", text)):
        assert name.isupper() or "NAME" in name or any(k.endswith(f"/{name}") for k in known), name


def test_the_annotated_frame() -> None:
    text = (ROOT / "docs" / "FORMAT.md").read_text().split("## 10.")[1].split("The bits of")[0]
    frame = bytes.fromhex(" ".join(re.findall(r"^\| `([0-9a-f ]+)` \|", text, re.MULTILINE)))
    array = np.array([0, 0, 0, 1, 0, 0, -1, 0] * 4, np.int8)
    assert gradwire.compress(array, codec="huffman").tobytes() == frame


def test_the_program_in_the_readme(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")
    program = re.findall(r"```python\n(import torch\n.+?)```", README.read_text(), re.DOTALL)[0]
    assert len(program.splitlines()) <= 16
    (tmp_path / "train.py").write_text(program)
    first = run_ranks(str(tmp_path / "train.py"), 2)[0]
    assert "200 steps on 2 ranks" in first.stdout, first.stderr


def test_the_program_in_own_loops(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")
    text = (ROOT / "docs" / "own_loops.md").read_text()
    assert len(text.splitlines()) <= 90
    program = re.findall(r"```python\n(import torch\n.+?)```", text, re.DOTALL)[0]
    (tmp_path / "train.py").write_text(program)
    for ended in run_ranks(str(tmp_path / "train.py"), 2):
        loss = re.findall(r"rank \d: loss ([\d.]+)", ended.stdout)
        assert loss and float(loss[0]) < 1.5, ended.stderr


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 120


def test_readme_has_two_commands() -> None:
    commands = re.findall(r"^```sh\n(.+)\n```$", README.read_text(), re.MULTILINE)
    assert [("demo" in c, "pytest" in c) for c in commands[:2]] == [(True, False), (False, True)]


def test_public_names_are_documented() -> None:
    for name in gradwire.__all__:
        if name != "__version__":
            assert getattr(gradwire, name).__doc__, name
