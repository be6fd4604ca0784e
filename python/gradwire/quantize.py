"""A simple stochastic quantiser, so that float gradients can be tried on the codecs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BUCKET = 512


def stochastic_levels(
    gradient: npt.ArrayLike, levels: int, bucket_size: int = BUCKET, seed: int = 0
) -> npt.NDArray[np.int8]:
    """Levels of QSGD (Alistarh et al., NeurIPS 2017, section 3.1), without the scales.

    Args:
        gradient: floats of any shape.
        levels: 1 to 127 steps between 0 and the l2 norm of a bucket.
        bucket_size: elements that share a norm.
        seed: of the stochastic rounding.

    Returns:
        int8 in [-levels, levels], shape of ``gradient``. With the norm of x's bucket, the
        expectation of ``norm / levels * level`` is x.
    """
    if not 1 <= levels <= 127:
        raise ValueError(f"levels must be 1 to 127, got {levels}")
    x = np.asarray(gradient, np.float32)
    flat = x.reshape(-1)
    padded = np.zeros(-(-flat.size // bucket_size) * bucket_size, np.float32)
    padded[: flat.size] = flat
    buckets = padded.reshape(-1, bucket_size)
    if not np.isfinite(buckets).all():
        first = int(np.flatnonzero(~np.isfinite(flat))[0])
        raise ValueError(f"the gradient is not finite at element {first}: {flat[first]}")
    norms = np.sqrt(np.square(buckets).sum(1, keepdims=True))
    scaled = np.abs(buckets) / np.where(norms > 0, norms, 1) * levels
    level = np.floor(scaled)
    level += np.random.default_rng(seed).random(scaled.shape, np.float32) < scaled - level
    level = np.minimum(level, levels)
    return np.copysign(level, buckets).astype(np.int8).reshape(-1)[: flat.size].reshape(x.shape)
