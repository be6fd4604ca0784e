"""Wrong use of compress_fsdp, and the end of states: more of what the ranks of test_fsdp.py do."""

from __future__ import annotations

import gc
import threading
import weakref

import torch
import torch.distributed as dist
from fsdp_training import backward, compressed, held, mesh, network, shard, train, with_residual
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch_training import expect

import gradwire as gw

compress = gw.torch.compress_fsdp


def new_state(**options: object) -> gw.torch.CompressionState:
    return gw.torch.CompressionState(compressor=with_residual(), **options)


def case_wrong_models() -> None:
    """Errors say what the model is, and what to do."""
    state = new_state()
    expect(TypeError, ["CompressionState()); got None"], lambda: compress(network(), None))
    expect(TypeError, ["needs a model, got 3"], lambda: compress(3, state))
    expect(TypeError, ["no module under FSDP2"], lambda: compress(network(), state))
    first = FullyShardedDataParallel(network(), device_id=torch.device("cpu"))
    expect(TypeError, ["(FSDP1)", "fully_shard"], lambda: compress(first, state))
    other = DeviceMesh.from_group(dist.new_group(), "cpu")
    mixed = nn.Sequential(shard(network()), fully_shard(nn.Linear(3, 4), mesh=other))
    expect(ValueError, ["one mesh"], lambda: compress(mixed, state))
    model = shard(network())
    compress(model, state)
    train(model, 1)
    assert state.steps == 1


def case_wrong_states() -> None:
    """Errors name the setting to leave out. A model has one state, a state one model."""
    model = shard(network())
    signs = gw.torch.CompressionState(compressor=gw.Compressor(gw.SignSGD()))
    expect(ValueError, ["votes on signs"], lambda: compress(model, signs))
    excluding = new_state(exclude="*.bias")
    expect(ValueError, ["without exclude"], lambda: compress(model, excluding))
    late = new_state(start_step=3)
    expect(ValueError, ["without start_step"], lambda: compress(model, late))
    elsewhere = new_state(process_group=dist.new_group())
    expect(ValueError, ["this process_group or without"], lambda: compress(model, elsewhere))
    if mesh().ndim == 1:
        named = new_state(algorithm="sharded")
        expect(ValueError, ["without algorithm='sharded'"], lambda: compress(model, named))
    _, state = compressed(model, with_residual())
    expect(ValueError, ["already; close()"], lambda: compress(model, new_state()))
    expect(ValueError, ["serves a model already"], lambda: compress(shard(network()), state))
    expect(ValueError, ["enabled must be True"], lambda: setattr(state, "enabled", False))
    ddp = DistributedDataParallel(network())
    ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
    expect(ValueError, ["under FSDP (compress_fsdp)"], lambda: backward(ddp, 0))
    busy, ddp = new_state(), DistributedDataParallel(network())
    ddp.register_comm_hook(busy, gw.torch.compressed_allreduce)
    expect(ValueError, ["serves a model already"], lambda: compress(shard(network()), busy))


def case_wrong_checkpoints() -> None:
    """A checkpoint of another shard or of DDP is refused."""
    model, state = compressed(shard(network()), with_residual())
    train(model, 2)
    saved = state.state_dict()
    wrong = {**saved, "shards": 17}
    expect(ValueError, ["of 17 shards"], lambda: state.load_state_dict(wrong))
    wrong = {**saved, "shard": 5}
    expect(ValueError, ["shard 5"], lambda: state.load_state_dict(wrong))
    ddp = DistributedDataParallel(network())
    other = new_state(fallback=False)
    ddp.register_comm_hook(other, gw.torch.compressed_allreduce)
    backward(ddp, 0)
    expect(ValueError, ["of no shards"], lambda: state.load_state_dict(other.state_dict()))
    state.load_state_dict(saved)
    train(model, 1)


def case_end_of_states() -> None:
    """After close(), the model says so, and takes another state."""
    model, state = compressed(shard(network()), with_residual())
    train(model, 1)
    with state:
        pass
    expect(RuntimeError, ["was closed; call compress_fsdp"], lambda: backward(model, 1))
    model.reset_iter_state()
    compressed(model, with_residual())
    train(model, 1)


def case_states_end_with_their_models() -> None:
    """Garbage collection ends the threads."""
    before = threading.active_count()
    model, state = compressed(shard(network()), with_residual())
    train(model, 1)
    assert threading.active_count() > before
    averager = weakref.ref(state.averager)
    del model, state
    gc.collect()
    assert averager() is None


def case_a_pass_that_was_given_up() -> None:
    """Memory is as it was before it."""

    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(5)
            self.first, self.last = nn.Linear(100, 50), nn.Linear(50, 10)
            self.fails = False

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.first(x)
            if self.fails:
                inner.register_hook(_fail)
            return self.last(inner)

    whole, first_state = compressed(shard(Fails()), with_residual())
    train(whole, 4)
    model, state = compressed(shard(Fails()), with_residual())
    train(model, 2)
    model.fails = True
    expect(RuntimeError, ["given up"], lambda: backward(model, 2))
    model.reset_iter_state()
    model.fails = False
    model.zero_grad()
    train(model, 2, 2)
    one, two = held(first_state), held(state)
    for name, array in one.items():
        torch.testing.assert_close(array, two[name], rtol=1e-5, atol=1e-6)


def _fail(gradient: torch.Tensor) -> None:
    raise RuntimeError("given up")
