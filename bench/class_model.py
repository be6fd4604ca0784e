"""What arrays whose rows differ cost at best: blocks in classes, each with a code of its own."""

from __future__ import annotations

import numpy as np

BLOCK = 256
CLASSES = 16
ROUNDS = 12
UNSEEN = 0.02  # added to counts: no value is impossible in a class


def class_model_bytes(array: np.ndarray) -> float:
    """The fewest bytes that hard expectation maximization finds: each block at the entropy of the
    values in its class, and the labels at theirs; no code books. Elements after the last whole
    block cost as much as the others on average."""
    values, numbers = np.unique(array, return_inverse=True)
    blocks = numbers.reshape(-1)[: array.size // BLOCK * BLOCK].reshape(-1, BLOCK)
    count = len(blocks)
    middle = float(np.median(array))
    activity = np.abs(array[: blocks.size].astype(np.float64) - middle).reshape(-1, BLOCK).mean(1)
    labels = np.empty(count, np.int64)
    labels[np.argsort(activity)] = np.arange(count) * CLASSES // count
    fewest = np.inf
    for _ in range(ROUNDS):
        of_class = np.zeros((CLASSES, values.size))
        np.add.at(of_class, (np.repeat(labels, BLOCK), blocks.ravel()), 1)
        sizes = np.bincount(labels, minlength=CLASSES)
        bits = entropy_bits(of_class, of_class.sum(1, keepdims=True)) + entropy_bits(sizes, count)
        fewest = min(fewest, bits)
        smooth = of_class + UNSEEN
        costs = -np.log2(smooth / smooth.sum(1, keepdims=True))
        of_labels = -np.log2(np.maximum(sizes, 0.5) / count)
        found = np.stack([cost[blocks].sum(1) for cost in costs], 1) + of_labels
        if np.array_equal(found.argmin(1), labels):
            break
        labels = found.argmin(1)
    return fewest / 8 * array.size / blocks.size


def entropy_bits(counts: np.ndarray, all_of_them: np.ndarray | int) -> float:
    """Bits of all symbols at their entropy: `counts` of each, among `all_of_them`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nansum(np.where(counts > 0, counts * np.log2(all_of_them / counts), 0)))
