"""Steps of memories: all or nothing, taken back, at changing loss scales; one user at a time."""

from __future__ import annotations

import copy
import pickle
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import _core

PAIRS = {
    "QSGD, Residual": lambda **o: gw.Compressor(gw.QSGD(4), memory=gw.Residual(), **o),
    "OneBit, Residual": lambda **o: gw.Compressor(gw.OneBit(), memory=gw.Residual(), **o),
    "Natural, Residual": lambda **o: gw.Compressor(gw.Natural(), memory=gw.Residual(), **o),
    "EFSignSGD, EFSign": lambda **o: gw.Compressor(gw.EFSignSGD(), memory=gw.EFSign(0.5), **o),
    "Signum": lambda **o: gw.Compressor(gw.Signum(), **o),
    "TopK, Residual": lambda **o: gw.Compressor(gw.TopK(0.1), memory=gw.Residual(), **o),
    "TopK, DGC": lambda **o: gw.Compressor(gw.TopK(0.1), memory=gw.DGCMomentum(), **o),
    "TopK, clipped DGC": lambda **o: gw.Compressor(
        gw.TopK(0.1), memory=gw.DGCMomentum(clip=50.0), **o
    ),
    "SIDCo, Residual": lambda **o: gw.Compressor(
        gw.SIDCoExponential(0.05), memory=gw.Residual(), **o
    ),
    "TopK(QSGD), Residual": lambda **o: gw.Compressor(
        gw.TopK(0.1, values=gw.QSGD(16)), memory=gw.Residual(), **o
    ),
}
EVERY_PAIR = pytest.mark.parametrize("pair", PAIRS)


def gradient(step: int, size: int = 20_000) -> np.ndarray[Any, Any]:
    return np.random.default_rng(step).laplace(size=size).astype(np.float32)


def snapshot(compressor: gw.Compressor) -> bytes:
    return pickle.dumps(compressor.state_dict())


