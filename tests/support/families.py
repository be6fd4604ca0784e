"""Families of integers that users bring: generators with a seed, for tests and bench/families.py.

Independent families have a share of zeros and a kind of nonzero values, in some dtype. Their
bound is the order-0 entropy. Row families change from row to row; runs and slopes depend on their
neighbors.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Generator = np.random.Generator
Values = Callable[[Generator, int], np.ndarray]

ROW = 256  # elements


@dataclass(frozen=True)
class Family:
    """A kind of array.

    Args:
        name: unique; it also seeds the random numbers.
        kind: "independent", "rows" or "runs".
        make: makes elements from a generator and a count.
    """

    name: str
    kind: str
    make: Values

    def array(self, count: int, seed: int = 0) -> np.ndarray:
        """``count`` elements, the same ones for the same seed."""
        return self.make(np.random.default_rng([zlib.crc32(self.name.encode()), seed]), count)


def signs(rng: Generator, count: int) -> np.ndarray:
    """-1 and 1."""
    return 1 - 2 * rng.integers(0, 2, count)


def uniform(most: int) -> Values:
    """Integers from -most to most, without 0."""
    return lambda rng, count: signs(rng, count) * rng.integers(1, most + 1, count)


def laplace(scale: float) -> Values:
    """Rounded up in magnitude, so that none is 0."""
    return lambda rng, count: signs(rng, count) * np.ceil(scale * rng.exponential(size=count))


def student(degrees: int) -> Values:
    """Heavy tails: most values are small, few are very large."""

    def make(rng: Generator, count: int) -> np.ndarray:
        x = 5 * rng.standard_t(degrees, count)
        return np.copysign(np.ceil(np.abs(x)), x)

    return make


def zipf(rng: Generator, count: int) -> np.ndarray:
    """Ranks of words: many rare values."""
    return signs(rng, count) * np.minimum(rng.zipf(1.5, count), 10**6)


def far(distance: int) -> Values:
    """Five values, far from one another."""
    places = distance * np.array([-2, -1, 1, 2, 3], np.int64)
    return lambda rng, count: places[rng.choice(5, count, p=[0.1, 0.3, 0.4, 0.15, 0.05])]


def fitted(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values that do not fit the dtype are cut off at its ends; unsigned ones are magnitudes."""
    info = np.iinfo(dtype)
    if values.dtype.kind == "f":
        values = np.clip(values, -(2.0**62), 2.0**62).astype(np.int64)
    if info.min == 0:
        values = np.abs(values)
    return np.clip(values, max(info.min, -(2**63)), min(info.max, 2**63 - 1)).astype(dtype)


def sparse(zeros: float, values: Values, dtype: str) -> Values:
    """A share of zeros among values."""

    def make(rng: Generator, count: int) -> np.ndarray:
        out = np.zeros(count, dtype)
        places = np.flatnonzero(rng.random(count) >= zeros)
        out[places] = fitted(values(rng, places.size), dtype)
        return out

    return make


