"""What memory keeps under FSDP: more of what the ranks of test_fsdp.py do."""

from __future__ import annotations

import io

import torch
import torch.distributed as dist
from fsdp_training import (
    assert_alike,
    backward,
    compressed,
    held,
    is_hsdp,
    local,
    lossless,
    mesh,
    network,
    same,
    shard,
    shards,
    train,
    with_residual,
)
from torch import nn

import gradwire as gw


class Given(nn.Module):
    """A model with the gradients that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(70, 90))
        self.bias = nn.Parameter(torch.zeros(41))

    def forward(self, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return (self.weight * weight).sum() + (self.bias * bias).sum()


def case_nothing_is_lost() -> None:
    """The gradients given are those delivered and what memory holds; also if steps are skipped."""
    model, state = compressed(shard(Given()), with_residual())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    given = [torch.zeros(70, 90).double(), torch.zeros(41).double()]
    delivered = [torch.zeros_like(one).double() for one in shards(model)]
    for step in range(30):
        generator = torch.Generator().manual_seed(100 * step + dist.get_rank())
        one = [torch.randn(70, 90, generator=generator), torch.randn(41, generator=generator)]
        if step % 7 == 4:
            model.bias.requires_grad_(False)
        if step % 7 == 3 and dist.get_rank() == 1:
            one[0][69, 0] = float("nan")  # in the last shard
        model(*one).backward()
        grads = {name: local(p.grad) for name, p in model.named_parameters() if p.grad is not None}
        is_skipped = step % 7 == 3 or step % 7 == 5
        if step % 7 == 3:
            bad = torch.tensor(float(not all(g.isfinite().all() for g in grads.values())))
            dist.all_reduce(bad)
            assert bad > 0
        if step % 7 == 5:
            state.skip_step()
        if not is_skipped:
            for number, name in enumerate(("weight", "bias")):
                if name in grads:
                    delivered[number] += grads[name]
                    given[number] += one[number]
            optimizer.step()
        optimizer.zero_grad()
        model.bias.requires_grad_(True)
    rest = held(state)
    for number, name in enumerate(("weight", "bias")):
        dist.all_reduce(given[number])
        given[number] /= dist.get_world_size()
        shard_group = mesh().get_group("shard")
        sums = mesh().get_group("replicate") if is_hsdp() else shard_group
        dist.all_reduce(rest[name], group=sums)
        rest[name] /= sums.size()
        row = -(-given[number].shape[0] // shard_group.size())
        begin = shard_group.rank() * row
        expected = given[number][begin : begin + row]
        start = 0 if is_hsdp() else begin * expected[:1].numel()
        own = rest[name][start : start + expected.numel()].reshape(expected.shape)
        assert own.any() and expected.numel()
        torch.testing.assert_close(delivered[number] + own, expected, rtol=1e-4, atol=1e-4)


def case_loss_scaler() -> None:
    """A step that a GradScaler skips is undone on all ranks, also where all averages are finite."""
    runs = []
    for overflows in (False, True):
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1000)
        model = shard(Given())
        compressed(model, with_residual(), loss_scale=scaler.get_scale)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for step in range(9):
            generator = torch.Generator().manual_seed(100 * step + dist.get_rank())
            one = [torch.randn(70, 90, generator=generator), torch.randn(41, generator=generator)]
            if step == 4:
                if not overflows:
                    continue
                if dist.get_rank() == 0:
                    one[0][0, 0] = float("inf")  # in the first shard
            scaler.scale(model(*one)).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        assert scaler.get_scale() == (512 if overflows else 1024)
        runs.append(shards(model))
    for one, two in zip(*runs):
        assert one.any()
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def case_resume() -> None:
    """A run that was resumed from checkpoints continues bit for bit."""
    for compressor in (with_residual, lambda: gw.Compressor(gw.TopK(0.05), memory=gw.Residual())):
        whole, _ = compressed(shard(network()), compressor())
        train(whole, 8)
        first, state = compressed(shard(network()), compressor())
        train(first, 5)
        file = io.BytesIO()
        saved = (shards(first), state.state_dict())
        torch.save(saved, file)
        file.seek(0)
        parameters, memory = torch.load(file, weights_only=True)
        assert {"0.weight", "4.bias"} <= set(memory["tensors"])
        second, resumed = compressed(shard(network()), compressor())
        for parameter, value in zip(second.parameters(), parameters):
            with torch.no_grad():
                parameter.to_local().copy_(value)
        resumed.load_state_dict(memory)
        assert resumed.steps == 5
        train(second, 3, 5)
        assert same(shards(whole), shards(second))
        again, state = compressed(shard(network()), compressor())
        everyone: list[object] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, memory)
        state.load_state_dict(everyone, strict=False)
        train(again, 1, 5)
        assert state.steps == 6


def case_module_used_twice() -> None:
    """Its gradients are reduced twice in one backward pass, and belong to one step."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.inner = nn.Linear(100, 100)
            self.last = nn.Linear(100, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.inner(torch.tanh(self.inner(x))))

    models = [shard(Twice()), shard(Twice())]
    compressed(models[1], lossless())
    for model in models:
        train(model, 3)
    assert_alike(*models)
    model, state = compressed(shard(Twice()), with_residual())
    train(model, 2)
    before = held(state)
    backward(model, 2)
    assert any((one != before[name]).any() for name, one in held(state).items())
    state.skip_step()
    assert all(torch.equal(one, before[name]) for name, one in held(state).items())
