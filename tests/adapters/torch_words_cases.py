"""What a state says: more of what the ranks of test_torch.py do."""

from __future__ import annotations

import copy
import io
import json
import logging
import warnings
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch_training import expect, flat, held_by_parameter, hooked, network, train, wrap

import gradwire as gw
from gradwire.torch import groups


class Log(logging.Handler):
    """Keeps the messages of gradwire's logger."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        logging.getLogger("gradwire").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.levelname} {record.getMessage()}")


def case_report_while_measuring() -> None:
    """A state says how far it is, what it has chosen, and why; rank 0 logs the first choice."""
    log = Log()
    ddp, state = hooked(network(), gw.Compressor(gw.QSGD(4), memory=gw.Residual()), fallback=True)
    assert state.report()["phase"] == "no step yet"
    for step in range(4):
        train(ddp, 1)
        assert state.report()["phase"] == "measuring" and "step" in state.summary(), step
    report = state.report()
    assert report["phase"] == "measuring" and report["measured_steps"] == 2  # after new buckets
    assert "measuring: step 2 of about 8" in state.summary()
    while state.report()["phase"] == "measuring":
        train(ddp, 1)
    report = state.report()
    assert json.loads(json.dumps(report)) == report
    assert report["steps"] == state.steps and report["ranks"] == dist.get_world_size()
    assert report["pipeline"] == repr(gw.QSGD(4)) and report["memory"] == "Residual()"
    assert report["codec"] == "entropy" and report["algorithm"] == "allgather"
    assert report["plain_step_seconds"] > 0 and report["compressed_step_seconds"] > 0
    large = [bucket for bucket in report["buckets"] if bucket["reason"] == "chosen by time"]
    assert {b["index"]: b["sent"] == "compressed" for b in large} == state.choices()
    assert all(b["plain_seconds"] > 0 and b["compressed_seconds"] > 0 for b in large)
    assert "chosen: compressed steps took" in state.summary()
    messages = [text for text in log.messages if "from step" in text]
    assert len(messages) == (dist.get_rank() == 0)
    if messages and not any(state.choices().values()):
        assert messages[0].startswith("WARNING") and "fallback=False" in messages[0]
    logging.getLogger("gradwire").removeHandler(log)


def case_report_without_measuring() -> None:
    """Without fallback nothing is measured; small buckets are plain all the same."""
    ddp, state = hooked(network(), gw.Compressor(gw.QSGD(4)))
    train(ddp, 3)
    report = state.report()
    assert report["phase"] == "compressed without measuring"
    assert {b["sent"] for b in report["buckets"]} == {"compressed"}
    assert report["compressed_ratio"] > 10 and report["compressed_ratio"] == report["ratio"]
    ddp, state = hooked(nn.Linear(100, 10), gw.Compressor(gw.QSGD(4)), fallback=True)
    ddp(torch.ones(3, 100)).sum().backward()
    (bucket,) = state.report()["buckets"]
    assert bucket["sent"] == "plain" and bucket["reason"] == "fewer than 4096 elements"
    assert "no bucket can be compressed" in state.summary()


def case_plain_at_first() -> None:
    """Up to start_step, and while not enabled, a state gives what plain DDP gives; what memory
    holds is then sent as well. A checkpoint goes on counting."""
    plain, compressed = wrap(network()), wrap(network())
    state = gw.torch.CompressionState(
        None, gw.Compressor(gw.QSGD(4), memory=gw.Residual()), fallback=False, start_step=3
    )
    compressed.register_comm_hook(state, gw.torch.compressed_allreduce)
    for ddp in (plain, compressed):
        train(ddp, 3)
    assert torch.equal(flat(plain.module), flat(compressed.module))
    assert state.report()["phase"] == "plain up to step 3"
    assert state.averager.traffic.bytes_sent == 0
    train(compressed, 2)
    sent = state.averager.traffic.bytes_sent
    assert sent > 0 and any(held.any() for held in held_by_parameter(state).values())
    state.enabled = False
    train(compressed, 1)
    assert state.averager.traffic.bytes_sent == sent
    assert {bucket["sent"] for bucket in state.report()["buckets"]} == {"plain"}
    assert state.report()["phase"] == "not enabled"
    assert not any(held.any() for held in held_by_parameter(state).values())
    compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    ddp, resumed = (
        wrap(network()),
        gw.torch.CompressionState(None, compressor, start_step=3, fallback=False),
    )
    ddp.register_comm_hook(resumed, gw.torch.compressed_allreduce)
    file = io.BytesIO()
    torch.save(state.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    train(ddp, 1)
    assert resumed.steps == 7 and resumed.averager.traffic.bytes_sent > 0


def case_a_state_on_one_rank() -> None:
    """A rank that makes a state alone says whom it has waited for."""
    patience, groups._PATIENCE = groups._PATIENCE, timedelta(seconds=1)
    group = dist.new_group()  # whose states are counted apart
    if dist.get_rank() == 0:
        told = "rank 0 has waited 1 seconds for ranks [1] to create a CompressionState"
        expect(RuntimeError, ["gradwire", told], lambda: gw.torch.CompressionState(group))
    dist.barrier()
    groups._PATIENCE = patience


def case_a_hook_on_one_rank() -> None:
    """A rank whose model alone has the hook says so, instead of waiting for frames."""
    patience, groups._PATIENCE = groups._PATIENCE, timedelta(seconds=1)
    group = dist.new_group()
    ddp = wrap(network(), process_group=group)
    ddp.register_comm_hook(gw.torch.CompressionState(group), gw.torch.compressed_allreduce)
    if dist.get_rank() == 0:
        told = "for ranks [1] to run a backward pass with the hook"
        expect(RuntimeError, [told], lambda: ddp(torch.ones(2, 100)).sum().backward())
    dist.barrier()
    groups._PATIENCE = patience


def case_wrong_use_of_states() -> None:
    """Errors and warnings that say what to write."""
    compressor = gw.Compressor(gw.QSGD(4))
    state_of = gw.torch.CompressionState
    expect(TypeError, ["CompressionState(compressor=...)"], lambda: state_of(compressor))
    expect(TypeError, ["gw.Compressor, got 'qsgd'"], lambda: state_of(compressor="qsgd"))
    with_signs = gw.Compressor(gw.EFSignSGD(), memory=gw.EFSign(0.1))
    expect(ValueError, ["take turns"], lambda: state_of(compressor=with_signs, start_step=3))
    state = state_of(compressor=with_signs)
    expect(ValueError, ["take turns"], lambda: setattr(state, "enabled", False))
    state = state_of(compressor=compressor)
    assert repr(state) == (
        "CompressionState(compressor=Compressor(pipeline=QSGD(levels=4, bucket_size=512, "
        "norm='l2', scale_dtype='log8'), codec=Entropy(threads=None, checksum=True), "
        "memory=NoMemory()), algorithm='auto', fallback=True)"
    )
    hook = gw.torch.compressed_allreduce
    expect(TypeError, ["register_comm_hook(gw.torch.CompressionState()"], lambda: hook(None, None))
    expect(TypeError, ["gw.torch.compress_fsdp(model, state)"], lambda: hook(state, torch.ones(3)))
    expect(TypeError, ["save its state_dict()"], lambda: copy.deepcopy(state))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state_of(compressor=gw.Compressor(gw.TopK(0.01)))
        state_of(compressor=gw.Compressor(gw.TopK(0.01), memory=gw.Residual()))
    told = [str(warning.message) for warning in caught]
    assert len(told) == (dist.get_rank() == 0)
    assert all("memory=gw.Residual())" in text for text in told)
    assert all(warning.filename == __file__ for warning in caught)  # not a line of gradwire
    wrap(network()).register_comm_hook(state, gw.torch.compressed_allreduce)
