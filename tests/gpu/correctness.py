"""Whether a device gives the bits that it must, and trains as plain DDP does."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from training import (
    ON_DEVICE,
    PIPELINES,
    THROUGH_HOST,
    are_alike,
    flat,
    forced,
    network,
    train,
    wrap,
)

import gradwire as gw
from gradwire import _core
from gradwire.exchange.decoding import add_up
from gradwire.torch.device import TensorGradient, TensorOutput
from gradwire.torch.levels import levels_on_device
from gradwire.torch.stream import DeviceStream

SIZES = [100, 300, 200, 10]
STEPS = 60


def check(holds: bool, what: str) -> str:
    """Raises AssertionError, with ``what``, unless it ``holds``."""
    if not holds:
        raise AssertionError(what)
    return what


def gradient(seed: int = 0, count: int = 300_001) -> np.ndarray:
    """Some elements, and buckets, are 0."""
    rng = np.random.default_rng(seed)
    x = rng.laplace(size=count).astype(np.float32)
    x[3000 + 100 * seed : 9000] = 0
    return x


def check_levels(device: torch.device) -> str:
    """Levels rounded to nearest are those of the core."""
    x = gradient()
    for quantizer in (gw.Uniform(8), gw.QSGD(10, 100, norm="max", scale_dtype="bfloat16")):
        levels, scales = levels_on_device(torch.from_numpy(x).to(device), quantizer)
        core = quantizer.core().to_nearest()
        wanted = _core.quantize(x, _core.FloatType.FLOAT32, core, 0, False)
        check(np.array_equal(scales.cpu().numpy(), wanted[1]), f"{quantizer}: other scales")
        check(np.array_equal(levels.cpu().numpy(), wanted[0]), f"{quantizer}: other levels")
    return "levels to nearest of a largest magnitude are those of the core, bit for bit"


def check_rounding(device: torch.device) -> str:
    """Frames of random rounding are read everywhere, and their mean is the gradient."""
    x = gradient(count=20_000)
    compressor, stream = gw.Compressor(gw.QSGD(4)), DeviceStream(device)
    drawn = []
    for _ in range(200):
        frame = TensorGradient(torch.from_numpy(x).to(device), stream).compress(compressor, "x")
        drawn.append(gw.decompress_gradient(frame))
    error = np.linalg.norm(np.mean(drawn, axis=0) - x)
    expected = np.linalg.norm(np.std(drawn, axis=0)) / math.sqrt(len(drawn))
    check(0.8 < error / expected < 1.2, f"the mean is {error} off, expected {expected}")
    return "random rounding is unbiased"


def check_sums(device: torch.device) -> str:
    """Sums of levels on the device have the bits of those in host memory."""
    stream = DeviceStream(device)
    for ranks in (1, 2, 3, 5):
        frames = [
            gw.Compressor(gw.QSGD(16), rank=rank).compress(gradient(rank)) for rank in range(ranks)
        ]
        wanted = np.empty(gradient().size, np.float32)
        add_up(frames, [1 / ranks] * ranks, wanted, None)
        out = torch.empty(wanted.size, device=device)
        add_up(frames, [1 / ranks] * ranks, TensorOutput(out, stream, 512), None)
        stream.wait()
        same = out.cpu().numpy().tobytes() == wanted.tobytes()
        check(same, f"the sum of {ranks} frames has other bits on the device")
    return "sums of 1, 2, 3 and 5 ranks have the same bits on the device and in host memory"


def check_memory(device: torch.device) -> str:
    """In each step, given + held before = decoded + held after, bit for bit."""
    stream = DeviceStream(device)
    for pipeline in (gw.QSGD(4), gw.TernGrad(), gw.Uniform(4), gw.TopK(0.01), gw.DGC(0.01)):
        compressor = gw.Compressor(pipeline, memory=gw.Residual())
        before = np.zeros(gradient().size, np.float32)
        for step in range(4):
            x = gradient(step)
            frame = TensorGradient(torch.from_numpy(x).to(device), stream).compress(compressor, "x")
            after = compressor.state_dict()["memory"]["x"]
            lacking = x + before - gw.decompress_gradient(frame)
            check(np.array_equal(after, lacking), f"{pipeline} holds something else in step {step}")
            before = after
    return "what a reader lacks is held on the device, bit for bit"


def check_training(device: torch.device) -> list[str]:
    """All ranks end with the same bits, and where plain DDP ends. TopK is slower: there, the device
    must end where host memory ends."""
    ddp, _ = wrap(network(device, SIZES), None, 0.1)
    before = train(ddp, device, 0, SIZES[0])
    plain = train(ddp, device, STEPS, SIZES[0])
    done = []
    mixed = (ON_DEVICE, THROUGH_HOST)[dist.get_rank() % 2]
    for pipeline, make in PIPELINES.items():
        losses = []
        for name, path in ((THROUGH_HOST, THROUGH_HOST), (ON_DEVICE, ON_DEVICE), ("mixed", mixed)):
            name = f"{pipeline} {name}"
            with forced(path):
                ddp, state = wrap(network(device, SIZES), make(), 0.1)
                losses.append(train(ddp, device, STEPS, SIZES[0]))
                taken = {b["path"] for b in state.report()["buckets"] if b["sent"] == "compressed"}
                check(taken == {path}, f"{name}: the buckets took the paths {taken}")
                state.close()
            check(are_alike(ddp.module), f"{name}: ranks have different parameters")
            wanted = losses[0] if "TopK" in pipeline else plain
            near = abs(losses[-1] - wanted) < 0.1 * (before - wanted)
            check(near, f"{name}: the loss is {losses[-1]}, not {wanted}; at first {before}")
            told = f"loss {losses[-1]:.3f}, plain {plain:.3f}"
            done.append(f"training, {name}: same bits on all ranks; {told}")
    return done


def check_lossless(device: torch.device) -> str:
    """Without loss, two ranks get what plain DDP gives."""
    flats = []
    for compressor in (None, gw.Compressor(gw.Lossless())):
        with forced(THROUGH_HOST):
            ddp, _ = wrap(network(device, SIZES), compressor, 0.1)
            train(ddp, device, 10, SIZES[0])
        flats.append(flat(ddp.module))
    check(torch.equal(*flats), "Lossless() through host memory differs from plain DDP")
    return "Lossless() through host memory gives the bits of plain DDP"


def check_overflow(device: torch.device) -> str:
    """NaN on one rank is NaN on all ranks, and the next step is as usual."""
    for path in (ON_DEVICE, THROUGH_HOST):
        with forced(path):
            ddp, _ = wrap(network(device, SIZES), gw.Compressor(gw.QSGD(16)))
            for value in (math.nan, 1.0):
                ddp.zero_grad()
                given = value if dist.get_rank() == 1 else 1.0
                ddp(torch.full((1, SIZES[0]), given, device=device)).sum().backward()
                finite = bool(ddp.module[0].weight.grad.isfinite().all())
                check(finite == (value == 1.0), f"{path}: an input {value} gives finite={finite}")
    return "NaN on one rank is NaN on all"


def check_choice(device: torch.device) -> str:
    """With fallback, the time of both kinds of steps is measured, and one is chosen."""
    ddp = DistributedDataParallel(network(device, SIZES))
    state = gw.torch.CompressionState(None, gw.Compressor(gw.QSGD(16)))
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    report = state.report()
    while report["phase"] != "chosen by time":
        train(ddp, device, 10, SIZES[0])
        report = state.report()
        check(report["steps"] <= 150, "fallback has not chosen after 150 steps")
    times = report["plain_step_seconds"], report["compressed_step_seconds"]
    check(0 < min(times) < max(times) < 10, f"fallback has measured {times} s per step")
    state.close()
    return f"fallback measures plain {1e3 * times[0]:.2f} ms, compressed {1e3 * times[1]:.2f} ms"


def run(device: torch.device) -> list[str]:
    """What was checked, in words; raises AssertionError if something is wrong."""
    return [
        check_levels(device),
        check_rounding(device),
        check_sums(device),
        check_memory(device),
        *check_training(device),
        check_lossless(device),
        check_overflow(device),
        check_choice(device),
    ]
