"""What the ranks of test_mpi.py do; any that fails ends all."""

from __future__ import annotations

import sys
import traceback

import numpy as np
from mpi4py import MPI

import gradwire as gw

COMM = MPI.COMM_WORLD


def gradient(rank: int) -> np.ndarray:
    """Of a rank."""
    return np.random.default_rng(rank).laplace(size=(50, 301)).astype(np.float32)


def check_lossless(algorithm: str) -> None:
    """The average is that of the gradients."""
    averager = gw.mpi.Averager(gw.Compressor(gw.Lossless()), algorithm=algorithm)
    expected = np.mean([gradient(r).astype(np.float64) for r in range(COMM.size)], axis=0)
    average = averager.average(gradient(COMM.rank), "a")
    assert average.shape == expected.shape
    assert average.dtype == np.float32
    np.testing.assert_allclose(average, expected, atol=1e-6)
    exact = averager.average(gradient(COMM.rank) / np.float64(3), "b")
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact, expected / 3, atol=1e-14)


def check_error_feedback(algorithm: str) -> None:
    """Over some steps the averages of a constant gradient add up to it; alike on all ranks."""
    compressor = gw.Compressor(gw.TopK(0.2), memory=gw.Residual())
    averager = gw.mpi.Averager(compressor, algorithm=algorithm)
    steps = 60
    total = sum(averager.average(gradient(COMM.rank), "a") for _ in range(steps))
    expected = np.mean([gradient(r) for r in range(COMM.size)], axis=0)
    assert np.linalg.norm(total / steps - expected) < 0.15 * np.linalg.norm(expected)
    assert len({data.tobytes() for data in COMM.allgather(total)}) == 1
    raw = 4 * total.size * 2 * (COMM.size - 1) // COMM.size
    assert averager.traffic.bytes_raw == steps * raw
    assert averager.traffic.bytes_sent <= averager.traffic.bytes_raw
    assert (averager.traffic.bytes_sent > 0) == (COMM.size > 1)


def check_overlap() -> None:
    """Several averages at once; gradients may change as soon as start() returns."""
    averager = gw.mpi.Averager(gw.Compressor(gw.Lossless()), algorithm="allgather")
    x = gradient(COMM.rank)
    pending = []
    for factor in (1, 2, 3):
        x[:] = factor * gradient(COMM.rank)
        pending.append(averager.start(x, f"layer {factor}"))
    x[:] = 0
    expected = np.mean([gradient(r) for r in range(COMM.size)], axis=0)
    for factor, average in zip((1, 2, 3), pending):
        np.testing.assert_allclose(average.wait(), factor * expected, atol=1e-5)


def check_settings() -> None:
    """Ranks with different settings are told so."""
    try:
        gw.mpi.Averager(gw.Compressor(gw.QSGD(2 if COMM.rank == COMM.size - 1 else 4)))
    except ValueError as error:
        assert f"rank 0 and rank {COMM.size - 1} have different settings" in str(error)
    else:
        raise AssertionError("no error")


def main() -> None:
    """Runs all checks."""
    try:
        for algorithm in ("allgather", "sharded"):
            check_lossless(algorithm)
            check_error_feedback(algorithm)
        check_overlap()
        if COMM.size > 1:
            check_settings()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        COMM.Abort(1)
    if COMM.rank == 0:
        print(f"{COMM.size} ranks: well")


if __name__ == "__main__":
    main()
