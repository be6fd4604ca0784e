"""Trains a small network on handwritten digits with gradwire.tensorflow, on all ranks of MPI."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from mpi4py import MPI
from sklearn.datasets import load_digits

import gradwire as gw

RANK, WORLD = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
IMAGES, LABELS = load_digits(return_X_y=True)
BRIGHTEST = IMAGES.argmax(axis=1)
IMAGES = (IMAGES / 16).astype(np.float32)
BATCH = 128
Gradients = list[Any]


def report(text: str) -> None:
    if RANK == 0:
        print(text, flush=True)


class Network(tf.Module):
    """Two dense layers, and a table whose gradient is ``tf.IndexedSlices``."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.first = tf.Variable(rng.normal(0, 0.15, (64, 128)).astype(np.float32))
        self.bias = tf.Variable(tf.zeros(128))
        self.last = tf.Variable(rng.normal(0, 0.15, (128, 10)).astype(np.float32))
        self.table = tf.Variable(tf.zeros((64, 10)))
        self.unused = tf.Variable(tf.zeros(3))

    def loss(self, images: Any, brightest: Any, labels: Any) -> Any:
        logits = tf.nn.relu(images @ self.first + self.bias) @ self.last
        logits += tf.gather(self.table, brightest)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def train(
    averager: Any, eager: bool, steps: int, rank: int, world: int
) -> tuple[Network, list[float]]:
    """This rank has every ``world``-th image of each batch; without an averager it learns alone."""
    network = Network()

    def step(images: Any, brightest: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = network.loss(images, brightest, labels)
        if averager is not None:
            tape = gw.tensorflow.DistributedGradientTape(tape, averager)
        variables = network.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables)):
            if variable is network.unused:
                assert gradient is None
                continue
            assert averager is None or gradient.shape == variable.shape
            variable.assign_sub(0.3 * tf.convert_to_tensor(gradient))
        return loss

    run: Callable[..., Any] = step if eager else tf.function(step)
    losses = []
    rng = np.random.default_rng(1)
    for _ in range(steps):
        batch = rng.choice(LABELS.size, BATCH, replace=False)[rank::world]
        losses.append(float(run(IMAGES[batch], BRIGHTEST[batch], LABELS[batch])))
    return network, losses


def averager_of(algorithm: str, pipeline: Any, memory: gw.Memory | None = None) -> Any:
    return gw.mpi.Averager(gw.Compressor(pipeline, memory=memory), algorithm=algorithm)


def check_lossless(algorithm: str, eager: bool) -> None:
    got, _ = train(averager_of(algorithm, gw.Lossless()), eager, 20, RANK, WORLD)
    expected, _ = train(None, eager, 20, 0, 1)
    for a, b in zip(got.variables, expected.variables):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    report(
        f"{algorithm}, Lossless, {'eager' if eager else 'tf.function'}: "
        "parameters as of one process with all data"
    )


def check_lossy(algorithm: str, pipeline: Any, memory: gw.Memory | None) -> None:
    averager = averager_of(algorithm, pipeline, memory)
    network, losses = train(averager, False, 150, RANK, WORLD)
    first, last = losses[0], float(np.mean(losses[-10:]))
    assert last < first / 3, (first, last)
    bits = b"".join(v.numpy().tobytes() for v in network.variables)
    assert all(other == bits for other in MPI.COMM_WORLD.allgather(bits))
    report(f"{algorithm}, {pipeline!r}: loss {first:.2f} to {last:.2f}, ranks have the same bits")


def check_types() -> None:
    averager = averager_of("auto", gw.Lossless())
    given = {
        "list": [tf.fill((2, 3), tf.cast(RANK, t)) for t in (tf.float16, tf.bfloat16, tf.float64)],
        "scalar": tf.cast(RANK, tf.float32),
        "none": None,
    }
    got = gw.tensorflow.average(given, averager)
    assert got["none"] is None
    for a, b in zip(tf.nest.flatten(got["list"]), given["list"]):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.all(a.numpy() == (WORLD - 1) / 2)
    assert float(got["scalar"]) == (WORLD - 1) / 2
    assert gw.tensorflow.average([None], averager) == [None]
    try:
        gw.tensorflow.average(tf.constant([1]), averager)
    except TypeError as error:
        assert "a gradient must hold floats, got int32" in str(error)
    else:
        raise AssertionError("integers were averaged")
    report("float16, bfloat16, float64, a scalar, None: types and shapes are kept")
    lossy = averager_of("auto", gw.QSGD(4))
    large = gw.tensorflow.average(tf.fill((5000,), tf.constant(6e4, tf.float16)), lossy)
    assert np.all(np.isfinite(large.numpy()))
    value = tf.constant(np.inf if RANK else 1.0, tf.float16)
    infinite = gw.tensorflow.average(tf.fill((5000,), value), lossy)
    assert not np.any(np.isfinite(infinite.numpy()))
    report("large float16 gradients stay finite, infinite ones do not")


def check_order() -> None:
    """Averages whose results are not used take place nevertheless, and all in order."""
    averager = averager_of("auto", gw.Lossless())

    @tf.function
    def several(x: Any) -> Any:
        for index in range(8):
            gw.tensorflow.average(x[: 100 * (index + 1)], averager, name=f"unused {index}")
        return gw.tensorflow.average(x, averager)

    big = tf.fill([5_000_000], float(RANK))
    for _ in range(3):
        assert np.all(several(big).numpy() == (WORLD - 1) / 2)
    report("nine averages in one tf.function, one of 20 MB: in order, none left out")


def check_damage() -> None:
    compressor = gw.Compressor(gw.QSGD(4))
    averager = gw.mpi.Averager(compressor)
    if RANK == 1:
        compress = compressor.compress
        compressor.compress = lambda *x: compress(*x)[::-1].copy()
    average = partial(gw.tensorflow.average, averager=averager)
    for run in (average, tf.function(average)):
        try:
            run(tf.ones(9))
        except (gw.CorruptFrameError, tf.errors.InvalidArgumentError) as error:
            assert "the frame that rank 1 sent" in str(error)
        else:
            raise AssertionError("damage was not noticed")
    report("a damaged frame is refused, its rank named")


def check_settings() -> None:
    try:
        averager_of("auto", gw.QSGD(4 + RANK))
    except ValueError as error:
        assert "different settings" in str(error) and "rank 1" in str(error)
    else:
        raise AssertionError("settings that differ were not noticed")
    report("settings that differ: ValueError on all ranks")


if __name__ == "__main__":
    for algorithm in ("allgather", "sharded"):
        for eager in (True, False):
            check_lossless(algorithm, eager)
        check_lossy(algorithm, gw.QSGD(4), None)
        check_lossy(algorithm, gw.TopK(0.1), gw.Residual())
    check_types()
    check_order()
    check_damage()
    check_settings()
