"""Predicts how long a data-parallel step takes, with and without compression.

``docs/advice.md`` has the formulas. They extend the performance model of S. Agarwal, H. Wang,
S. Venkataraman and D. Papailiopoulos, "On the Utility of Gradient Compression in Distributed
Training Systems", MLSys 2022, by compression that runs while the backward pass goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradwire._checks import check_choice, check_integer, check_number

FLOAT_BYTES = 4
FIRST_BUCKET = 2**20 // FLOAT_BYTES
"""Elements of DDP's first bucket, of 1 MiB."""
BUCKET = 25 * 2**20 // FLOAT_BYTES
"""Elements of DDP's other buckets, of 25 MiB (``bucket_cap_mb``)."""
PAYLOAD = 1448 / 1538
"""Share of a link that data get: of 1538 bytes for one Ethernet frame, 1448 are TCP's data."""
FIRST_MESSAGE = 2**20
"""Bytes of a frame that travel in the first message; the rest follows when it has arrived."""
ALGORITHMS = ("allgather", "sharded")


@dataclass(frozen=True)
class Setup:
    """One model, its backward pass, and the links between ranks.

    Args:
        parameters: number of elements of the gradient, at least 1.
        ranks: number of processes that train together, at least 2.
        link: bits per second of the link of each rank, in each direction.
        latency: seconds that a message of no bytes takes from one rank to another.
        backward: seconds of the backward pass alone.
        cpu_training: whether the backward pass runs on the cores that compress.

    Raises:
        TypeError, ValueError: an argument is not such a number.
    """

    parameters: int
    ranks: int
    link: float
    latency: float
    backward: float
    cpu_training: bool = False

    def __post_init__(self) -> None:
        check_integer("parameters", self.parameters, 1)
        check_integer("ranks", self.ranks, 2)
        for name in ("link", "latency", "backward"):
            value = getattr(self, name)
            check_number(name, value)
            if value < 0 or (value == 0 and name == "link"):
                least = "more than 0" if name == "link" else "at least 0"
                raise ValueError(f"{name} must be {least}, got {value}")

    def buckets(self) -> list[int]:
        """Elements of each bucket of DDP, in the order in which they are sent."""
        sizes = [min(FIRST_BUCKET, self.parameters)]
        left = self.parameters - sizes[0]
        full, rest = divmod(left, BUCKET)
        return sizes + [BUCKET] * full + [rest] * (rest > 0)

    def ready(self) -> Iterator[tuple[float, int]]:
        """When each bucket is ready, in seconds from the start, and its elements."""
        done = 0
        for size in self.buckets():
            done += size
            yield self.backward * done / self.parameters, size

    def seconds_on_link(self, size: float) -> float:
        """The time for ``size`` bytes, without latency."""
        return 8 * size / (self.link * PAYLOAD)


@dataclass(frozen=True)
class Coding:
    """Size of frames and speed of one compressor, per element of the gradient.

    Args:
        bits: of a frame.
        compress: seconds.
        decompress: seconds, for each frame that is decoded and added up.
    """

    bits: float
    compress: float
    decompress: float


@dataclass(frozen=True)
class Prediction:
    """Seconds from the start of the backward pass until all averages have arrived, and bytes that
    each rank sends."""

    seconds: float
    bytes_sent: float


def predict_all_reduce(setup: Setup, element_bytes: int = FLOAT_BYTES) -> Prediction:
    """A step whose buckets are averaged by ring all-reduce.

    Args:
        setup: what to predict for.
        element_bytes: 4 for float32, 2 for bfloat16.

    >>> setup = Setup(parameters=10**6, ranks=2, link=32e6 / PAYLOAD, latency=0, backward=0.1)
    >>> round(predict_all_reduce(setup).seconds, 3)
    1.026
    """
    steps = 2 * (setup.ranks - 1)
    end = sent = 0.0
    for ready, size in setup.ready():
        piece = element_bytes * size / setup.ranks
        end = max(end, ready) + steps * (setup.latency + setup.seconds_on_link(piece))
        sent += steps * piece
    return Prediction(end, sent)


def predict_compressed(setup: Setup, coding: Coding, algorithm: str) -> Prediction:
    """A step whose buckets are compressed and exchanged by gradwire.

    One thread compresses bucket after bucket; another one exchanges frames and decodes them.

    Args:
        setup: what to predict for.
        coding: of the compressor.
        algorithm: "allgather" or "sharded".

    Raises:
        ValueError: ``algorithm`` is unknown.
    """
    check_choice("algorithm", algorithm, ALGORITHMS)
    predict = _allgather if algorithm == "allgather" else _sharded
    compressed = end = sent = work = 0.0
    for ready, size in setup.ready():
        compress = coding.compress * size
        travel, decode, size_sent = predict(setup, coding, size)
        if setup.cpu_training:
            work += compress + decode
            ready += compressed  # the backward pass had to wait for earlier compressions
            compressed += compress
            made = ready + compress
        else:
            compressed = made = max(compressed, ready) + compress
        end = max(end, made) + travel + decode
        sent += size_sent
    return Prediction(max(end, setup.backward + work), sent)


def _allgather(setup: Setup, coding: Coding, size: int) -> tuple[float, float, float]:
    """Seconds to exchange, seconds to decode, and bytes to send of one bucket."""
    others = setup.ranks - 1
    frame = coding.bits / 8 * size
    travel = _messages(frame) * setup.latency + setup.seconds_on_link(others * frame)
    return travel, setup.ranks * coding.decompress * size, others * frame


def _sharded(setup: Setup, coding: Coding, size: int) -> tuple[float, float, float]:
    """As :func:`_allgather`. The average is compressed again, each shard by one rank."""
    frame = coding.bits / 8 * size / setup.ranks
    others = (setup.ranks - 1) * frame
    travel = 2 * (_messages(frame) * setup.latency + setup.seconds_on_link(others))
    decode = 2 * coding.decompress * size + coding.compress * size / setup.ranks
    return travel, decode, 2 * others


def _messages(frame: float) -> int:
    """How many messages follow each other until a frame has arrived."""
    return 1 if frame <= FIRST_MESSAGE else 2
