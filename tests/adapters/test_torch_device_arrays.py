"""Memories and sparsifiers on tensors: as in host memory, and as exact about what is left out."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

import reference_gradients
import torch

import gradwire as gw
from gradwire._device import HOST
from gradwire.torch import device
from gradwire.torch.device import TensorGradient
from gradwire.torch.device_arrays import TensorDevice, TensorElements
from gradwire.torch.stream import DeviceStream

STREAM = DeviceStream(torch.device("cpu"))
COUNT = 20_000
Make = Callable[..., gw.Compressor]

QUANTIZERS = [
    gw.QSGD(4),
    gw.QSGD(16, 100, norm="max", scale_dtype="bfloat16"),
    gw.QSGD(1, bucket_size=None, scale_dtype="float32"),
    gw.TernGrad(),
    gw.Uniform(3),
    gw.Uniform(8, 7, stochastic=True),
]
SPARSIFIERS = [
    gw.TopK(0.05),
    gw.TopK(0.01, values=gw.QSGD(16)),
    gw.TopK(0.02, values="bfloat16", warm_up=3),
    gw.RandomK(0.05),
    gw.Threshold(threshold=2.0),
    gw.DGC(0.01),
    gw.RedSync(0.01),
    gw.RedSyncTrimmed(0.01),
    gw.GaussianK(0.01),
    gw.SIDCoExponential(0.01),
    gw.SIDCoGammaPareto(0.01),
    gw.SIDCoPareto(0.01),
]
PAIRS: dict[str, Make] = {
    "QSGD, Residual": lambda **o: gw.Compressor(gw.QSGD(4), memory=gw.Residual(), **o),
    "QSGD, Residual(0.9, 0.5)": lambda **o: gw.Compressor(
        gw.QSGD(4), memory=gw.Residual(0.9, 0.5), **o
    ),
    "QSGD, EFSign": lambda **o: gw.Compressor(gw.QSGD(4), memory=gw.EFSign(0.5), **o),
    "TopK, Residual": lambda **o: gw.Compressor(gw.TopK(0.05), memory=gw.Residual(), **o),
    "TopK, DGC": lambda **o: gw.Compressor(gw.TopK(0.05), memory=gw.DGCMomentum(clip=50.0), **o),
    "SIDCo, Residual": lambda **o: gw.Compressor(
        gw.SIDCoExponential(0.05), memory=gw.Residual(), **o
    ),
}
EVERY_PAIR = pytest.mark.parametrize("pair", PAIRS)


def gradient(seed: int, count: int = COUNT) -> np.ndarray[Any, Any]:
    """A quarter of the elements is 0."""
    x = np.random.default_rng(seed).laplace(size=count).astype(np.float32)
    x[count // 2 : count // 4 * 3] = 0
    return x


def on_device(x: np.ndarray[Any, Any]) -> TensorGradient:
    return TensorGradient(torch.from_numpy(x.copy()), STREAM)


def held(compressor: gw.Compressor, name: str = "x") -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a tensor, in host memory."""
    memory = compressor.memory.held(name)
    return {} if memory is None else memory.arrays


def is_on_device(compressor: gw.Compressor, name: str = "x") -> bool:
    arrays = compressor.memory._tensors[name].arrays
    return all(isinstance(array, torch.Tensor) for array in arrays.values())


def assert_same(first: gw.Compressor, second: gw.Compressor, rtol: float = 0.0) -> None:
    """Their memories: bit for bit, or nearly."""
    for kind, array in held(first).items():
        np.testing.assert_allclose(array, held(second)[kind], rtol=rtol, atol=rtol, err_msg=kind)


@pytest.mark.parametrize("sparsifier", SPARSIFIERS, ids=repr)
@pytest.mark.parametrize("count", [0, 1, 5, COUNT, 700_000])
def test_sparsifiers_choose_what_they_choose_in_host_memory(
    sparsifier: gw.Sparsifier, count: int
) -> None:
    here, there = copy.deepcopy(sparsifier), copy.deepcopy(sparsifier)
    for step in range(2 if count > COUNT else 7):
        x = gradient(step, count)
        indices, values = here.sparsify(x, "x", step)
        chosen = there.choose(TensorElements(torch.from_numpy(x)), "x", step)
        found = TensorDevice(STREAM).to_host(*chosen)
        assert found[0].dtype == np.uint32
        np.testing.assert_array_equal(found[0], indices)
        np.testing.assert_array_equal(found[1], values)
    assert here.state_dict() == there.state_dict()


