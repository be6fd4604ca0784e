"""More families of integers: kinds that the codec `entropy` once coded badly, and their neighbors.

In the style of families.py. Distances, borders and strides are chosen so that decisions of the
fitting code meet: samples with a stride, a value that is frequent but far away, more different
values than there are symbols, and runs that are short.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from families import (
    Family,
    Generator,
    Values,
    far,
    fitted,
    laplace,
    sparse,
    uniform,
    walk,
)

DAY = 86_400_000  # milliseconds


def few_values(number: int, dtype: str) -> Values:
    """Equally frequent values, one next to the other."""
    return lambda rng, count: rng.integers(0, number, count).astype(dtype)


def alphabet(number: int, dtype: str, power: float = 0) -> Values:
    """Values anywhere in the type; the k-th is k^-power times as frequent as the first."""

    def make(rng: Generator, count: int) -> np.ndarray:
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, number, dtype=dtype)
        shares = np.arange(1, number + 1) ** -float(power)
        return values[rng.choice(number, count, p=shares / shares.sum())]

    return make


def shuffled_ranks(number: int, dtype: str) -> Values:
    """Numbers of words: Zipf, but the number says nothing of how frequent a word is."""
    return lambda rng, count: rng.permutation(number)[(rng.zipf(1.2, count) - 1) % number].astype(
        dtype
    )


def humps(centers: tuple[int, ...], deviation: float, dtype: str) -> Values:
    """Normal distributions around some centers."""

    def make(rng: Generator, count: int) -> np.ndarray:
        x = rng.choice(centers, count) + rng.normal(0, deviation, count)
        return fitted(np.rint(x), dtype)

    return make


def some(share: float, value: int, family: Values) -> Values:
    """A share of the elements has one value, such as the mark of a missing one."""

    def make(rng: Generator, count: int) -> np.ndarray:
        out = family(rng, count)
        out[rng.random(count) < share] = value
        return out

    return make


def one_off(family: Values) -> Values:
    """One element is a little larger than it would be."""

    def make(rng: Generator, count: int) -> np.ndarray:
        out = family(rng, count)
        out[count // 3 : count // 3 + 1] += 1
        return out

    return make


def repeated(share: float, family: Values) -> Values:
    """A share of the elements equals the one before."""

    def make(rng: Generator, count: int) -> np.ndarray:
        new = rng.random(count) >= share
        new[:1] = True
        return family(rng, count)[np.cumsum(new) - 1]

    return make


def exact_runs(length: int, family: Values) -> Values:
    """Runs that are all equally long."""
    return lambda rng, count: np.repeat(family(rng, count // length + 1), length)[:count]


def told_by_length(values: int, dtype: str) -> Values:
    """Runs whose length tells their value."""

    def make(rng: Generator, count: int) -> np.ndarray:
        # At least twice as many elements as needed, on average.
        chosen = rng.integers(0, values, 4 * count // values + 100)
        return np.resize(np.repeat(chosen, chosen + 1), count).astype(dtype)

    return make


def turns(length: int, scales: tuple[float, ...], dtype: str) -> Values:
    """Rows of a rounded Laplace distribution, whose scales take turns."""

    def make(rng: Generator, count: int) -> np.ndarray:
        turn = np.arange(count) // length % len(scales)
        return fitted(np.rint(rng.laplace(size=count) * np.array(scales)[turn]), dtype)

    return make


def free_rows(length: int, share: float, most: float, dtype: str) -> Values:
    """Rows of which a share is not zero, with scales from 0.05 to ``most``, evenly in logarithm."""

    def make(rng: Generator, count: int) -> np.ndarray:
        rows = count // length + 1
        scales = np.exp(rng.uniform(np.log(0.05), np.log(most), (rows, 1)))
        x = rng.laplace(size=(rows, length)) * scales * (rng.random((rows, 1)) < share)
        return fitted(np.rint(x).reshape(-1)[:count], dtype)

    return make


def halves(first: Values, second: Values) -> Values:
    """Two families, one after the other."""
    return lambda rng, count: np.concatenate(
        [first(rng, count // 2), second(rng, count - count // 2)]
    )


def bursts(distance: int, length: int, values: Values, dtype: str) -> Values:
    """Short dense parts among zeros, about one in every ``distance`` elements."""

    def make(rng: Generator, count: int) -> np.ndarray:
        out = np.zeros(count, dtype)
        starts = rng.integers(0, max(1, count), max(1, count // distance))
        places = (starts[:, None] + np.arange(length)).reshape(-1)
        places = np.unique(places[places < count])
        out[places] = fitted(values(rng, places.size), dtype)
        return out

    return make


def a_few(number: int, dtype: str) -> Values:
    """As many elements that are not zero in long arrays as in short ones."""

    def make(rng: Generator, count: int) -> np.ndarray:
        out = np.zeros(count, dtype)
        used = min(number, count)
        out[rng.integers(0, max(1, count), used)] = rng.integers(1, 100, used)
        return out

    return make


def high_halves(scale: float) -> Values:
    """The bits of bfloat16 weights, as int16."""

    def make(rng: Generator, count: int) -> np.ndarray:
        bits = (scale * rng.standard_normal(count)).astype(np.float32).view(np.uint32)
        return (bits >> 16).astype(np.uint16).view(np.int16)

    return make


def prices(rng: Generator, count: int) -> np.ndarray:
    """The bits of float64 numbers with two decimals."""
    return np.round(rng.lognormal(3, 0.5, count), 2).view(np.int64)


def times_of_day(rng: Generator, count: int) -> np.ndarray:
    """A clock that ticks each second, and jumps now and then; milliseconds."""
    steps = np.where(rng.random(count) < 0.001, rng.integers(0, DAY, count), 1000)
    return np.cumsum(steps) + 20_000 * DAY


def scales_of_layers(dtype: str, most: float) -> Values:
    """Eight parts, from all but zero to wide."""
    scales = np.exp(np.linspace(np.log(0.02), np.log(most), 8))[[3, 0, 6, 2, 7, 1, 5, 4]]

    def make(rng: Generator, count: int) -> np.ndarray:
        part = np.arange(count) * 8 // max(1, count)
        return fitted(np.rint(rng.laplace(size=count) * scales[part]), dtype)

    return make


def rounded_laplace(scale: float, dtype: str) -> Values:
    """With zeros, unlike laplace()."""
    return lambda rng, count: fitted(np.rint(rng.laplace(0, scale, count)), dtype)


def regions(length: int, share: float, scales: tuple[float, ...], dtype: str) -> Values:
    """A share of the elements is not zero; their scale depends on the region that they are in."""

    def make(rng: Generator, count: int) -> np.ndarray:
        out = turns(length, scales, dtype)(rng, count)
        out[rng.random(count) >= share] = 0
        return out

    return make


def independent() -> Iterator[Family]:
    """Elements that do not depend on their neighbors."""
    wide = rounded_laplace(1000, "int64")
    for name, make in {
        "uint8, 6 equal values": few_values(6, "uint8"),
        "int8, 7 equal values": few_values(7, "int8"),
        "int16, 11 equal values": few_values(11, "int16"),
        "int16, 20 far values": alphabet(20, "int16"),
        "int16, 300 far values": alphabet(300, "int16"),
        "int64, 300 far values": alphabet(300, "int64"),
        "int32, 1000 far values, Zipf": alphabet(1000, "int32", 1.2),
        "uint16, numbers of words": shuffled_ranks(50_257, "uint16"),
        "int64, prices as float64": prices,
        "int16, bfloat16 weights": high_halves(0.02),
        "int32, two humps": humps((-(10**6), 10**6), 100, "int32"),
        "int32, five humps": humps((-(10**8), -(10**4), 0, 777_777, 10**9), 50, "int32"),
        "int16, humps at 0 and 300": humps((0, 300), 3, "int16"),
        "int32, 5 % zeros, a hump far away": some(0.05, 0, humps((100_000,), 316, "int32")),
        "int64, 2 % the smallest number": some(0.02, -(2**63), wide),
        "int64, 20 % the smallest number": some(0.2, -(2**63), wide),
        "int32, 5 % the largest number": some(0.05, 2**31 - 1, rounded_laplace(1000, "int32")),
        "int32, times 1000, but one": one_off(
            lambda rng, n: rounded_laplace(300, "int32")(rng, n) * np.int32(1000)
        ),
        "int64, 70 % zeros, values 2^59 apart": sparse(0.7, far(2**59), "int64"),
        "int8, 30 values that are not 0": a_few(30, "int8"),
        "int16, 10 values that are not 0": a_few(10, "int16"),
    }.items():
        yield Family(name, "independent", make)


def dependent() -> Iterator[Family]:
    """Rows, parts, runs and slopes."""
    for name, make in {
        "int8, every 8th row of 1024 is wide": turns(1024, (25, *[0.3] * 7), "int8"),
        "int8, every 2nd row of 1024 is wide": turns(1024, (0.3, 25), "int8"),
        "int32, every 2nd row of 4096 is wide": turns(4096, (3000, 1), "int32"),
        "int8, scales of rows of 1000": turns(1000, (0.1, 1, 10, 3, 0.01, 30, 0.5, 5), "int8"),
        "int16, 5 % of rows, any scale": free_rows(256, 0.05, 2000, "int16"),
        "int8, 5 % of rows of 64": free_rows(64, 0.05, 30, "int8"),
        "int16, rows of 100, any scale": free_rows(100, 1, 2000, "int16"),
        "int32, 2 % of all, in regions": regions(20_000, 0.02, (2, 5000, 40), "int32"),
        "int8, eight layers": scales_of_layers("int8", 30),
        "int64, eight layers": scales_of_layers("int64", 1e6),
    }.items():
        yield Family(name, "rows", make)
    noise = alphabet(100_000, "int32")
    for name, make in {
        "int16, pairs": exact_runs(2, alphabet(20_000, "int16")),
        "int32, 30 % repeat the one before": repeated(0.3, noise),
        "int16, bfloat16 weights, 30 % repeated": repeated(0.3, high_halves(0.02)),
        "int8, the length tells the value": told_by_length(30, "int8"),
        "int32, walk, 1 % missing": some(0.01, -(10**6), walk("int32")),
        "int32, walk, 0.1 % far away": some(0.001, 2**30, walk("int32")),
        "int8, runs of 30, in regions": exact_runs(30, turns(1000, (2, 40), "int8")),
        "int8, bursts": bursts(3000, 40, uniform(3), "int8"),
        "int8, runs, then Laplace": halves(
            exact_runs(30, few_values(10, "int8")), sparse(0.05, laplace(10), "int8")
        ),
        "int64, a clock": times_of_day,
    }.items():
        yield Family(name, "runs", make)


HELD_OUT = [*independent(), *dependent()]
