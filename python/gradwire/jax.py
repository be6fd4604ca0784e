"""JAX: averages of gradients over all ranks of an averager, in jitted functions too.

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
    """Averages of gradients over all ranks.

    They travel together, as one array of float32. Each call goes to the averager once, in the order
    of the program, for all ranks must call it alike; so it cannot be under ``vmap``, nor in a
    program that runs on several devices. Errors of the averager come as a JaxRuntimeError that
    quotes them.

    Args:
        gradients: pytree of floats; alike on all ranks.
        averager: a :class:`gradwire.mpi.Averager`, or any object with such an ``average``; one for
            all steps: it holds what compression has left out so far.
        name: of these gradients; others of the same averager need another one.

    Returns:
        The averages: as ``gradients``, with their types and shapes.
    """
    flat, restore = ravel_pytree(gradients)
    if not jnp.issubdtype(flat.dtype, jnp.floating):
        raise TypeError(f"a gradient holds floats, got {flat.dtype}")
    averages = io_callback(
        lambda x: averager.average(np.asarray(x), name),
        jax.ShapeDtypeStruct(flat.shape, jnp.float32),
        flat.astype(jnp.float32),
        ordered=True,
    )
    limit = float(min(jnp.finfo(flat.dtype).max, jnp.finfo(jnp.float32).max))
    finite = jnp.clip(averages, -limit, limit)  # what is finite stays finite
    return restore(jnp.where(jnp.isfinite(averages), finite, averages).astype(flat.dtype))
