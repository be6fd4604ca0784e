"""The model of a step, on cases computed by hand; quantities with units."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gradwire.advice.step_model import (
    ALGORITHMS,
    BUCKET,
    FIRST_BUCKET,
    PAYLOAD,
    Coding,
    Setup,
    predict_all_reduce,
    predict_compressed,
)
from gradwire.advice.units import parse_count, parse_rate, parse_time

MBYTE = 8e6 / PAYLOAD  # bit/s of a link that carries 1e6 bytes of data per second
CODING = Coding(bits=0.8, compress=1e-6, decompress=2e-6)


def one_bucket(ranks: int, latency: float = 0.0, cpu_training: bool = False) -> Setup:
    """100,000 elements; 1e6 bytes per second; a backward pass of 0.1 s."""
    return Setup(100_000, ranks, MBYTE, latency, 0.1, cpu_training)


def test_buckets_are_those_of_ddp() -> None:
    assert one_bucket(2).buckets() == [100_000]
    setup = Setup(FIRST_BUCKET + 2 * BUCKET + 7, 2, 1e9, 0, 1.0)
    assert setup.buckets() == [FIRST_BUCKET, BUCKET, BUCKET, 7]
    assert list(setup.ready())[-1] == (1.0, 7)


def test_all_reduce_by_hand() -> None:
    # 2 ranks: two messages of 200,000 bytes. 4 ranks: six of 100,000.
    two, four = predict_all_reduce(one_bucket(2, 0.01)), predict_all_reduce(one_bucket(4, 0.01))
    assert (two.seconds, two.bytes_sent) == pytest.approx((0.1 + 2 * 0.21, 400_000))
    assert (four.seconds, four.bytes_sent) == pytest.approx((0.1 + 6 * 0.11, 600_000))
    half = predict_all_reduce(one_bucket(2), element_bytes=2)
    assert (half.seconds, half.bytes_sent) == pytest.approx((0.3, 200_000))


def test_allgather_by_hand() -> None:
    # A frame has 10,000 bytes. Compress 0.1 s; send 0.03 s and 0.01 s; decode 4 times 0.2 s.
    told = predict_compressed(one_bucket(4, 0.01), CODING, "allgather")
    assert (told.seconds, told.bytes_sent) == pytest.approx((0.1 + 0.1 + 0.04 + 0.8, 30_000))


def test_sharded_by_hand() -> None:
    # Each of two exchanges sends three pieces of 2,500 bytes. All shards of other ranks make one
    # whole gradient to decode, and so do all averages; one shard is compressed again.
    told = predict_compressed(one_bucket(4, 0.01), CODING, "sharded")
    decode = 0.2 + 0.025 + 0.2
    assert told.seconds == pytest.approx(0.1 + 0.1 + 2 * (0.01 + 0.0075) + decode)
    assert told.bytes_sent == pytest.approx(15_000)


def test_long_frames_need_a_second_message() -> None:
    setup = dataclasses.replace(one_bucket(2), parameters=FIRST_BUCKET, latency=1.0)
    with_latency = predict_compressed(setup, Coding(33.0, 0, 0), "allgather").seconds
    without = predict_compressed(
        dataclasses.replace(setup, latency=0), Coding(33.0, 0, 0), "allgather"
    )
    assert with_latency - without.seconds == pytest.approx(2.0)


def test_buckets_overlap_with_the_backward_pass() -> None:
    count = FIRST_BUCKET + BUCKET
    fast = Setup(count, 2, 1e15, 0, 1.0)
    first = FIRST_BUCKET / count
    # Nothing but compression takes time: the first bucket is done before the second is ready.
    coding = Coding(1.0, 0.1 / BUCKET, 0.0)
    assert predict_compressed(fast, coding, "allgather").seconds == pytest.approx(1.1)
    # Here the second bucket waits until the first has been compressed.
    slow = Coding(1.0, 30 / BUCKET, 0.0)
    wanted = first + slow.compress * count
    assert predict_compressed(fast, slow, "allgather").seconds == pytest.approx(wanted)


def test_training_on_the_cores_that_compress_takes_all_the_time_of_both() -> None:
    coding = Coding(1.0, 1e-8, 1e-8)
    setup = Setup(3 * BUCKET, 2, 1e15, 0, 1.0)
    shared = dataclasses.replace(setup, cpu_training=True)
    for algorithm, work in (("allgather", 1e-8 + 2e-8), ("sharded", 1e-8 + 2e-8 + 0.5e-8)):
        told = predict_compressed(shared, coding, algorithm).seconds
        assert told >= 1.0 + work * 3 * BUCKET - 1e-9
        assert told > predict_compressed(setup, coding, algorithm).seconds


@pytest.mark.parametrize("cpu_training", [False, True])
@pytest.mark.parametrize("parameters", [1000, 10**6, 350 * 10**6])
def test_more_bandwidth_never_makes_a_step_longer(parameters: int, cpu_training: bool) -> None:
    for ranks in (2, 3, 8, 64):
        for algorithm in (None, *ALGORITHMS):
            times = [
                seconds(Setup(parameters, ranks, link, 1e-4, 0.2, cpu_training), algorithm)
                for link in np.geomspace(1e6, 1e12, 40)
            ]
            assert all(later <= sooner for sooner, later in zip(times, times[1:]))
            assert times[-1] >= 0.2


@pytest.mark.parametrize("link", [1e7, 1e9, 1e11])
def test_more_ranks_never_make_a_step_shorter(link: float) -> None:
    for algorithm in (None, "allgather"):
        times = [seconds(Setup(10**8, r, link, 1e-4, 0.2), algorithm) for r in range(2, 70)]
        assert all(sooner <= later for sooner, later in zip(times, times[1:]))


def seconds(setup: Setup, algorithm: str | None) -> float:
    """Of a step with an algorithm; None for plain all-reduce."""
    if algorithm is None:
        return predict_all_reduce(setup).seconds
    return predict_compressed(setup, Coding(0.5, 1e-9, 1e-9), algorithm).seconds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": 0}, "parameters must be at least 1, got 0"),
        ({"ranks": 1}, "ranks must be at least 2, got 1"),
        ({"link": 0.0}, "link must be more than 0, got 0"),
        ({"latency": -1.0}, "latency must be at least 0, got -1"),
        ({"backward": float("nan")}, "backward must be finite"),
    ],
)
def test_setups_are_checked(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(one_bucket(2), **changes)


def test_units() -> None:
    assert [parse_rate(t) for t in ("1 Gbit", "100 Mbit/s", "2.5gbit", "500kbit/s")] == [
        *(1e9, 1e8, 2.5e9, 5e5)
    ]
    assert [parse_time(t) for t in ("0.2ms", "180 ms", "1s", "50us", "0s", ".5s")] == [
        *(0.0002, 0.18, 1.0, 5e-5, 0.0, 0.5)
    ]
    assert [parse_count(t) for t in ("350M", "1.5B", "12k", "7")] == [
        350_000_000,
        1_500_000_000,
        12_000,
        7,
    ]


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (
            parse_rate,
            "1GB/s",
            'such as "1Gbit" or "100 Mbit/s", got \'1GB/s\'; one byte has 8 bits',
        ),
        (parse_rate, "1000", "bits per second"),
        (parse_rate, "0Gbit", "more than 0"),
        (parse_rate, "fast", "got 'fast'"),
        (parse_rate, "-1Gbit", "got '-1Gbit'"),
        (parse_time, "180", "a time with its unit"),
        (parse_time, "1 hour", "s, ms or us"),
        (parse_time, "1e400s", "got '1e400s'"),
        (parse_count, "0", "at least 1"),
        (parse_count, "350 MB", "350M"),
        (parse_count, "", "got ''"),
        (parse_count, "9" * 400, "number of parameters"),
    ],
)
def test_wrong_units(parse, text: str, message: str) -> None:
    with pytest.raises(ValueError) as told:
        parse(text)
    assert message in str(told.value)
