"""Compressors: memories, resuming, buffers, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import gradwire as gw

RNG = np.random.default_rng(21)
CODECS = sorted(gw.codecs())
PIPELINES = [
    gw.QSGD(4),
    gw.QSGD(16, bucket_size=100),
    gw.TernGrad(),
    gw.EFSignSGD(),
    gw.OneBit(),
    gw.Natural(),
    gw.Uniform(4),
    gw.QSGD(1000),
    gw.TopK(0.01),
    gw.TopK(0.01, values="bfloat16"),
    gw.RandomK(0.05),
    gw.SIDCoExponential(0.02, values=gw.QSGD(16)),
    gw.DGC(0.01),
]
EVERY_PIPELINE = pytest.mark.parametrize("pipeline", PIPELINES, ids=repr)


def gradients(steps: int, size: int = 20_000) -> list[np.ndarray]:
    rng = np.random.default_rng(steps)
    return [rng.laplace(size=size).astype(np.float32) for _ in range(steps)]


@EVERY_PIPELINE
@pytest.mark.parametrize("size", [1, 1000, 600_000])
def test_nothing_is_lost_with_error_feedback(pipeline: object, size: int) -> None:
    memory = gw.Residual()
    compressor = gw.Compressor(copy.deepcopy(pipeline), memory=memory)
    steps = 5
    given = np.zeros(size)
    sent = np.zeros(size)
    for x in gradients(steps, size):
        given += x
        sent += gw.decompress_gradient(compressor.compress(x, name="w"))
    residual = memory.state_dict()["w"]
    assert np.abs(sent + residual - given).max() <= 2e-5 * max(1, np.abs(sent).max())
    assert np.any(residual) or size == 1


def test_residual_weights() -> None:
    compressor = gw.Compressor(gw.TopK(0.1), memory=gw.Residual(beta=0.5, gamma=2.0))
    quantizing = gw.Compressor(gw.Uniform(8), memory=gw.Residual(beta=0.5, gamma=2.0))
    for one in (compressor, quantizing):
        residual = np.zeros(5000, np.float32)
        for x in gradients(4, 5000):
            wanted = np.float32(2) * x + np.float32(0.5) * residual
            sent = gw.decompress_gradient(one.compress(x))
            residual = wanted - sent
            kept = one.memory.state_dict()[""]
            assert np.allclose(kept, residual, rtol=0, atol=1e-5)


def test_ef_sign() -> None:
    compressor = gw.Compressor(gw.EFSignSGD(), memory=gw.EFSign(learning_rate=0.1))
    error = np.zeros(3000)
    for x in gradients(5, 3000):
        p = 0.1 * x + error
        update = np.abs(p).mean() * np.where(p < 0, -1, 1)
        error = p - update
        assert np.allclose(gw.decompress_gradient(compressor.compress(x)), update, atol=1e-5)


def test_dgc_momentum() -> None:
    compressor = gw.Compressor(gw.TopK(0.02), memory=gw.DGCMomentum(momentum=0.8))
    u = np.zeros(4000)
    v = np.zeros(4000)
    for x in gradients(6, 4000):
        u = 0.8 * u + x
        v = v + u
        chosen = np.argsort(-np.abs(v))[:80]
        sent = gw.decompress_gradient(compressor.compress(x))
        assert set(np.flatnonzero(sent)) == set(chosen)
        assert np.allclose(sent[chosen], v[chosen], rtol=1e-4)
        u[chosen] = 0
        v[chosen] = 0


def test_signum() -> None:
    compressor = gw.Compressor(gw.Signum(momentum=0.7))
    assert isinstance(compressor.memory, gw.SignMomentum)
    mean = np.zeros(1000)
    for x in gradients(5, 1000):
        mean = 0.7 * mean + 0.3 * x
        sent = gw.decompress_gradient(compressor.compress(x))
        assert np.array_equal(sent, np.sign(mean.astype(np.float32)))


@EVERY_PIPELINE
def test_resumes_exactly(pipeline: object) -> None:
    def fresh() -> gw.Compressor:
        return gw.Compressor(copy.deepcopy(pipeline), memory=gw.Residual(), seed=5)

    first = fresh()
    steps = gradients(8)
    for x in steps[:4]:
        first.compress(x, name="a")
        first.compress(x[:500], name="b")
    saved = copy.deepcopy(first.state_dict())
    rest = [first.compress(x, name=n).tobytes() for x in steps[4:] for n in ("a",)]
    second = fresh()
    second.load_state_dict(saved)
    assert rest == [second.compress(x, name=n).tobytes() for x in steps[4:] for n in ("a",)]
    assert (
        first.compress(steps[0][:500], "b").tobytes()
        == second.compress(steps[0][:500], "b").tobytes()
    )
    assert rest[0] != fresh().compress(steps[4], name="a").tobytes()


def test_steps_names_ranks_and_seeds_draw_anew() -> None:
    x = gradients(1)[0]
    compressor = gw.Compressor(gw.QSGD(4))
    frames = [compressor.compress(x), compressor.compress(x), compressor.compress(x, "other")]
    frames += [gw.Compressor(gw.QSGD(4), rank=1).compress(x)]
    frames += [gw.Compressor(gw.QSGD(4), seed=1).compress(x)]
    assert len({f.tobytes() for f in frames}) == 5
    assert frames[0].tobytes() == gw.Compressor(gw.QSGD(4)).compress(x).tobytes()


@pytest.mark.parametrize("codec", CODECS)
@EVERY_PIPELINE
def test_every_codec(pipeline: object, codec: str) -> None:
    x = gradients(1, 30_000)[0]
    wanted = gw.decompress_gradient(gw.Compressor(copy.deepcopy(pipeline)).compress(x))
    frame = gw.Compressor(copy.deepcopy(pipeline), codec=codec).compress(x)
    assert np.array_equal(gw.decompress_gradient(frame), wanted)
    assert gw.inspect_gradient(frame).nbytes == frame.nbytes


@EVERY_PIPELINE
def test_accumulate_and_scale(pipeline: object) -> None:
    x = gradients(1, 300_000)[0].reshape(300, 1000)
    frame = gw.Compressor(copy.deepcopy(pipeline)).compress(x)
    y = gw.decompress_gradient(frame)
    total = np.full_like(x, 3)
    back = gw.decompress_gradient(frame, out=total, accumulate=True, scale=0.25)
    assert back is total
    assert np.allclose(total, 3 + y * np.float32(0.25), rtol=1e-6)
    gw.decompress_gradient(frame, out=total)
    assert np.array_equal(total, y)
    flat = np.empty(x.size, np.float32)
    assert np.allclose(gw.decompress_gradient(frame, out=flat, scale=-2.0), -2 * y.reshape(-1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 3), (1000,), (600, 1001)])
def test_lossless_keeps_every_bit(dtype: type, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    x = RNG.laplace(size=size).astype(dtype)
    bits = np.dtype(f"u{x.itemsize}")
    x[: size // 3] = RNG.integers(0, np.iinfo(bits).max, size // 3, bits).view(dtype)
    x = x.reshape(shape)
    frame = gw.Compressor(gw.Lossless()).compress(x)
    y = gw.decompress_gradient(frame)
    assert y.dtype == x.dtype and y.shape == x.shape
    assert y.tobytes() == x.tobytes()
    out = np.empty_like(x)
    gw.decompress_gradient(frame, out=out)
    assert out.tobytes() == x.tobytes()
    if dtype is np.float32 and size:
        z = np.where(np.isfinite(x), x, 0).astype(np.float32)
        total = np.ones(shape, np.float32)
        gw.decompress_gradient(
            gw.Compressor(gw.Lossless()).compress(z), out=total, accumulate=True, scale=0.5
        )
        with np.errstate(over="ignore"):
            assert np.array_equal(total, 1 + np.float32(0.5) * z)


def test_lossless_shrinks_real_gradients() -> None:
    from gradwire.tools.demo import sample_gradients

    for gradient in sample_gradients().values():
        x = gradient.astype(np.float32)
        assert gw.Compressor(gw.Lossless()).compress(x).nbytes < 0.9 * x.nbytes


def test_noise_is_stored() -> None:
    x = RNG.integers(0, 2**32, 300_000, np.uint32).view(np.float32)
    frame = gw.Compressor(gw.Lossless()).compress(x)
    assert frame.nbytes < x.nbytes + 400
    assert gw.decompress_gradient(frame).tobytes() == x.tobytes()


@pytest.mark.parametrize("memory", [gw.NoMemory, gw.Residual])
@pytest.mark.parametrize("pipeline", [gw.TopK(0.01), gw.QSGD(4), gw.TernGrad()], ids=repr)
def test_a_bad_gradient_leaves_the_memory(pipeline: object, memory: type[gw.Memory]) -> None:
    compressor = gw.Compressor(copy.deepcopy(pipeline), memory=memory())
    good, bad = gradients(2, 300_000)
    compressor.compress(good)
    before = compressor.state_dict()
    bad[299_000] = np.nan
    with pytest.raises(ValueError, match="not finite as float32 at flat index 299000"):
        compressor.compress(bad)
    after = compressor.state_dict()
    assert before["steps"] == after["steps"]
    for name, array in before["memory"].items():
        assert np.array_equal(array, after["memory"][name])
    zeroing = gw.Compressor(copy.deepcopy(pipeline), memory=memory(), nonfinite="zero")
    zeroing.compress(good)
    frame = zeroing.compress(bad)
    bad[299_000] = 0
    assert frame.tobytes() == compressor.compress(bad).tobytes()


def test_a_refused_first_gradient_leaves_nothing() -> None:
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    with pytest.raises(ValueError, match="flat index 0"):
        compressor.compress(np.array([np.nan, 1], np.float32))
    assert compressor.state_dict()["memory"] == {}
    compressor.compress(np.ones(3, np.float32))


@EVERY_PIPELINE
def test_copies_go_their_own_way(pipeline: object) -> None:
    first = gw.Compressor(copy.deepcopy(pipeline), memory=gw.Residual())
    x, y = gradients(2)
    first.compress(x)
    for second in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        third = copy.deepcopy(first)
        assert second.compress(y).tobytes() == third.compress(y).tobytes()


def test_state_of_another_kind() -> None:
    state = gw.Compressor(gw.TopK(), memory=gw.Residual()).state_dict()
    with pytest.raises(ValueError, match="TopK with Residual, not of TopK with DGCMomentum"):
        gw.Compressor(gw.TopK(), memory=gw.DGCMomentum()).load_state_dict(state)


def test_signs_of_whole_runs() -> None:
    x = np.ones(2**21 + 9, np.float32)  # the last chunk of such codecs may be empty
    for codec in CODECS:
        frame = gw.Compressor(gw.SignSGD(), codec=codec).compress(x)
        assert np.array_equal(gw.decompress_gradient(frame), x)


def test_rare_signs_have_exact_means() -> None:
    x = np.abs(gradients(1, 512)[0])
    x[100] = -1e-6
    _, scales = gw.OneBit(scale_dtype="float32").quantize(x)
    assert scales[1] == np.float32(1e-6)


def test_another_size_under_the_same_name() -> None:
    for pipeline in (gw.QSGD(4), gw.TopK(0.1)):
        compressor = gw.Compressor(pipeline, memory=gw.Residual())
        compressor.compress(np.ones(10, np.float32))
        with pytest.raises(ValueError, match="had 10 elements and has 11 now"):
            compressor.compress(np.ones(11, np.float32))
        compressor.compress(np.ones(11, np.float32), name="another")


def test_frames_are_small() -> None:
    for pipeline, most in [(gw.QSGD(4), 80), (gw.TernGrad(), 80), (gw.SignSGD(), 70)]:
        assert gw.Compressor(pipeline).compress(np.zeros(1000, np.float32)).nbytes < most


def test_wrong_arguments() -> None:
    x = np.ones(10, np.float32)
    frame = gw.Compressor(gw.QSGD(4)).compress(x)
    for call, kind, message in [
        (lambda: gw.Compressor("qsgd"), TypeError, "must be a quantizer or a sparsifier"),
        (lambda: gw.Compressor(gw.QSGD(), codec="zip"), ValueError, "unknown codec"),
        (lambda: gw.Compressor(gw.QSGD(), nonfinite="?"), ValueError, "nonfinite must be"),
        (lambda: gw.Compressor(gw.Lossless(), memory=gw.Residual()), ValueError, "loses nothing"),
        (lambda: gw.Compressor(gw.QSGD(), memory=gw.DGCMomentum()), ValueError, "for sparsifiers"),
        (lambda: gw.Compressor(gw.TopK(), memory=gw.SignMomentum()), ValueError, "used together"),
        (lambda: gw.Compressor(gw.Signum(), memory=gw.Residual()), ValueError, "used together"),
        (lambda: gw.Compressor(gw.QSGD()).skip_step("x"), TypeError, r"pass \['x'\]"),
        (
            lambda: gw.Compressor(gw.Signum(), memory=gw.SignMomentum(0.1)),
            ValueError,
            "momentum 0.9",
        ),
        (lambda: gw.TopK(values=gw.Signum()), ValueError, "needs a memory"),
        (lambda: gw.Compressor(gw.TopK(), threads=-1), ValueError, "threads must be at least 1"),
        (lambda: gw.Residual(gamma=np.nan), ValueError, "gamma must be finite"),
        (lambda: gw.decompress_gradient(frame, out=np.ones(9, "f4")), gw.Error, "9 elements"),
        (lambda: gw.decompress_gradient(frame, out=np.ones(11, "f4")), ValueError, "11 elements"),
        (lambda: gw.decompress_gradient(frame, out=np.ones(10)), TypeError, "must be float32"),
        (lambda: gw.decompress_gradient(frame, out=[0.0] * 10), TypeError, "array or tensor"),
        (lambda: gw.decompress_gradient(frame, out=np.ones(20, "f4")[::2]), ValueError, "contig"),
        (lambda: gw.decompress_gradient(frame, accumulate=True), ValueError, "needs an out"),
        (lambda: gw.decompress_gradient(frame, max_size=39), gw.BufferTooSmallError, "max_size"),
        (lambda: gw.decompress_gradient(gw.compress([1])), gw.CorruptFrameError, "not a gradient"),
        (lambda: gw.decompress(frame), gw.CorruptFrameError, "this is a gradient frame"),
        (lambda: gw.inspect_gradient(b""), gw.TruncatedFrameError, "truncated"),
    ]:
        with pytest.raises(kind, match=message):
            call()
    assert gw.decompress_gradient(frame, max_size=40).nbytes == 40


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        x = torch.randn(30, 500, dtype=torch.float64).to(dtype)
        x.requires_grad_(True)
        single = x.detach().float().numpy()
        for pipeline in (gw.QSGD(4), gw.TopK(0.1)):
            compressor = gw.Compressor(pipeline, memory=gw.Residual())
            frame = compressor.compress(x)
            same = gw.Compressor(pipeline, memory=gw.Residual()).compress(single)
            total = torch.zeros(30, 500)
            compressor.decompress(frame, out=total, accumulate=True)
            assert np.array_equal(total.numpy(), gw.decompress_gradient(same))
        exact = gw.Compressor(gw.Lossless()).compress(x)
        back = torch.empty_like(x, requires_grad=False)
        gw.decompress_gradient(exact, out=back)
        assert torch.equal(back, x)
        assert gw.inspect_gradient(exact).dtype == str(dtype).removeprefix("torch.")
        assert np.array_equal(gw.decompress_gradient(exact), x.detach().double().numpy())


@pytest.mark.parametrize(
    "pipeline",
    [
        gw.QSGD(1),
        gw.QSGD(4),
        gw.TernGrad(),
        gw.Uniform(2, stochastic=True),
        gw.TopK(0.1, gw.QSGD(4)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("source", ["normal", "ones"])
def test_residuals_stay_bounded(pipeline: Any, source: str) -> None:
    """Stochastic levels of few steps would lose more than they are given, again and again."""
    rng = np.random.default_rng(0)
    compressor = gw.Compressor(copy.deepcopy(pipeline), memory=gw.Residual())
    for _ in range(300):
        x = rng.normal(size=4096) if source == "normal" else np.ones(4096)
        compressor.compress(x.astype(np.float32), "a")
    residual = compressor.memory.state_dict()["a"]
    assert np.linalg.norm(residual) < 40 * np.sqrt(4096)
