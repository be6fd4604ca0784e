"""JAX: averages gradients over all ranks of an averager, also in jitted functions.

averager = gw.mpi.Averager(gw.Compressor(gw.QSGD(4)))

@jax.jit
def step(parameters, images, labels):
    gradients = jax.grad(loss)(parameters, images, labels)
    gradients = gw.jax.average(gradients, averager)
    return jax.tree.map(lambda p, g: p - 0.1 * g, parameters, gradients)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradwire._extras import needs

with needs("jax"):
    import jax
    import jax.numpy as jnp
    from jax.experimental import io_callback
    from jax.flatten_util import ravel_pytree

if TYPE_CHECKING:
    from gradwire.mpi import Averager


def average(gradients: Any, averager: Averager, name: str = "gradients") -> Any:
    """Averages gradients over all ranks.

    All gradients are sent together, as one float32 array. Each call reaches the averager exactly
    once and in program order, because all ranks must make the same calls. This therefore works
    neither under ``vmap`` nor in a program that runs on several devices.

    Args:
        gradients: pytree of float arrays, with the same structure and shapes on all ranks.
        averager: a :class:`gradwire.mpi.Averager`, or any object with the same ``average`` method.
            Use one for all steps: it holds what compression has left out so far.
        name: identifies these gradients among those of the averager.

    Returns:
        The averages, with the structure, shapes and dtypes of ``gradients``.

    Raises:
        TypeError: ``gradients`` do not hold floats.
        JaxRuntimeError: an error of the averager, which the message quotes.
    """
    flat, restore = ravel_pytree(gradients)
    if not jnp.issubdtype(flat.dtype, jnp.floating):
        raise TypeError(f"a gradient must hold floats, got {flat.dtype}")
    averages = io_callback(
        lambda x: averager.average(np.asarray(x), name),
        jax.ShapeDtypeStruct(flat.shape, jnp.float32),
        flat.astype(jnp.float32),
        ordered=True,
    )
    limit = float(min(jnp.finfo(flat.dtype).max, jnp.finfo(jnp.float32).max))
    finite = jnp.clip(averages, -limit, limit)  # finite averages stay finite
    return restore(jnp.where(jnp.isfinite(averages), finite, averages).astype(flat.dtype))