def some_rows(share: float, values: Values, dtype: str) -> Values:
    """Rows of which a share is not zero."""

    def make(rng: Generator, count: int) -> np.ndarray:
        rows = -(-count // ROW)
        out = np.zeros((rows, ROW), dtype)
        (used,) = np.nonzero(rng.random(rows) < share)
        out[used] = fitted(values(rng, used.size * ROW), dtype).reshape(-1, ROW)
        return out.reshape(-1)[:count]

    return make


def scaled_rows(scales: tuple[float, ...], dtype: str) -> Values:
    """Rows of a rounded Laplace distribution with scales of their own."""

    def make(rng: Generator, count: int) -> np.ndarray:
        rows = -(-count // ROW)
        x = rng.laplace(size=(rows, ROW)) * rng.choice(scales, (rows, 1))
        return fitted(np.rint(x).reshape(-1)[:count], dtype)

    return make


def runs(length: int, values: Values, dtype: str) -> Values:
    """Runs of equal values, of geometric lengths."""

    def make(rng: Generator, count: int) -> np.ndarray:
        lengths = rng.geometric(1 / length, 2 * count // length + 10)
        return np.repeat(fitted(values(rng, lengths.size), dtype), lengths)[:count]

    return make


def ascending(step: float, dtype: str) -> Values:
    """Sorted: sums of geometric steps."""

    def make(rng: Generator, count: int) -> np.ndarray:
        return fitted(np.cumsum(rng.geometric(1 / step, count)), dtype)

    return make


def walk(dtype: str) -> Values:
    """Slowly changing values."""

    def make(rng: Generator, count: int) -> np.ndarray:
        return np.cumsum(np.rint(rng.laplace(0, 2, count))).astype(dtype)

    return make


def outliers(number: int, value: int, dtype: str) -> Values:
    """Ternary, with some values far away."""

    def make(rng: Generator, count: int) -> np.ndarray:
        out = sparse(0.95, uniform(1), dtype)(rng, count)
        out[rng.integers(0, max(1, count), min(number, count))] = value
        return out

    return make


def times(factor: int, family: Values, dtype: str) -> Values:
    """A common factor."""
    return lambda rng, count: family(rng, count).astype(dtype) * np.array(factor, dtype)


KINDS: dict[str, Values] = {
    "ternary": uniform(1),
    "uniform": uniform(127),
    "Laplace 1": laplace(1),
    "Laplace 30": laplace(30),
    "Student 3": student(3),
    "Student 2": student(2),
    "Zipf": zipf,
}
WIDE_KINDS: dict[str, Values] = {
    "uniform 1000": uniform(1000),
    "Laplace 300": laplace(300),
    "Laplace 3000": laplace(3000),
    "five far values": far(5000),
}
ZEROS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.999999)


def independent() -> Iterator[Family]:
    """All shares of zeros and kinds as int8 and int16, a part of them in the other dtypes."""
    for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        kinds = KINDS if dtype.endswith("int8") else {**KINDS, **WIDE_KINDS}
        for zeros in ZEROS if dtype in ("int8", "int16") else (0.0, 0.98):
            for kind, values in kinds.items():
                name = f"{dtype}, {100 * zeros:g} % zeros, {kind}"
                yield Family(name, "independent", sparse(zeros, values, dtype))
    levels = sparse(0.7, laplace(1), "int8")
    for name, make in {
        "int32, levels times 1000": times(1000, levels, "int32"),
        "int64, levels shifted by 40 bits": times(2**40, levels, "int64"),
        "int64, values 2^60 apart": sparse(0.9, far(2**60), "int64"),
        "int16, ternary, one outlier": outliers(1, 3000, "int16"),
        "int64, ternary, 100 outliers": outliers(100, 2**50, "int64"),
    }.items():
        yield Family(name, "independent", make)


def dependent() -> Iterator[Family]:
    """Rows, runs and slopes."""
    for dtype in ("int8", "int16", "int32"):
        for name, make in {
            "1 % of rows, Laplace 30": some_rows(0.01, laplace(30), dtype),
            "20 % of rows, ternary": some_rows(0.2, uniform(1), dtype),
            "a scale for each row": scaled_rows((0.2, 1, 5, 25), dtype),
        }.items():
            yield Family(f"{dtype}, {name}", "rows", make)
        yield Family(f"{dtype}, runs of 64", "runs", runs(64, laplace(5), dtype))
        yield Family(f"{dtype}, runs of 4", "runs", runs(4, uniform(2), dtype))
    yield Family("int16, rows of wide scales", "rows", scaled_rows((1, 30, 1000), "int16"))
    yield Family("int64, sorted", "runs", ascending(100, "int64"))
    yield Family("uint32, sorted, dense", "runs", ascending(1.2, "uint32"))
    yield Family("int32, random walk", "runs", walk("int32"))
    for dtype in ("int8", "int64"):
        yield Family(f"{dtype}, constant", "runs", lambda rng, n, d=dtype: np.full(n, 3, d))
        yield Family(f"{dtype}, all zeros", "runs", lambda rng, n, d=dtype: np.zeros(n, d))


FAMILIES = [*independent(), *dependent()]
