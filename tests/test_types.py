"""What an editor and a type checker tell a user."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gradwire

SCRIPT = """
import gradwire as gw
import numpy as np
import torch

compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
frame = compressor.compress(np.zeros(3, np.float32))
out = np.zeros(3, np.float32)
reveal_type(frame)
reveal_type(gw.compress([1]))
reveal_type(gw.decompress_gradient(frame))
reveal_type(gw.decompress_gradient(frame, out=[out]))
reveal_type(gw.decompress_sum([frame]))
reveal_type(gw.torch.CompressionState(compressor=compressor).summary())
reveal_type(gw.mpi.Averager(compressor).average(out, "x"))
communicator = gw.torch.Communicator(compressor)
reveal_type(communicator.average([torch.ones(3)]))
reveal_type(communicator.average({"x": torch.ones(3)}, async_op=True).wait())
"""
WANTED = ["ndarray", "ndarray", "ndarray", "list", "ndarray", "str", "ndarray", "list", "dict"]


def test_strict_types_of_a_script(tmp_path: Path, run_python) -> None:
    pytest.importorskip("mypy", reason="types are tested with mypy: pip install '.[dev]'")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    settings = Path(__file__).parent.parent / "pyproject.toml"
    command = "import sys; from mypy.main import main; main(args=sys.argv[1:], clean_exit=True)"
    told = run_python(command, "--strict", "--config-file", str(settings), str(script))
    revealed = re.findall(r'Revealed type is "(?:\w+\.)*(\w+)', told)
    assert revealed == WANTED and "Success" in told, told


def test_adapters_are_listed() -> None:
    assert {"horovod", "jax", "mpi", "tensorflow", "torch", "Compressor"} <= set(dir(gradwire))
