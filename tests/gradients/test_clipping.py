"""DGC's local gradient clipping, against its formula in NumPy."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import gradwire as gw


def gradient(step: int, count: int = 5000) -> np.ndarray[Any, Any]:
    x = np.random.default_rng(step).laplace(size=count).astype(np.float32)
    return x * np.float32(10.0 ** (step % 3 - 1))  # norms of about 10, 100, 1000


def clipped(x: np.ndarray[Any, Any], most: float) -> np.ndarray[Any, Any]:
    norm = np.linalg.norm(x.astype(np.float64))
    return x * min(1.0, most / norm)


def norm_of_first(x: np.ndarray[Any, Any], memory: gw.Memory, **options: Any) -> float:
    """The norm of what a memory keeps of a first gradient, all of which is sent."""
    frame = gw.Compressor(gw.TopK(1.0), memory=memory, **options).compress(x)
    return float(np.linalg.norm(gw.decompress_gradient(frame).astype(np.float64)))


@pytest.mark.parametrize("world", [1, 2, 16])
@pytest.mark.parametrize("clip", [1e-3, 20.0, 1e6])
def test_momentum_of_clipped_gradients(world: int, clip: float) -> None:
    """u = 0.9 u + clipped gradient, v = v + u; what is sent leaves both."""
    memory = gw.DGCMomentum(0.9, clip)
    compressor = gw.Compressor(gw.TopK(0.1), memory=memory, world_size=world)
    u = v = np.zeros(5000)
    for step in range(9):
        x = gradient(step)
        sent = gw.decompress_gradient(compressor.compress(x, "x"))
        u = 0.9 * u + clipped(x, clip * math.sqrt(world))
        v = v + u
        u = np.where(sent != 0, 0, u)
        v = np.where(sent != 0, 0, v)
        state = memory.state_dict()
        assert np.allclose(state["x/u"], u, rtol=1e-4, atol=1e-6 * np.abs(u).max())
        assert np.allclose(state["x/v"], v, rtol=1e-4, atol=1e-6 * np.abs(v).max())


def test_a_large_limit_changes_nothing() -> None:
    """Gradients below the limit are not even rounded."""
    plain = gw.Compressor(gw.TopK(0.1), memory=gw.DGCMomentum())
    limited = gw.Compressor(gw.TopK(0.1), memory=gw.DGCMomentum(clip=1e9))
    for step in range(6):
        frames = [c.compress(gradient(step), "x").tobytes() for c in (plain, limited)]
        assert frames[0] == frames[1]
    states = [pickle.dumps(c.memory.state_dict()) for c in (plain, limited)]
    assert states[0] == states[1]


def test_independent_ranks_average_to_the_limit() -> None:
    """What the paper assumes: N independent gradients, each of norm clip * sqrt(N)."""
    world, total = 16, np.zeros(100_000, np.float32)
    for rank in range(world):
        x = np.random.default_rng(rank).normal(size=100_000).astype(np.float32)
        memory = gw.DGCMomentum(clip=2.0)
        compressor = gw.Compressor(gw.TopK(1.0), memory=memory, world_size=world)
        compressor.decompress(compressor.compress(x), total, accumulate=True, scale=1 / world)
    assert np.linalg.norm(total) == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("factor", [1e-44, 1e-30, 1.0, 1e30, 3e37])
def test_norms_of_very_small_and_large_gradients(factor: float) -> None:
    x = np.full(1000, factor, np.float32)
    norm = float(np.linalg.norm(x.astype(np.float64)))
    for share in (0.25, 4.0):
        kept = norm_of_first(x, gw.DGCMomentum(clip=norm * share))
        assert kept == pytest.approx(norm * min(share, 1), rel=1e-5 if factor > 1e-38 else 0.2)
    assert norm_of_first(np.zeros(9, np.float32), gw.DGCMomentum(clip=1.0)) == 0
    empty = gw.Compressor(gw.TopK(0.1), memory=gw.DGCMomentum(clip=1.0))
    assert gw.decompress_gradient(empty.compress(np.zeros(0, np.float32))).size == 0


def test_the_limit_is_without_loss_scale() -> None:
    x = gradient(1)
    for scale in (1.0, 1024.0):
        memory = gw.DGCMomentum(clip=3.0)
        scaled = x * np.float32(scale)
        kept = norm_of_first(scaled, memory, loss_scale=lambda s=scale: s)
        assert kept == pytest.approx(3.0 * scale, rel=1e-5)


def test_a_step_that_is_undone_leaves_everything() -> None:
    compressor = gw.Compressor(gw.TopK(0.1), memory=gw.DGCMomentum(clip=5.0), world_size=4)
    for step in range(3):
        compressor.compress(gradient(step), "x")
    untouched = copy.deepcopy(compressor)
    before = pickle.dumps(compressor.memory.state_dict())
    compressor.compress(gradient(3), "x")
    assert pickle.dumps(compressor.memory.state_dict()) != before
    compressor.skip_step(["x"])
    assert pickle.dumps(compressor.memory.state_dict()) == before
    for bad in (np.nan, np.inf):
        x = gradient(4)
        x[7] = bad
        with pytest.raises(ValueError, match="not finite as float32 at flat index 7"):
            compressor.compress(x, "x")
        assert pickle.dumps(compressor.memory.state_dict()) == before
    frames = [c.compress(gradient(5), "x") for c in (compressor, untouched)]
    assert np.array_equal(*map(gw.decompress_gradient, frames))


def test_what_is_not_finite_may_be_sent_as_zero() -> None:
    x = np.array([3.0, np.inf, 4.0, np.nan], np.float32)
    memory = gw.DGCMomentum(clip=1.0)
    frame = gw.Compressor(gw.TopK(1.0), memory=memory, nonfinite="zero").compress(x)
    assert np.allclose(gw.decompress_gradient(frame), [0.6, 0, 0.8, 0])


SCRIPT = """
import hashlib, sys
import numpy as np
import gradwire as gw
c = gw.Compressor(gw.TopK(0.1), memory=gw.DGCMomentum(clip=1.0), threads=int(sys.argv[1]))
for step in range(4):
    x = np.random.default_rng(step).laplace(size=700_001).astype(np.float32)
    print(hashlib.sha256(c.compress(x, "x")).hexdigest())
"""


def test_frames_do_not_depend_on_threads_or_instruction_sets(run_python) -> None:
    isas = gw.build_info()["available_isas"]
    told = {run_python(SCRIPT, n, GRADWIRE_ISA=isa) for isa in isas for n in ("1", "3")}
    assert len(told) == 1


def test_arguments() -> None:
    memory = gw.DGCMomentum(clip=2.0)
    assert repr(memory) == "DGCMomentum(clip=2.0)" and repr(gw.DGCMomentum()) == "DGCMomentum()"
    params = {"compressor": "topk", "memory": "dgc", "clip": 2.0, "world_size": 4}
    made = gw.compressor_from_params(params)
    assert repr(made.memory) == repr(memory) and made.world_size == 4
    assert "world_size" not in repr(gw.Compressor(gw.QSGD(4), world_size=4))
    for make, kind, message in (
        (lambda: gw.DGCMomentum(clip=0.0), ValueError, "clip must be positive, or None"),
        (lambda: gw.DGCMomentum(clip=math.inf), ValueError, "clip must be finite"),
        (lambda: gw.DGCMomentum(clip=True), TypeError, "clip must be a number, got True"),
        (
            lambda: gw.Compressor(gw.QSGD(4), world_size=0),
            ValueError,
            "world_size must be at least",
        ),
    ):
        with pytest.raises(kind, match=message):
            make()
