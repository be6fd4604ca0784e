"""The threads of the pipeline of DDP's hook."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

from gradwire.torch.stage import Stage


def test_work_under_way_still_reaches_the_next_stage() -> None:
    """A stage that ends lets the next one end after it."""
    first, second = Stage("first"), Stage("second")
    done: list[int] = []
    gate = threading.Event()

    def work() -> None:
        gate.wait(10)
        second.submit(lambda: done.append(1))

    first.submit(work)
    first.end(second.end)
    gate.set()
    first.join()
    second.join()
    assert done == [1]


def test_stages_without_work_end() -> None:
    first, second = Stage("first"), Stage("second")
    first.end(second.end)
    first.join()
    second.join()
