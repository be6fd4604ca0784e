"""Quantizing and adding up with torch operations: the rules are those of the core."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import reference_gradients
import torch

import gradwire as gw
from gradwire import _core
from gradwire._quantizer import stream_of
from gradwire.exchange.decoding import add_up
from gradwire.torch.device import TensorGradient, TensorOutput
from gradwire.torch.levels import highest_level, levels_on_device
from gradwire.torch.paths import hindrance
from gradwire.torch.stream import DeviceStream

CPU = torch.device("cpu")
BY_MAXIMUM = [
    gw.Uniform(),
    gw.Uniform(8, bucket_size=7, scale_dtype="float32"),
    gw.Uniform(2, bucket_size=None, scale_dtype="bfloat16"),
    gw.QSGD(127, norm="max", bucket_size=100, scale_dtype="bfloat16"),
    gw.QSGD(5, norm="max", bucket_size=2**40),
    gw.TernGrad(clip=float("inf")),
]
BY_SUMS = [
    gw.QSGD(1),
    gw.QSGD(16),
    gw.QSGD(10, bucket_size=None, scale_dtype="float32"),
    gw.QSGD(100, bucket_size=33, scale_dtype="bfloat16"),
    gw.TernGrad(),
    gw.TernGrad(1.0, bucket_size=1000, scale_dtype="log8"),
]


def gradient(count: int, size: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(count)
    x = rng.laplace(size=count) * size * (rng.random(count) < 0.9)
    x[count // 10 : count // 4] = 0
    return x.astype(np.float32)


GRADIENTS = [gradient(n) for n in (0, 1, 5, 512, 10_001)]
GRADIENTS += [gradient(3000, size) for size in (1e-30, 1e30, 3e-39, 1e37)]
GRADIENTS.append(np.full(700, 3e38, np.float32) * np.resize(np.float32([1, -1]), 700))


def of_core(x: np.ndarray, quantizer: gw.Quantizer) -> tuple[np.ndarray, np.ndarray]:
    """Levels to nearest, and scales."""
    return _core.quantize(x, _core.FloatType.FLOAT32, quantizer.core().to_nearest(), 0, False)


@pytest.mark.parametrize("quantizer", BY_MAXIMUM, ids=repr)
def test_levels_to_nearest_are_those_of_the_core(quantizer: gw.Quantizer) -> None:
    for x in GRADIENTS:
        levels, scales = levels_on_device(torch.from_numpy(x), quantizer)
        wanted = of_core(x, quantizer)
        assert levels.numpy().tobytes() == wanted[0].tobytes()
        assert scales.numpy()[: wanted[1].size].tobytes() == wanted[1].tobytes()


@pytest.mark.parametrize("quantizer", BY_SUMS, ids=repr)
def test_scales_from_sums_are_within_a_step(quantizer: gw.Quantizer) -> None:
    """The core adds up in another order: the last bit may differ, and with it what is rounded. With
    the same scale, levels are the same."""
    step = {"float32": 2**-22, "bfloat16": 2**-7, "log8": 2 ** (1 / 8) - 1}[quantizer.scale_dtype]
    for x in GRADIENTS:
        levels, scales = levels_on_device(torch.from_numpy(x), quantizer)
        wanted_levels, wanted_scales = of_core(x, quantizer)
        found = scales.numpy()[: wanted_scales.size]
        np.testing.assert_allclose(found, wanted_scales, rtol=step)
        same = np.repeat(found == wanted_scales, quantizer.bucket_size or x.size)[: x.size]
        assert np.array_equal(levels.numpy()[same], wanted_levels[same])
        if quantizer.scale_dtype == "float32":
            assert np.abs(levels.numpy().astype(int) - wanted_levels).max(initial=0) <= 1
        else:
            assert same.all()


@pytest.mark.parametrize(
    "quantizer", [gw.QSGD(4), gw.QSGD(3, norm="max"), gw.Uniform(3, 100, True)]
)
def test_random_rounding_is_unbiased(quantizer: gw.Quantizer) -> None:
    x = torch.from_numpy(gradient(2000))
    generator = torch.Generator().manual_seed(1)
    drawn = []
    for _ in range(500):
        levels, scales = levels_on_device(x, quantizer, generator)
        drawn.append(quantizer.dequantize(levels.numpy(), scales.numpy()))
    stacked = np.stack(drawn)
    error = np.linalg.norm(stacked.mean(axis=0) - x.numpy())
    assert 0.9 < error / np.linalg.norm(stacked.std(axis=0) / 500**0.5) < 1.1
    units = np.repeat(scales.numpy(), quantizer.bucket_size)[:2000] / highest_level(quantizer)
    assert (np.abs(stacked - x.numpy()) <= units * 1.0001).all()


def test_elements_that_are_not_finite_have_a_scale_that_says_so() -> None:
    for value in (np.nan, np.inf, -np.inf):
        x = gradient(2000)
        x[700] = value
        _, scales = levels_on_device(torch.from_numpy(x), gw.QSGD(4))
        assert np.isnan(scales.numpy()).tolist() == [False, True, False, False]
    too_large = torch.full((600,), 1e39, dtype=torch.float64)
    assert levels_on_device(too_large, gw.Uniform())[1].isnan().all()


@pytest.mark.parametrize("quantizer", [*BY_MAXIMUM, *BY_SUMS], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_frames_are_read_by_all_decoders(quantizer: gw.Quantizer, dtype: torch.dtype) -> None:
    x = torch.from_numpy(gradient(3001)).to(dtype)
    frame = TensorGradient(x, DeviceStream(CPU)).compress(gw.Compressor(quantizer), "x")
    info = gw.inspect_gradient(frame)
    assert (info.dtype, info.shape) == (str(dtype).removeprefix("torch."), (3001,))
    generator = torch.Generator().manual_seed(stream_of(0, 0, "x", 0))
    levels, scales = levels_on_device(x, quantizer, generator)
    wanted = quantizer.dequantize(levels.numpy(), scales.numpy())
    decoded = gw.decompress_gradient(frame)
    assert np.array_equal(decoded, wanted)
    assert np.array_equal(decoded, reference_gradients.decode(frame.tobytes()))


def test_levels_beyond_int8_go_through_host_memory() -> None:
    assert hindrance(gw.Compressor(gw.QSGD(127))) is None
    for pipeline in (gw.QSGD(128), gw.Uniform(9)):
        told = hindrance(gw.Compressor(pipeline))
        assert told == f"{pipeline!r} works in host memory only"


def test_frames_are_hardly_longer_than_those_of_the_core() -> None:
    x = gradient(200_000)
    for quantizer in (gw.QSGD(16), gw.QSGD(4), gw.TernGrad()):
        made = TensorGradient(torch.from_numpy(x), DeviceStream(CPU)).compress(
            gw.Compressor(quantizer), "x"
        )
        assert made.size < 1.03 * gw.Compressor(quantizer).compress(x).size


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_sums_on_a_device_have_the_bits_of_the_core(ranks: int) -> None:
    """Whatever the ranks have sent: levels, other buckets, zeros, NaN, other dtypes."""
    for case in range(6):
        frames = []
        for rank in range(ranks):
            x = gradient(20_000, 1e-3 if case == 1 else 1e-43 if case == 2 else 1.0)
            x[case * rank * 512 : (rank + 3) * 512] = 0
            size = 512 if case != 3 else 100 + rank
            frames.append(gw.Compressor(gw.QSGD(16, size), rank=rank).compress(-x))
        if case == 4:
            frames[-1] = np.empty(0, np.uint8)  # a gradient that is not finite
        if case == 5:  # levels whose scale is 0, and scales so small that products become -0
            levels = np.resize([-1, 0, 1], 20_000)
            scales = np.resize(np.float32([0, 1e-45, 1, 0]), 40)
            frames[-1] = gw.compress_levels(levels, scales, 512)
        wanted = np.empty(20_000, np.float32)
        factors = [0.3 / (rank + 1) for rank in range(ranks)]
        add_up(frames, factors, wanted, None)
        out = torch.full((20_000,), 7.0)
        add_up(frames, factors, TensorOutput(out, DeviceStream(CPU), 512), None)
        assert out.numpy().tobytes() == wanted.tobytes(), case


def test_other_frames_are_refused_by_name() -> None:
    x = gradient(5000)
    frames = [gw.Compressor(gw.QSGD(4)).compress(x), gw.Compressor(gw.SignSGD()).compress(x)]
    out = TensorOutput(torch.empty(5000), DeviceStream(CPU), 512)
    with pytest.raises(gw.CorruptFrameError, match=r"rank 1 sent .* not a frame of levels"):
        add_up(frames, [0.5, 0.5], out, None)
    with pytest.raises(ValueError, match="rank 0 sent 5000 elements where 4999 are expected"):
        add_up(frames, [0.5, 0.5], out[:4999], None)
