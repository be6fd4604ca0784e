"""The lower bound on the size of lossless codes of independent symbols."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwire._arrays import as_integers


def shannon_entropy(q: Any) -> float:
    """Order-0 entropy of the histogram, in bits per element (Shannon, 1948); 0.0 if ``q`` is empty.

    Args:
        q: integers as for :meth:`gradwire.Codec.compress`, any shape.

    Raises:
        TypeError: ``q`` does not hold integers.

    >>> shannon_entropy([0, 0, 1, 2])
    1.5
    """
    array, _ = as_integers(q)
    if array.size == 0:
        return 0.0
    if array.dtype.itemsize == 1:
        counts = np.bincount(array.reshape(-1).view(np.uint8))
        counts = counts[counts > 0]
    else:
        counts = np.unique(array, return_counts=True)[1]
    p = counts / array.size
    return float(-(p * np.log2(p)).sum()) + 0.0
