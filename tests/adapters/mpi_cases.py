"""What the ranks of test_mpi.py do; any that fails ends all."""

from __future__ import annotations

import copy
import sys
import traceback
from collections.abc import Callable
from typing import Any

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


def check_weights(algorithm: str) -> None:
    """Ranks count by their weights; where these are wrong, all ranks say so and may go on."""
    averager = gw.mpi.Averager(gw.Compressor(gw.Lossless()), algorithm=algorithm)
    weights = np.arange(COMM.size) * 2.5 + (COMM.size == 1)
    gradients = [gradient(r).astype(np.float64) / 3 for r in range(COMM.size)]
    expected = np.average(gradients, axis=0, weights=weights)
    own, weight = gradients[COMM.rank], weights[COMM.rank]
    np.testing.assert_allclose(averager.average(own, "a", weight), expected, atol=1e-14)
    np.testing.assert_allclose(averager.average(own, "b"), np.mean(gradients, axis=0), atol=1e-14)
    average = averager.average(own.astype(np.float32), "c", weight=weight)
    np.testing.assert_allclose(average, expected, atol=1e-6)
    expect(ValueError, "all ranks passed the weight 0", lambda: averager.average(own, "a", 0))
    if COMM.size > 1:
        mixed = None if COMM.rank == 1 else 1.0
        expect(ValueError, "rank 1 passed none", lambda: averager.average(own, "a", mixed))
    np.testing.assert_allclose(averager.average(own, "a", weight), expected, atol=1e-14)
    averager.close()


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


def held_by(averager: gw.mpi.Averager, memory: gw.Memory) -> dict[str, np.ndarray]:
    """What is still to be sent of each tensor, without loss scale; an average stands for all."""
    held = {}
    for name, tensor in averager.state_dict()["tensors"].items():
        kinds = tensor["arrays"]
        whole = kinds[memory.unsent] + COMM.size * kinds.get("second stage", 0.0)
        held[name] = whole.astype(np.float64) / tensor["loss_scale"]
    return held


def expect(kind: type[Exception], text: str, work: Callable[[], Any]) -> None:
    """That ``work`` raises, and says so."""
    try:
        work()
    except kind as error:
        assert text in str(error), str(error)
    else:
        raise AssertionError(f"no {kind.__name__}")


def check_nothing_lost(algorithm: str, pipeline: Any, memory: gw.Memory) -> None:
    """Over loss scales, overflow, skipped steps and a checkpoint: given = arrived + held."""
    scale = [64.0]

    def start() -> gw.mpi.Averager:
        compressor = gw.Compressor(copy.deepcopy(pipeline), memory=copy.deepcopy(memory))
        return gw.mpi.Averager(compressor, None, algorithm, loss_scale=lambda: scale[0])

    averager = start()
    weight = memory.gamma if isinstance(memory, gw.Residual) else 1.0
    balance = {"a": 0.0, "b": 0.0}
    for step in range(60):
        scale[0] = (64.0, 4096.0, 2.0, 1024.0)[step // 5 % 4]
        for name in balance:
            x = gradient(1000 * step + COMM.rank)[:: 1 if name == "a" else 2].copy()
            x[3:9] = 0
            overflows = step % 7 == 5 and name == "b"
            if overflows and COMM.rank == 0:
                x[1, 1] = np.inf
            average = averager.average(x * np.float32(scale[0]), name)
            if overflows:
                assert np.isnan(average).any()
            elif step % 11 == 8:
                averager.skip_step([name])  # as after a look at the norm
            else:
                balance[name] += weight * x.astype(np.float64) - average / scale[0]
        if step == 30:
            saved = averager.state_dict()
            averager.close()
            averager = start()
            averager.load_state_dict(saved)
    for name, held in held_by(averager, memory).items():
        lost = COMM.allreduce(balance[name] - held.reshape(balance[name].shape)) / COMM.size
        assert np.abs(lost).max() < 1e-4, (name, np.abs(lost).max())
    averager.close()


def check_one_user() -> None:
    """A compressor serves one averager; one for another rank's state says so."""
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    averager = gw.mpi.Averager(compressor)
    expect(ValueError, "in use already", lambda: gw.mpi.Averager(compressor))
    averager.average(gradient(COMM.rank), "a")
    state = averager.state_dict()
    other = {**state, "rank": COMM.rank + 1}
    expect(ValueError, "strict=False", lambda: averager.load_state_dict(other))
    averager.close()
    expect(RuntimeError, "was closed", averager.state_dict)
    expect(RuntimeError, "was closed", lambda: averager.average(gradient(0), "a"))


def check_overlap() -> None:
    """Several averages at once; gradients may change as soon as start() returns."""
    averager = gw.mpi.Averager(gw.Compressor(gw.Lossless()), algorithm="allgather")
    x = gradient(COMM.rank)
    pending = []
    for factor in (1, 2, 3):
        x[:] = factor * gradient(COMM.rank)
        pending.append(averager.start(x, f"layer {factor}"))
    expect(ValueError, "being averaged already", lambda: averager.start(x, "layer 1"))
    x[:] = 0
    expected = np.mean([gradient(r) for r in range(COMM.size)], axis=0)
    for factor, average in zip((1, 2, 3), pending):
        np.testing.assert_allclose(average.wait(), factor * expected, atol=1e-5)
        assert average.wait() is average.wait()


def check_error_at_the_start() -> None:
    """If an exchange cannot begin, the memory is as before."""
    memory = gw.Residual()
    averager = gw.mpi.Averager(gw.Compressor(gw.QSGD(4), memory=memory), algorithm="allgather")
    averager.average(gradient(COMM.rank), "a")
    before = memory.held("a").arrays[""].copy()

    def fail(*_: Any) -> None:
        raise MemoryError("no room for the sizes")

    averager.averager.exchange.start_allgather = fail
    expect(MemoryError, "no room", lambda: averager.start(gradient(COMM.rank), "a"))
    np.testing.assert_array_equal(memory.held("a").arrays[""], before)
    averager.close()


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
            check_weights(algorithm)
            check_error_feedback(algorithm)
            for pipeline, memory in (
                (gw.QSGD(4), gw.Residual()),
                (gw.EFSignSGD(), gw.EFSign(0.5)),
                (gw.TopK(0.1), gw.Residual()),
                (gw.TopK(0.1), gw.DGCMomentum(0.0)),
            ):
                check_nothing_lost(algorithm, pipeline, memory)
        check_one_user()
        check_overlap()
        check_error_at_the_start()
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
