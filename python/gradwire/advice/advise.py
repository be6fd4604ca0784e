"""Ranks ways to send gradients by the predicted time of a step, and advises one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradwire._checks import check_choice, check_integer
from gradwire._floats import Float32Array, as_floats, to_float32
from gradwire.advice.calibration import Speed, calibrate
from gradwire.advice.settings import BF16, OPTIMIZERS, PLAIN, SETTINGS, Setting
from gradwire.advice.step_model import (
    ALGORITHMS,
    Coding,
    Prediction,
    Setup,
    predict_all_reduce,
    predict_compressed,
)
from gradwire.advice.units import parse_count, parse_rate, parse_time
from gradwire.runtime import build_info

WORTH_IT = 0.95
"""More than plain float32 is advised only if it takes less than this share of the time; gradwire
only if it takes less than this share of the time with bfloat16."""


@dataclass(frozen=True)
class Choice:
    """One way to send gradients, and what is predicted for it.

    Attributes:
        setting: its name.
        algorithm: the faster one of gradwire's algorithms; "ring" for a plain all-reduce.
        ms_per_step: milliseconds from the start of the backward pass until all averages have
            arrived. The forward pass and the optimizer take the same time with all settings.
        mb_per_step: megabytes (1e6 bytes) that a rank sends in a step.
        times_plain: how many times faster than plain float32.
        times_bf16: how many times faster than PyTorch's bf16 hook.
        accuracy_cost: by how much it raised the loss in docs/benchmarks.md, "none" or
            "not measured".
        is_advisable: whether README names it for the optimizer. The bf16 hook counts as advisable,
            because it is common practice.
    """

    setting: str
    algorithm: str
    ms_per_step: float
    mb_per_step: float
    times_plain: float
    times_bf16: float
    accuracy_cost: str
    is_advisable: bool


@dataclass(frozen=True)
class Advice:
    """What :func:`advise` returns.

    Attributes:
        setup: what was asked.
        optimizer: "adamw" or "sgd".
        threads: that compress.
        compress: whether gradwire is advised.
        advised: the setting that is advised.
        reason: why, in a sentence.
        lines: to paste into a training script after the model was wrapped in DDP; none if gradients
            are to be sent as they are.
        choices: all settings, the fastest first.
        frames_are_a_guess: whether sizes of frames are those of random numbers, for want of a
            gradient.
        speeds: measured on this machine, by setting.
    """

    setup: Setup
    optimizer: str
    threads: int
    compress: bool
    advised: str
    reason: str
    lines: tuple[str, ...]
    choices: tuple[Choice, ...]
    frames_are_a_guess: bool
    speeds: Mapping[str, Speed]


def advise(
    gradient: Any = None,
    *,
    parameters: int | str | None = None,
    link: float | str,
    ranks: int,
    backward: float | str,
    latency: float | str = 0.0,
    optimizer: str = "adamw",
    threads: int | None = None,
    cpu_training: bool = False,
    refresh: bool = False,
) -> Advice:
    """Whether and how to compress the gradients of a model under DDP, by a model of the step.

    The speed of this machine is measured in a few seconds and kept in a file (see
    :func:`gradwire.advice.calibration.cache_file`). docs/advice.md has the formulas of the model.

    Args:
        gradient: a saved gradient of the model, or a part of it: an array or tensor of floats. Its
            frames have other sizes than those of random numbers, which are used without it.
        parameters: number of parameters, or text such as "350M"; None for the elements of
            ``gradient``.
        link: speed of the link of each rank in bits per second, or text such as "1Gbit".
        ranks: number of processes that train together, each with a link of its own.
        backward: time of the backward pass in seconds, or text such as "180ms".
        latency: time of an empty message from one rank to another (half of what ping shows) in
            seconds, or text such as "0.2ms".
        optimizer: "adamw" or "sgd".
        threads: for compression in each rank; None for the default number.
        cpu_training: whether the backward pass runs on the cores that compress.
        refresh: whether to measure this machine again.

    Raises:
        TypeError, ValueError: an argument is wrong, or neither ``gradient`` nor ``parameters`` was
            passed, or ``gradient`` is empty or not finite.
    """
    check_choice("optimizer", optimizer, OPTIMIZERS)
    threads = build_info()["threads"] if threads is None else threads
    check_integer("threads", threads, 1)
    sample = None if gradient is None else flat_gradient(gradient)
    if parameters is None:
        if sample is None:
            raise ValueError("pass a gradient, or the number of parameters, such as '350M'")
        parameters = sample.size
    setup = Setup(
        parse_count(parameters) if isinstance(parameters, str) else parameters,
        ranks,
        parse_rate(link) if isinstance(link, str) else link,
        parse_time(latency) if isinstance(latency, str) else latency,
        parse_time(backward) if isinstance(backward, str) else backward,
        cpu_training,
    )
    return rank_settings(
        setup, optimizer, threads, calibrate(sample, threads, refresh), sample is None
    )


def rank_settings(
    setup: Setup,
    optimizer: str,
    threads: int,
    speeds: Mapping[str, Speed],
    frames_are_a_guess: bool,
) -> Advice:
    """The advice for one setup, from speeds that are known; see :func:`advise`."""
    predicted = {s.name: _predict(setup, speeds.get(s.name), s.name) for s in SETTINGS}
    plain, bf16 = predicted[PLAIN][0].seconds, predicted[BF16][0].seconds
    choices = [
        Choice(
            s.name,
            algorithm,
            1e3 * step.seconds,
            step.bytes_sent / 1e6,
            plain / step.seconds,
            bf16 / step.seconds,
            s.cost[optimizer],
            optimizer in s.advised,
        )
        for s in SETTINGS
        for step, algorithm in [predicted[s.name]]
    ]
    choices.sort(key=lambda choice: choice.ms_per_step)
    advised, reason = _choose(choices, setup)
    setting = next(s for s in SETTINGS if s.name == advised.setting)
    return Advice(
        setup,
        optimizer,
        threads,
        setting.make is not None,
        setting.name,
        reason,
        _lines(setting, advised.algorithm, threads, setup.cpu_training),
        tuple(choices),
        frames_are_a_guess,
        dict(speeds),
    )


def flat_gradient(gradient: Any) -> Float32Array:
    """A gradient as flat float32 array.

    Raises:
        TypeError, ValueError: it holds no floats, is empty or is not finite.
    """
    flat = to_float32(*as_floats(gradient))
    if flat.size == 0:
        raise ValueError("the gradient is empty; pass one with at least one element")
    if not np.isfinite(flat).all():
        raise ValueError("the gradient has NaN or infinity; pass one that is finite")
    return flat


def _predict(setup: Setup, speed: Speed | None, name: str) -> tuple[Prediction, str]:
    """What is predicted for a setting, and the algorithm with which it is fastest."""
    if speed is None:
        return predict_all_reduce(setup, 2 if name == BF16 else 4), "ring"
    coding = Coding(speed.bits_per_element, *speed.seconds_per_element())
    both = [(predict_compressed(setup, coding, name), name) for name in ALGORITHMS]
    return min(both, key=lambda pair: pair[0].seconds)


def _choose(choices: Sequence[Choice], setup: Setup) -> tuple[Choice, str]:
    """The choice to advise, and the reason. Simpler ones win unless others are clearly faster."""
    by_name = {choice.setting: choice for choice in choices}
    plain, bf16 = by_name[PLAIN], by_name[BF16]
    others = [c for c in choices if c.is_advisable and c.setting not in (PLAIN, BF16)]
    best = others[0]
    waiting = plain.ms_per_step - 1e3 * setup.backward
    if min(best.ms_per_step, bf16.ms_per_step) >= WORTH_IT * plain.ms_per_step:
        reason = (
            f"Do not compress: plain float32 takes {waiting:.1f} ms of {plain.ms_per_step:.1f} ms "
            f"beyond the backward pass, and no setting that suits your optimizer is at least "
            f"{1 - WORTH_IT:.0%} faster."
        )
        return plain, reason
    if best.ms_per_step >= WORTH_IT * bf16.ms_per_step:
        reason = (
            f"Do not compress with gradwire: PyTorch's bf16 hook is {bf16.times_plain:.2f} times "
            f"as fast as plain float32, and no setting of gradwire that suits your optimizer is "
            f"at least {1 - WORTH_IT:.0%} faster than that."
        )
        return bf16, reason
    reason = (
        f"Compress with {best.setting}: {best.times_plain:.2f} times as fast as plain float32, "
        f"{best.times_bf16:.2f} times as fast as the bf16 hook."
    )
    return best, reason


def _lines(setting: Setting, algorithm: str, threads: int, cpu_training: bool) -> tuple[str, ...]:
    if setting.name == PLAIN:
        return ()
    if setting.name == BF16:
        hooks = "torch.distributed.algorithms.ddp_comm_hooks.default_hooks"
        hook = "bf16_compress_hook"
        if cpu_training:  # DDP knows this hook by its name, and refuses it where NCCL is missing
            hook = f"lambda state, bucket: {hook}(state, bucket)"
        return (
            f"from {hooks} import bf16_compress_hook",
            f"model.register_comm_hook(None, {hook})",
        )
    pipeline, _, memory = setting.name.partition(", ")
    words = [f"gw.{pipeline}"]
    words += [f"memory=gw.{memory}()"] * bool(memory) + [f"threads={threads}"] * (threads > 1)
    compressor = f"gw.Compressor({', '.join(words)})"
    return (
        "import gradwire as gw",
        f'state = gw.torch.CompressionState(compressor={compressor}, algorithm="{algorithm}")',
        "model.register_comm_hook(state, gw.torch.compressed_allreduce)",
    )
