"""TensorFlow: averages gradients over all ranks of an averager, eagerly or in a ``tf.function``.

averager = gw.mpi.Averager(gw.Compressor(gw.QSGD(4)))

@tf.function
def step(images, labels):
    with tf.GradientTape() as tape:
        loss = loss_of(model(images), labels)
    tape = gw.tensorflow.DistributedGradientTape(tape, averager)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradwire._extras import needs

with needs("tensorflow"):
    import tensorflow as tf

if TYPE_CHECKING:
    from gradwire.mpi import Averager


class DistributedGradientTape:
    """A tape whose gradients are averages over all ranks; see :func:`average`.

    Args:
        tape: a ``tf.GradientTape`` that has recorded a computation.
        averager: use one for all steps: it holds what compression has left out so far.
        name: identifies these gradients among those of the averager.
    """

    def __init__(self, tape: tf.GradientTape, averager: Averager, name: str = "gradients") -> None:
        self._tape = tape
        self._averager = averager
        self._name = name

    def gradient(self, target: Any, sources: Any, **options: Any) -> Any:
        """Like ``tf.GradientTape.gradient``, but averaged over all ranks."""
        gradients = self._tape.gradient(target, sources, **options)
        return average(gradients, self._averager, self._name)


def average(gradients: Any, averager: Averager, name: str = "gradients") -> Any:
    """Averages gradients over all ranks.

    All gradients are sent together, as one float32 array. XLA (``jit_compile=True``) cannot compile
    this.

    Args:
        gradients: any nest of float tensors, ``tf.IndexedSlices`` (which become dense) and None,
            with the same structure and shapes on all ranks.
        averager: a :class:`gradwire.mpi.Averager`, or any object with the same ``average`` method.
        name: identifies these gradients among those of the averager.

    Returns:
        The averages, with the structure, shapes and dtypes of ``gradients``.

    Raises:
        TypeError: ``gradients`` do not hold floats.
        tf.errors.OpError: in a ``tf.function``, an error of the averager, which the message quotes.
    """
    leaves = [g for g in tf.nest.flatten(gradients) if g is not None]
    if not leaves:
        return gradients
    tensors = [tf.convert_to_tensor(g) for g in leaves]
    for tensor in tensors:
        if not tensor.dtype.is_floating:
            raise TypeError(f"a gradient must hold floats, got {tensor.dtype.name}")
    flat = tf.concat([tf.reshape(tf.cast(t, tf.float32), [-1]) for t in tensors], 0)
    averages = tf.numpy_function(lambda x: averager.average(x, name), [flat], tf.float32)
    pieces = tf.split(averages, [tf.size(t) for t in tensors])
    shaped = iter(_like(*both) for both in zip(pieces, tensors, leaves))
    results = [None if g is None else next(shaped) for g in tf.nest.flatten(gradients)]
    return tf.nest.pack_sequence_as(gradients, results)


def _like(piece: tf.Tensor, tensor: tf.Tensor, leaf: Any) -> tf.Tensor:
    reshaped = tf.reshape(piece, tf.shape(tensor))
    limit = min(float(tensor.dtype.max), float(tf.float32.max))
    clipped = tf.clip_by_value(reshaped, -limit, limit)  # finite averages stay finite
    narrow = tf.where(tf.math.is_finite(reshaped), clipped, reshaped)
    shaped = tf.cast(narrow, tensor.dtype)
    shaped.set_shape(leaf.shape)
    return shaped