@EVERY_PAIR
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_step_that_fails_leaves_everything(
    pair: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core is interrupted when it has written all it writes."""
    compressor = PAIRS[pair]()
    compressor.compress(gradient(0), "x")
    untouched = copy.deepcopy(compressor)
    before = snapshot(compressor)
    for function in ("compress_gradient", "compress_sparse"):
        original = getattr(_core, function)

        def failing(*args: Any, work: Any = original, **options: Any) -> Any:
            work(*args, **options)
            raise error

        monkeypatch.setattr(_core, function, failing)
    for name in ("x", "new"):
        with pytest.raises(error):
            compressor.compress(gradient(1), name)
    after = compressor.state_dict()
    after["steps"].pop("new")  # 0: as if it were not there
    assert pickle.dumps(after) == before
    monkeypatch.undo()
    for step in (1, 2):
        own, other = (c.compress(gradient(step), "x") for c in (compressor, untouched))
        assert own.tobytes() == other.tobytes()


@EVERY_PAIR
def test_interrupts_at_any_time(pair: str) -> None:
    """A signal stops compress() anywhere; a step that raises has not happened."""
    compressor, reference = PAIRS[pair](), PAIRS[pair]()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    rng = np.random.default_rng(1)
    stopped = 0
    try:
        for step in range(60):
            x = gradient(step, 3000)
            while True:
                frame = None
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 4e-4))
                    frame = compressor.compress(x, "x")
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    stopped += 1
                    if frame is None:
                        continue
                break
            assert frame.tobytes() == reference.compress(x, "x").tobytes()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert stopped > 0
    assert snapshot(compressor) == snapshot(reference)


@EVERY_PAIR
def test_steps_can_be_taken_back(pair: str) -> None:
    compressor = PAIRS[pair]()
    for step in range(3):
        compressor.compress(gradient(step), "x")
    before = pickle.dumps(compressor.memory.state_dict())
    compressor.compress(gradient(3), "x")
    compressor.compress(gradient(3), "first seen in this step")
    assert pickle.dumps(compressor.memory.state_dict()) != before
    with pytest.raises(ValueError, match="had 20000 elements and has 10 now"):
        compressor.compress(gradient(4)[:10], "x")
    compressor.skip_step(["x", "first seen in this step"])
    assert pickle.dumps(compressor.memory.state_dict()) == before
    compressor.skip_step(["x"])  # there is no older step
    assert pickle.dumps(compressor.memory.state_dict()) == before


@EVERY_PAIR
def test_memories_follow_the_loss_scale(pair: str) -> None:
    """Powers of two change nothing but exponents: frames stand for the same gradients."""
    scale = [1.0]
    plain, scaled = PAIRS[pair](), PAIRS[pair](loss_scale=lambda: scale[0])
    for step in range(12):
        scale[0] = (65536.0, 1024.0, 4096.0, 2.0**40)[step // 2 % 4]
        x = gradient(step)
        wanted = gw.decompress_gradient(plain.compress(x, "x"))
        got = gw.decompress_gradient(scaled.compress(x * np.float32(scale[0]), "x"))
        factor = 1 if "Signum" in pair else np.float32(scale[0])
        assert np.array_equal(got, wanted * factor)
    saved = pickle.loads(snapshot(scaled))
    scale[0] = 8.0
    other = PAIRS[pair](loss_scale=lambda: scale[0])
    other.load_state_dict(saved)
    x = gradient(99) * np.float32(8)
    assert other.compress(x, "x").tobytes() == scaled.compress(x, "x").tobytes()


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_loss_scale_is_positive(bad: float) -> None:
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual(), loss_scale=lambda: bad)
    with pytest.raises(ValueError, match="must return a positive finite number"):
        compressor.compress(gradient(0))


@EVERY_PAIR
def test_untouched_parts_keep_their_memory(pair: str) -> None:
    scale = [1.0]
    compressor = PAIRS[pair](loss_scale=lambda: scale[0])
    for step in range(2):
        compressor.compress(gradient(step), "x")
    before = compressor.memory.state_dict()
    x = gradient(2)
    x[5000:9000] = 0
    x[15_000:] = 0
    scale[0] = 4.0
    frame = compressor.compress(x, "x", untouched=[(5000, 9000), (15_000, 20_000)])
    after = compressor.memory.state_dict()
    arrived = gw.decompress_gradient(frame)
    for begin, end in ((5000, 9000), (15_000, 20_000)):
        assert not arrived[begin:end].any()
        for key, array in before.items():
            assert np.array_equal(after[key][begin:end], 4 * array[begin:end])
    assert any(not np.array_equal(after[k][:5000], 4 * a[:5000]) for k, a in before.items())


def test_checkpoints_while_others_compress() -> None:
    """A checkpoint or a copy has whole steps of each tensor, whatever other threads do."""
    compressor = gw.Compressor(gw.TopK(0.5), memory=gw.Residual())
    ended = threading.Event()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            step = 0
            while not ended.is_set():
                # All elements of a tensor's residual are equal, so that a torn copy shows.
                x = np.full(40_000, 1.0, np.float32)
                compressor.compress(x, f"{number}/{step % 50}")
                step += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for one in (compressor, copy.deepcopy(compressor), pickle.loads(pickle.dumps(compressor))):
            for array in one.state_dict()["memory"].values():
                assert np.array_equal(array, np.round(array))
    ended.set()
    for thread in threads:
        thread.join()
    assert not errors


def test_the_learning_rate_may_follow_a_schedule() -> None:
    """p = rate * g + e; what is sent is off from p by the next e (algorithm 1)."""
    memory = gw.EFSign(learning_rate=0.1)
    compressor = gw.Compressor(gw.EFSignSGD(), memory=memory)
    error = np.zeros(3000)
    for step, rate in enumerate((0.1, 0.05, 0.5, 0.001)):
        memory.learning_rate = rate
        x = gradient(step, 3000)
        p = rate * x + error
        update = np.abs(p).mean() * np.where(p < 0, -1, 1)
        assert np.allclose(gw.decompress_gradient(compressor.compress(x)), update, atol=1e-6)
        error = p - update
    with pytest.raises(ValueError, match="learning_rate must be finite"):
        memory.learning_rate = np.nan
    assert memory.learning_rate == 0.001


def test_copies_share_the_loss_scale() -> None:
    """A copy of a scaler would never change."""
    scale = [2.0]

    class Scaler:
        def get_scale(self) -> float:
            return scale[0]

    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual(), loss_scale=Scaler().get_scale)
    other = copy.deepcopy(compressor)
    scale[0] = 4.0
    assert other.current_loss_scale() == 4.0