@pytest.mark.parametrize("pipeline", [*QUANTIZERS, *SPARSIFIERS], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_what_a_reader_lacks_is_held(pipeline: Any, dtype: torch.dtype) -> None:
    """In each step, given + held before = decoded + held after, by any decoder."""
    compressor = gw.Compressor(copy.deepcopy(pipeline), memory=gw.Residual())
    before = np.zeros(COUNT, np.float32)
    for step in range(4):
        x = torch.from_numpy(gradient(step)).to(dtype)
        frame = TensorGradient(x.clone(), STREAM).compress(compressor, "x")
        assert gw.inspect_gradient(frame).dtype == str(dtype).removeprefix("torch.")
        decoded = gw.decompress_gradient(frame)
        assert np.array_equal(decoded, reference_gradients.decode(frame.tobytes()))
        after = held(compressor)[""].copy()
        np.testing.assert_array_equal(after, x.float().numpy() + before - decoded)
        before = after
    assert is_on_device(compressor)


@EVERY_PAIR
def test_a_step_may_be_anywhere(pair: str) -> None:
    """Memory follows the gradient from host memory to the device and back."""
    scale = [1.0]
    moving, reference = (PAIRS[pair](loss_scale=lambda: scale[0]) for _ in range(2))
    for step, there in enumerate([False, True, True, False, True, False, False, True]):
        scale[0] = (1.0, 8.0, 0.5)[step % 3]
        x = gradient(step) * np.float32(scale[0])
        frame = on_device(x).compress(moving, "x") if there else moving.compress(x, "x")
        wanted = reference.compress(x, "x")
        assert is_on_device(moving) == there
        decoded = [gw.decompress_gradient(one) for one in (frame, wanted)]
        np.testing.assert_allclose(*decoded, rtol=1e-5)
        assert_same(moving, reference, rtol=1e-5)


@EVERY_PAIR
def test_checkpoints_and_copies_are_in_host_memory(pair: str) -> None:
    compressor = PAIRS[pair]()
    for step in range(3):
        on_device(gradient(step)).compress(compressor, "x")
    state = compressor.state_dict()
    assert all(type(array) is np.ndarray for array in state["memory"].values())
    loaded = PAIRS[pair]()
    loaded.load_state_dict(pickle.loads(pickle.dumps(state)))
    for other in (loaded, copy.deepcopy(compressor), pickle.loads(pickle.dumps(compressor))):
        assert_same(compressor, other)
        assert other.memory._tensors["x"].device == HOST
        own = copy.deepcopy(compressor)
        frames = [on_device(gradient(3)).compress(one, "x") for one in (own, other)]
        assert frames[0].tobytes() == frames[1].tobytes()
        assert_same(own, other)


@EVERY_PAIR
def test_a_step_that_fails_or_is_not_finite_leaves_everything(pair: str) -> None:
    compressor = PAIRS[pair]()
    for step in range(3):
        on_device(gradient(step)).compress(compressor, "x")
    before = pickle.dumps(compressor.state_dict())
    for value in (np.nan, np.inf):
        x = gradient(3)
        x[7] = value
        assert on_device(x).compress(compressor, "x") is None
        compressor.memory.take_back("x")  # what averagers do then
        assert pickle.dumps(compressor.state_dict()) == before

    def fails(*args: Any, **options: Any) -> None:
        raise MemoryError

    update = compressor.memory.update
    compressor.memory.update = lambda *args: (update(*args), fails())
    for name in ("x", "new"):
        with pytest.raises(MemoryError):
            on_device(gradient(3)).compress(compressor, name)
    del compressor.memory.update
    after = compressor.state_dict()
    after["steps"].pop("new")
    assert pickle.dumps(after) == before
    assert is_on_device(compressor)


@pytest.mark.parametrize("pipeline", [*QUANTIZERS, *SPARSIFIERS], ids=repr)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_elements(pipeline: Any, count: int) -> None:
    """The last shards of a small bucket may be empty."""
    compressor = gw.Compressor(copy.deepcopy(pipeline), memory=gw.Residual())
    decoded = gw.decompress_gradient(on_device(np.ones(count)).compress(compressor, "x"))
    np.testing.assert_allclose(decoded + held(compressor)[""], np.ones(count), rtol=1e-6)


def test_zero_for_elements_that_are_not_finite() -> None:
    for pair in ("QSGD, Residual", "TopK, Residual"):
        compressor = PAIRS[pair](nonfinite="zero")
        x = gradient(0)
        x[:3] = np.nan, np.inf, -np.inf
        decoded = gw.decompress_gradient(on_device(x).compress(compressor, "x"))
        x[:3] = 0
        np.testing.assert_allclose(decoded + held(compressor)[""], x, rtol=1e-6, atol=1e-6)
        assert not decoded[:3].any()


@EVERY_PAIR
def test_steps_are_undone_as_in_host_memory(pair: str) -> None:
    """As a whole, in parts, and over several passes."""
    parts = [(0, 4000), (9000, 12_000)]
    both = [PAIRS[pair](), PAIRS[pair]()]
    compress = [lambda c, x: on_device(x).compress(c, "x"), lambda c, x: c.compress(x, "x")]

    def everywhere(step: int) -> None:
        for one, work in zip(both, compress):
            work(one, gradient(step))

    def same() -> None:
        assert is_on_device(both[0])
        assert_same(*both, rtol=1e-5)

    for event in range(4):
        everywhere(event)
        same()
        for one in both:
            memory = one.memory
            if event == 0:
                memory.settle()
            elif event == 1:
                memory.take_back_parts("x", parts)
            elif event == 2:
                memory.take_back("x")
            else:
                memory.go_on()
        same()
    everywhere(9)
    for one in both:
        assert one.memory.is_in_step("x")
        at_start = one.memory.at_start("x")
        assert at_start is not None and at_start.device == HOST
        one.memory.take_back("x")
        for kind, array in at_start.arrays.items():
            np.testing.assert_array_equal(array, held(one)[kind])
    same()


@EVERY_PAIR
def test_untouched_parts_keep_their_memory(pair: str) -> None:
    scale = [1.0]
    compressor = PAIRS[pair](loss_scale=lambda: scale[0])
    on_device(gradient(0)).compress(compressor, "x")
    before = {kind: array.copy() for kind, array in held(compressor).items()}
    scale[0] = 2.0
    x = gradient(1)
    x[:5000] = 0
    one = on_device(x)
    assert one.zero_parts([(0, 5000), (4999, 5001), (5000, 5000)]) == [(0, 5000), (5000, 5000)]
    frame = one.compress(compressor, "x", [(0, 5000)])
    assert not gw.decompress_gradient(frame)[:5000].any()
    for kind, array in held(compressor).items():
        np.testing.assert_array_equal(array[:5000], 2 * before[kind][:5000])
        assert not np.array_equal(array[5000:], 2 * before[kind][5000:])


def test_what_is_set_aside() -> None:
    x = torch.tensor([1.0, torch.inf, 2.0], dtype=torch.bfloat16)
    whole = TensorGradient(x, STREAM)
    for part, is_finite in ((slice(0, 1), True), (slice(1, 3), False)):
        before = x[part].float()
        kept, finite = whole[part].set_aside()
        assert finite == is_finite and torch.equal(kept, before) and kept.dtype == torch.float32
    assert x.tolist() == [1.0, 0.0, 0.0]
    out = device.TensorOutput(torch.zeros(3), STREAM, None)
    out[1:3] = torch.tensor([5.0, 6.0])
    out[0:2] = 0
    assert out._out.tolist() == [0.0, 0.0, 6.0]


def test_large_sums_are_limited() -> None:
    """As in the core: gradient and residual are finite, their sum is not."""
    big = np.full(10, 3e38, np.float32)
    compressor = gw.Compressor(gw.TopK(0.1), memory=gw.Residual())
    for _ in range(3):
        frame = on_device(big).compress(compressor, "x")
        assert np.isfinite(gw.decompress_gradient(frame)).all()
        assert np.isfinite(held(compressor)[""]).all()


def test_a_tensor_of_another_size_is_refused() -> None:
    compressor = PAIRS["QSGD, Residual"]()
    on_device(gradient(0)).compress(compressor, "x")
    with pytest.raises(ValueError, match="had 20000 elements and has 19999 now"):
        on_device(gradient(0)[:-1]).compress(compressor, "x")
