"""The MPI adapter, run by mpirun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py", reason="needs mpi4py: pip install '.[mpi]'")


@pytest.mark.skipif(
    shutil.which("mpirun") is None,
    reason="needs mpirun, which pip does not bring: install Open MPI",
)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_averages(ranks: int) -> None:
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
    worker = str(Path(__file__).parent / "mpi_cases.py")
    ended = subprocess.run(
        [*command, sys.executable, worker],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert f"{ranks} ranks: well" in ended.stdout, ended.stderr[-3000:]
