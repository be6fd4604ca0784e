"""What the tuner chooses, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gradwire.exchange.tuner import COMPRESSED, PLAIN, Tuner


class Training:
    """Steps of two buckets, one after the other, of known seconds."""

    def __init__(self, seconds: dict[str, tuple[float, float]], others: float = 0.0) -> None:
        self.seconds = seconds
        self.others = others
        self.now = 0.0
        self.asked = 0
        self.begun: list[int] = []
        self.tuner = Tuner(self.slowest, lambda: self.now)

    def slowest(self, numbers: Sequence[float]) -> list[float]:
        self.asked += 1
        return [max(number, self.others) for number in numbers]

    def step(self) -> tuple[bool, bool]:
        self.tuner.begin_step()
        chosen = (self.tuner.compresses(0), self.tuner.compresses(1))
        for bucket, compressed in enumerate(chosen):
            self.tuner.begin(bucket)
            self.now += self.seconds[COMPRESSED if compressed else PLAIN][bucket]
            self.tuner.end(bucket)
        self.now += 0.5  # the rest of the step
        return chosen

    def steps(self, count: int) -> list[tuple[bool, bool]]:
        return [self.step() for _ in range(count)]


class Late:
    """A time of a device that lags behind: it is known once the next step begins."""

    def __init__(self, training: Training) -> None:
        self.training, self.known_after = training, len(training.begun)
        self.seconds = training.now

    def __float__(self) -> float:
        assert len(self.training.begun) > self.known_after
        return self.seconds


def test_times_of_devices_are_asked_for_after_the_step() -> None:
    training = Training({PLAIN: (2.0, 3.0), COMPRESSED: (0.1, 0.2)})
    training.tuner = Tuner(training.slowest, lambda: Late(training))
    for _ in range(20):
        training.begun.append(1)
        chosen = training.step()
    assert chosen == (True, True) and training.tuner.decisions == 1


def test_slow_network_compresses_all() -> None:
    training = Training({PLAIN: (2.0, 3.0), COMPRESSED: (0.1, 0.2)})
    assert training.steps(20)[-10:] == [(True, True)] * 10


def test_fast_network_compresses_nothing() -> None:
    training = Training({PLAIN: (0.1, 0.1), COMPRESSED: (0.2, 0.3)})
    assert training.steps(20)[-10:] == [(False, False)] * 10


def test_a_gain_that_may_be_noise_is_none() -> None:
    training = Training({PLAIN: (0.200, 0.300), COMPRESSED: (0.197, 0.293)})
    assert training.steps(20)[-5:] == [(False, False)] * 5


def test_buckets_are_chosen_one_by_one() -> None:
    training = Training({PLAIN: (0.1, 0.9), COMPRESSED: (0.2, 0.3)})
    assert training.steps(20)[-5:] == [(False, True)] * 5
    assert training.asked == 2  # for the buckets, and whether their mix is worth it


def test_a_mix_that_does_not_pay_is_dropped() -> None:
    training = Training({PLAIN: (0.1, 0.9), COMPRESSED: (1.0, 0.3)})
    while training.asked < 1:
        training.step()
    training.seconds = {PLAIN: (0.5, 0.9), COMPRESSED: (0.2, 0.95)}
    assert training.steps(20)[-5:] == [(False, False)] * 5


def test_steps_decide_where_no_bucket_gains_much() -> None:
    training = Training({PLAIN: (0.5, 0.5), COMPRESSED: (0.46, 0.46)})
    assert training.steps(20)[-5:] == [(True, True)] * 5


def test_all_are_compressed_where_a_mix_is_no_better() -> None:
    training = Training({PLAIN: (0.125, 0.875), COMPRESSED: (0.125, 0.25)})
    assert training.steps(20)[-5:] == [(True, True)] * 5


def test_the_slowest_rank_decides() -> None:
    training = Training({PLAIN: (0.1, 0.1), COMPRESSED: (0.2, 0.3)}, others=5.0)
    assert training.steps(20)[-5:] == [(False, False)] * 5
    assert training.asked == 1


def test_a_trial_of_short_steps_takes_more_of_them() -> None:
    training = Training({PLAIN: (0.01, 0.01), COMPRESSED: (0.005, 0.005)})
    quiet, noise = training.seconds, {PLAIN: (0.01, 0.01), COMPRESSED: (0.012, 0.012)}
    for step in range(8):  # two to warm up, three of each kind
        training.seconds = noise if step >= 4 else quiet
        training.step()
    training.seconds = quiet
    assert training.steps(40)[-5:] == [(True, True)] * 5
    assert training.asked == 4  # after 3, 11, 14 and 17 steps of each kind


@pytest.mark.parametrize(
    ("varies", "compressed", "least", "most"),
    [
        (0.25, 0.5, 95, 100),
        (0.45, 0.75, 90, 100),
        (0.25, 1, 0, 10),
        (0.45, 1, 0, 10),
        (0.25, 1.1, 0, 3),
    ],
)
def test_noise_is_no_gain(varies: float, compressed: float, least: int, most: int) -> None:
    """Steps that vary; `compressed` is their mean time relative to plain ones."""
    chosen = 0
    for seed in range(100):
        noise = np.random.default_rng(seed)
        training = Training({PLAIN: (0.0, 0.0), COMPRESSED: (0.0, 0.0)})
        for _ in range(120):
            plain, other = noise.uniform(1 - varies, 1 + varies, 2)
            training.seconds = {
                PLAIN: (0.1 * plain, 0.3 * plain),
                COMPRESSED: (0.1 * compressed * other, 0.3 * compressed * other),
            }
            last = training.step()
        chosen += any(last)
    assert least <= chosen <= most


def test_trials_of_short_steps_are_as_rare() -> None:
    training = Training({PLAIN: (0.001, 0.001), COMPRESSED: (0.01, 0.01)})
    chosen = training.steps(40_000)
    slow = sum(a for a, _ in chosen) * (0.02 - 0.002)
    assert 0 < slow < 0.01 * 40_000 * 0.002 + 30 * 0.02


def test_it_looks_again_now_and_then_but_rarely() -> None:
    training = Training({PLAIN: (2.0, 3.0), COMPRESSED: (0.1, 0.2)})
    chosen = training.steps(12_000)
    plain = sum(not a for a, _ in chosen)
    assert 3 < plain < 12_000 * 0.01 * 0.3 / 5 * 2 + 3
    training.seconds = {PLAIN: (0.01, 0.01), COMPRESSED: (0.1, 0.2)}
    assert training.steps(12_000)[-100:] == [(False, False)] * 100


def test_a_restart_measures_anew() -> None:
    training = Training({PLAIN: (2.0, 3.0), COMPRESSED: (0.1, 0.2)})
    training.steps(20)
    training.seconds = {PLAIN: (0.01, 0.01), COMPRESSED: (0.1, 0.2)}
    training.tuner.restart()
    assert training.steps(20)[-5:] == [(False, False)] * 5
