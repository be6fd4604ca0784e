"""Trains a small network on handwritten digits with gradwire.jax, on all ranks of MPI."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mpi4py import MPI
from sklearn.datasets import load_digits

import gradwire as gw

RANK, WORLD = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).astype(np.float32)
BATCH = 128
Parameters = dict[str, Any]


def report(text: str) -> None:
    if RANK == 0:
        print(text, flush=True)


def start() -> Parameters:
    rng = np.random.default_rng(0)
    layers = [
        {"weight": jnp.asarray(rng.normal(0, 0.15, shape), jnp.float32), "bias": jnp.zeros(width)}
        for shape, width in (((64, 128), 128), ((128, 10), 10))
    ]
    return {"layers": layers, "temperature": jnp.ones(())}


def loss_of(parameters: Parameters, images: Any, labels: Any) -> Any:
    first, last = parameters["layers"]
    hidden = jax.nn.relu(images @ first["weight"] + first["bias"])
    logits = (hidden @ last["weight"] + last["bias"]) * parameters["temperature"]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(labels.size), labels])


def train(
    average: Callable[[Parameters], Parameters], steps: int, rank: int, world: int
) -> tuple[Parameters, list[float]]:
    """This rank has every ``world``-th image of each batch."""

    @jax.jit
    def step(parameters: Parameters, images: Any, labels: Any) -> tuple[Parameters, Any]:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, images, labels)
        return jax.tree.map(lambda p, g: p - 0.3 * g, parameters, average(gradients)), loss

    parameters, losses = start(), []
    rng = np.random.default_rng(1)
    for _ in range(steps):
        batch = rng.choice(LABELS.size, BATCH, replace=False)[rank::world]
        parameters, loss = step(parameters, IMAGES[batch], LABELS[batch])
        losses.append(float(loss))
    return parameters, losses


def check_lossless(algorithm: str) -> None:
    averager = gw.mpi.Averager(gw.Compressor(gw.Lossless()), algorithm=algorithm)
    got, _ = train(lambda g: gw.jax.average(g, averager), 20, RANK, WORLD)
    expected, _ = train(lambda g: g, 20, 0, 1)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    report(f"{algorithm}, Lossless: parameters as of one process with all data")


def check_lossy(algorithm: str, pipeline: Any, memory: gw.Memory | None) -> None:
    averager = gw.mpi.Averager(gw.Compressor(pipeline, memory=memory), algorithm=algorithm)
    parameters, losses = train(lambda g: gw.jax.average(g, averager), 150, RANK, WORLD)
    first, last = losses[0], float(np.mean(losses[-10:]))
    assert last < first / 3, (first, last)
    bits = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(parameters))
    assert all(other == bits for other in MPI.COMM_WORLD.allgather(bits))
    report(f"{algorithm}, {pipeline!r}: loss {first:.2f} to {last:.2f}, ranks have the same bits")


def check_types() -> None:
    averager = gw.mpi.Averager(gw.Compressor(gw.Lossless()))
    types = (jnp.float32, jnp.float16, jnp.bfloat16)
    given = [jnp.full((2, i), RANK, dtype) for i, dtype in enumerate(types)]
    for got, gradient in zip(gw.jax.average(given, averager), given):
        assert got.dtype == gradient.dtype and got.shape == gradient.shape
        assert np.all(np.float32(got) == (WORLD - 1) / 2)
    try:
        gw.jax.average({"count": jnp.arange(3)}, averager)
    except TypeError as error:
        assert "a gradient must hold floats, got int32" in str(error)
    else:
        raise AssertionError("integers were averaged")
    report("float32, float16 and bfloat16, outside of jit: types and shapes are kept")
    lossy = gw.mpi.Averager(gw.Compressor(gw.QSGD(4)))
    large = gw.jax.average(jnp.full(5000, 6e4, jnp.float16), lossy)
    assert np.all(np.isfinite(large))
    infinite = gw.jax.average(jnp.full(5000, jnp.inf if RANK else 1.0, jnp.float16), lossy)
    assert not np.any(np.isfinite(infinite))
    report("large float16 gradients stay finite, infinite ones do not")


def check_order() -> None:
    """Averages whose results are not used take place nevertheless, and all in order."""
    averager = gw.mpi.Averager(gw.Compressor(gw.Lossless()))

    @jax.jit
    def several(x: Any) -> Any:
        for index in range(8):
            unused = gw.jax.average(x[: 100 * (index + 1)], averager, name=f"unused {index}")
        return gw.jax.average((x, unused), averager)[0]

    big = jnp.full(5_000_000, RANK, jnp.float32)
    for _ in range(3):
        assert np.all(np.asarray(several(big)) == (WORLD - 1) / 2)
    report("nine averages in one program, one of 20 MB: in order, none left out")


def check_damage() -> None:
    compressor = gw.Compressor(gw.QSGD(4))
    averager = gw.mpi.Averager(compressor)
    if RANK == 1:
        compress = compressor.compress
        compressor.compress = lambda *x: compress(*x)[::-1].copy()
    logging.disable(logging.ERROR)  # JAX logs what callbacks raise
    try:
        jax.jit(lambda x: gw.jax.average(x, averager))(jnp.ones(9)).block_until_ready()
    except jax.errors.JaxRuntimeError as error:
        assert "CorruptFrameError: the frame that rank 1 sent" in str(error)
    else:
        raise AssertionError("damage was not noticed")
    report("a damaged frame is refused, its rank named")


def check_settings() -> None:
    try:
        gw.mpi.Averager(gw.Compressor(gw.QSGD(4 + RANK)))
    except ValueError as error:
        assert "different settings" in str(error) and "rank 1" in str(error)
    else:
        raise AssertionError("settings that differ were not noticed")
    report("settings that differ: ValueError on all ranks")


if __name__ == "__main__":
    for algorithm in ("allgather", "sharded"):
        check_lossless(algorithm)
        check_lossy(algorithm, gw.QSGD(4), None)
        check_lossy(algorithm, gw.TopK(0.1), gw.Residual())
    check_types()
    check_order()
    check_damage()
    check_settings()
