"""What the ranks of test_communicator.py do: averages in loops without DDP."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import communicator_state_cases
import communicator_weight_cases
import torch
import torch.distributed as dist
from communicator_training import all_numbers, gradients, make
from torch_training import ALGORITHMS, expect
from torch_worker import run_cases

import gradwire as gw
from gradwire.torch import named_tensors


def case_several_tensors() -> None:
    """Lists and dicts of tensors of several types and shapes come back like that."""
    rank, world = dist.get_rank(), dist.get_world_size()
    x = torch.arange(24.0)
    given = {
        "matrix": x.reshape(4, 6),
        "transposed": x.reshape(4, 6).t(),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(3, 0),
        "half": x.half(),
        "bfloat16": x.bfloat16(),
        "double": x.double() / 3,
        "negative": torch.complex(x, x).conj().imag,
        "parameter": torch.nn.Parameter(x),
    }
    given = {name: t + rank if name != "negative" else t for name, t in given.items()}
    before = {name: t.detach().clone() for name, t in given.items()}
    size, named_tensors.BUCKET_BYTES = named_tensors.BUCKET_BYTES, 200
    try:
        for algorithm in ALGORITHMS:
            communicator = make(gw.Compressor(gw.Lossless()), algorithm)
            order = sorted(given, reverse=rank == 1)
            averages = communicator.average({name: given[name] for name in order})
            assert list(averages) == order
            for name, average in averages.items():
                added = 0 if name == "negative" else (world - 1) / 2 - rank
                assert average.dtype == given[name].dtype and not average.requires_grad
                assert average.shape == given[name].shape
                assert torch.allclose(average.double(), before[name].double() + added), name
                assert torch.equal(given[name], before[name]), name
            as_list = communicator.average(list(given.values()), names=list(given))
            assert isinstance(as_list, list)
            assert all(torch.equal(one, averages[name]) for one, name in zip(as_list, given))
            numbered = communicator.average([x, x + 1])
            assert torch.allclose(numbered[1] - numbered[0], torch.ones(24))
            assert communicator.average([]) == [] and communicator.average({}) == {}
            communicator.close()
    finally:
        named_tensors.BUCKET_BYTES = size


def case_buckets() -> None:
    """Small tensors share frames, large ones stand alone."""
    flat = {f"{i:03}": torch.zeros(2**20) for i in range(14)}
    flat |= {"big": torch.zeros(2**23), "half": torch.zeros(5, dtype=torch.float16)}
    sizes = [len(bucket) for bucket in named_tensors.bucketed(flat)]
    assert sizes == [6, 6, 2, 1, 1], sizes
    communicator = make(gw.Compressor(gw.Lossless()), "allgather")
    calls = []
    exchange = communicator.averager.exchange.allgather
    communicator.averager.exchange.allgather = lambda *a: (calls.append(1), exchange(*a))[1]
    for _ in range(2):
        communicator.average({f"{i}": torch.ones(100) for i in range(50)})
    assert len(calls) == 3  # one of them compares the tensors
    communicator.close()


def case_wrong_tensors() -> None:
    """Errors of this rank come at once, those of all ranks on all ranks."""
    rank = dist.get_rank()
    communicator = make(gw.Compressor(gw.QSGD(4), memory=gw.Residual()))
    x = torch.ones(100)
    average = communicator.average
    expect(ValueError, ["names must be unique", "'a'"], lambda: average([x, x], ["a", "a"]))
    expect(ValueError, ["2 tensors and 1 names"], lambda: average([x, x], ["a"]))
    expect(ValueError, ["with a list only"], lambda: average({"a": x}, names=["a"]))
    expect(TypeError, ["a list or a dict, got Tensor"], lambda: average(x))
    expect(TypeError, ["torch tensor, got ndarray"], lambda: average([x.numpy()]))
    expect(TypeError, ["tensor '1'", "without a gradient"], lambda: average([x, None]))
    expect(TypeError, ["generator", "list(...)"], lambda: average(one for one in [x]))
    expect(TypeError, ["weight must be a number"], lambda: communicator.step(x, "a", weight="1"))
    expect(TypeError, ["must hold float32", "int64"], lambda: average([torch.ones(3).long()]))
    expect(TypeError, ["meta"], lambda: average([torch.ones(3, device="meta")]))
    for own, told in (
        ({"a": x, "b": x} if rank else {"a": x}, "b: None and float32 (100,)"),
        ({"a": x[: 100 - rank]}, "a: float32 (100,) and float32 (99,)"),
        ({"a": x.half() if rank else x}, "a: float32 (100,) and float16 (100,)"),
    ):
        for _ in range(2):
            texts = ["rank 0 and rank 1 have different tensors; pass the same", told]
            expect(ValueError, texts, lambda own=own: average(own))
    average({"a": x})
    average({"a": x, "b": x})
    texts = ["tensor 'a' had 100 elements and has 99 now"]
    expect(ValueError, texts, lambda: average({"a": x[1:], "b": x}))
    expect(ValueError, texts, lambda: communicator.step(x[1:], "a"))
    assert average({"a": x, "b": x})["b"].isfinite().all()
    communicator.close()


def case_async() -> None:
    """Averages in threads are those in turn; they may be awaited in any order."""
    for algorithm in ALGORITHMS:
        inturn, threaded = (
            make(gw.Compressor(gw.QSGD(4), memory=gw.Residual()), algorithm) for _ in range(2)
        )
        wanted, pending = [], []
        for step in range(4):
            wanted += [inturn.average(gradients(step)), inturn.step(gradients(step)["a"], "d")]
            given = gradients(step)
            pending.append(threaded.average(given, async_op=True))
            d = threaded.average({"d": given["a"]}, async_op=True)
            pending.append(d)
            for one in given.values():
                one.fill_(torch.nan)  # was copied
        for one, average in reversed(list(zip(pending, wanted))):
            arrived = one.wait()
            assert arrived is one.wait()
            average = average if isinstance(average, dict) else {"d": average}
            assert all(torch.equal(arrived[name], average[name]) for name in average)
        assert all_numbers(inturn) == all_numbers(threaded)
        for communicator in (inturn, threaded):
            communicator.close()


def case_close_while_pending() -> None:
    """What was started arrives; a closed communicator says so, and leaves no thread."""
    rank = dist.get_rank()
    communicator = make(gw.Compressor(gw.Lossless()))
    pending = [
        communicator.average([torch.ones(10**6) * (rank + i)], async_op=True) for i in (1, 2)
    ]
    communicator.close()
    communicator.close()
    mean = (dist.get_world_size() - 1) / 2
    assert [float(one.wait()[0][0]) for one in pending] == [mean + 1, mean + 2]
    for method, arguments in (
        (communicator.step, (torch.ones(3), "x")),
        (communicator.average, ([torch.ones(3)], None, None, True)),
        (communicator.skip_step, (["x"],)),
        (communicator.state_dict, ()),
    ):
        expect(RuntimeError, ["was closed"], partial(method, *arguments))
    del communicator, method
    assert not [t for t in threading.enumerate() if t.name.startswith("gradwire")]
    communicator = make(gw.Compressor(gw.Lossless()))
    communicator.average([torch.ones(3)])
    del communicator
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("gradwire"):
            thread.join(5)
            assert not thread.is_alive()


def case_representation() -> None:
    """It can be pasted."""
    for compressor in (
        gw.Compressor(gw.QSGD(4)),
        gw.Compressor(gw.TopK(0.1), memory=gw.Residual()),
    ):
        communicator = make(compressor, "sharded")
        text = repr(communicator)
        communicator.close()
        again = eval(text, {**vars(gw), "Communicator": gw.torch.Communicator})
        assert repr(again) == text
        again.close()


def case_damage() -> None:
    """An error that only this rank sees stops it; the memory is as before the average."""

    def one_bucket(step: int) -> dict[str, torch.Tensor]:
        return {name: one for name, one in gradients(step).items() if name != "c"}

    communicator = make(gw.Compressor(gw.QSGD(4), memory=gw.Residual()), "allgather")
    communicator.average(one_bucket(0))
    before = all_numbers(communicator)
    if dist.get_rank() == 0:
        exchange = communicator.averager.exchange.allgather

        def damaging(*arguments: Any) -> Any:
            received = exchange(*arguments)
            received[1] = received[1].copy()
            received[1][-100] ^= 1
            return received

        communicator.averager.exchange.allgather = damaging
    pending = communicator.average(one_bucket(1), async_op=True)
    if dist.get_rank() == 0:
        texts = ["the frame that rank 1 sent cannot be decoded"]
        expect(gw.CorruptFrameError, texts, pending.wait)
        expect(gw.CorruptFrameError, texts, lambda: communicator.step(torch.ones(3), "x"))
        assert all_numbers(communicator) == before
    else:
        pending.wait()
    communicator.close()


def cases_for(world: int) -> dict[str, Callable[[], None]]:
    """By name, in the order in which they run."""
    own = {n.removeprefix("case_"): c for n, c in globals().items() if n.startswith("case_")}
    modules = (communicator_weight_cases, communicator_state_cases)
    return {**own, **{n: c for m in modules for n, c in m.cases_for(world).items()}}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # pipelines without the memory that they need
    run_cases(cases_for)
