"""The time of each stage of a bucket, and of whole steps of training."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
import torch.distributed as dist
from training import ON_DEVICE, PIPELINES, THROUGH_HOST, batch, forced, network, wrap

import gradwire as gw
from gradwire import _core
from gradwire.torch.device_arrays import TensorElements
from gradwire.torch.levels import add_levels, highest_level, levels_on_device
from gradwire.torch.stream import DeviceStream

QUANTIZER = gw.QSGD(16)
Figures = dict[str, dict[str, float]]


def seconds(work: Callable[[], object], stream: DeviceStream, repeats: int) -> float:
    """The median time of some work, on the device too, after two rounds that do not count."""
    times = []
    for _ in range(repeats + 2):
        stream.wait()
        begin = time.perf_counter()
        work()
        stream.wait()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[2:])


def time_stages(device: torch.device, small: bool, threads: int) -> Figures:
    """Each stage of a bucket of 25 MB on one rank, while the others wait."""
    found: Figures = {}
    if dist.get_rank() == 0:
        found = _time_stages(device, 100_000 if small else 6_553_600, 3 if small else 15, threads)
    dist.barrier()
    return found


def _time_stages(device: torch.device, count: int, repeats: int, threads: int) -> Figures:
    rng = np.random.default_rng(0)
    in_host = torch.from_numpy(rng.laplace(size=count).astype(np.float32))
    x, stream = in_host.to(device), DeviceStream(device)
    generator = torch.Generator(device).manual_seed(0)
    compressor = gw.Compressor(QUANTIZER, threads=threads)
    with stream.current():
        there = levels_on_device(x, QUANTIZER, generator)
        here = [stream.to_host(part) for part in there]
        average = torch.empty_like(x)
        stream.wait()
        units = here[1].numpy() / np.float32(highest_level(QUANTIZER))

        def encode() -> np.ndarray:
            levels = here[0].numpy()
            return gw.compress_levels(levels, units, 512, codec=compressor.codec)

        frame = encode()
        both, host_average = [frame, frame], np.empty(count, np.float32)
        stages: dict[str, Callable[[], object]] = {
            "quantize on the device": lambda: levels_on_device(x, QUANTIZER, generator),
            "choose 1 % on the device": lambda: TensorElements(x).top_k(count // 100),
            "choose 1 % in host memory": lambda: gw.TopK(0.01).sparsify(in_host, threads=threads),
            "copy levels to host memory": lambda: stream.to_host(there[0]),
            "copy floats to host memory": lambda: stream.to_host(x),
            "encode levels": encode,
            "quantize and encode floats in host memory": lambda: compressor.compress(in_host),
            "decode a frame to levels": lambda: _core.decompress_levels(
                frame, here[0].numpy(), True, 0.5, threads
            ),
            "decode two frames to their average": lambda: gw.decompress_sum(
                both, host_average, 0.5, threads=threads
            ),
            "copy levels to the device": lambda: stream.from_host(here[0]),
            "add levels on the device": lambda: add_levels(average, *there, 512, True),
        }
        times = {name: seconds(work, stream, repeats) for name, work in stages.items()}
    return {k: {"ms": 1e3 * t, "gb_per_s": 4e-9 * count / t} for k, t in times.items()}


def time_steps(device: torch.device, small: bool, threads: int) -> Figures:
    """Steps of a model of 100 million parameters on all ranks, beside plain DDP."""
    width, layers = (128, 3) if small else (2896, 12)
    steps = 3 if small else 8
    kinds = {"plain DDP": (None, None)}
    for pipeline, make in PIPELINES.items():
        for path in (ON_DEVICE, THROUGH_HOST):
            kinds[f"{pipeline} {path}"] = (path, make(threads=threads))
    found: Figures = {}
    for name, (path, compressor) in kinds.items():
        model = network(device, [width] * (layers + 1))
        elements = sum(p.numel() for p in model.parameters())
        with nullcontext() if path is None else forced(path):
            ddp, state = wrap(model, compressor)
            times = [_time_step(ddp, device, step, width) for step in range(steps + 3)]
        sent = 4e-6 * elements  # by two ranks in an all-reduce
        if state is not None:
            sent = state.report()["sent_bytes"] / 1e6 / (steps + 3)
            state.close()
        found[name] = {"ms": 1e3 * statistics.median(times[3:]), "mb_sent": sent}
        del model, ddp, state
    return found


def _time_step(ddp: torch.nn.Module, device: torch.device, step: int, width: int) -> float:
    x, y = batch(device, step, width)
    ddp.zero_grad()
    dist.barrier()
    begin = time.perf_counter()
    torch.nn.functional.cross_entropy(ddp(x), y).backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin
