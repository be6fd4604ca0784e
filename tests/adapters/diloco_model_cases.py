"""Local steps with models of all kinds: more of what the ranks of test_diloco.py do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from diloco_training import BatchNormed, DiLoCoRun
from torch import nn
from torch_training import assert_same_on_all_ranks, network

import gradwire as gw

Case = Callable[[], None]


def case_narrow_dtype(dtype: torch.dtype) -> None:
    """Rounding weights to the dtype of the model is no outer gradient: outer weights stay, if no
    rank changes anything, and are finer than the model."""
    model = network().to(dtype)
    compressor = gw.Compressor(gw.QSGD(16), memory=gw.Residual())
    run = DiLoCoRun(model, compressor, every=1, inner=partial(torch.optim.SGD, lr=0.05))
    weights = run.diloco.state_dict()["weights"]
    finer = torch.promote_types(dtype, torch.float32)
    assert {weight.dtype for weight in weights.values()} == {finer}
    run.train(4)
    assert_same_on_all_ranks(model)
    assert {p.dtype for p in model.parameters()} == {dtype}
    before = run.diloco.state_dict()["weights"]
    if dtype == torch.bfloat16:
        assert any((w.to(dtype) != w).any() for w in before.values())
    run.diloco.outer.state.clear()  # no momentum
    memory = run.diloco.averager.compressor.memory
    memory.clear()
    run.diloco.step()
    after = run.diloco.state_dict()["weights"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    run.close()


class Tied(nn.Module):
    """An output layer with the weights of the embedding, and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(50, 20)
        self.frozen = nn.Linear(20, 20).requires_grad_(False)
        self.output = nn.Linear(20, 50)
        self.output.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.frozen(self.embedding(x)))


def case_tied_and_frozen() -> None:
    """Shared parameters count once; frozen ones are neither sent nor changed."""
    model = Tied()
    frozen = model.frozen.weight.clone()
    run = DiLoCoRun(model, gw.Compressor(gw.QSGD(16), memory=gw.Residual()), every=2)
    assert set(run.diloco.state_dict()["weights"]) == {"embedding.weight", "output.bias"}
    before = model.output.weight.detach().clone()
    for step in range(4):
        x = torch.arange(10) + 10 * dist.get_rank() + step
        nn.functional.cross_entropy(model(x), x).backward()
        run.inner.step()
        run.diloco.step()
    assert model.output.weight is model.embedding.weight
    assert not torch.equal(before, model.output.weight)
    assert_same_on_all_ranks(model)
    assert torch.equal(frozen, model.frozen.weight)
    run.close()


def case_batch_norm() -> None:
    """Statistics of BatchNorm become their mean; what no rank changes stays bit for bit."""
    model = BatchNormed()
    run = DiLoCoRun(model, gw.Compressor(gw.QSGD(16)), every=2)
    run.train(1)
    mask = model.mask.clone()
    _, x, y = run.batch()
    run.inner.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    run.inner.step()
    wanted = model.norm.running_mean.clone()
    dist.all_reduce(wanted)
    wanted /= dist.get_world_size()
    run.diloco.step()
    assert torch.allclose(model.norm.running_mean, wanted, atol=1e-7)
    buffers = [b for b in model.buffers() if b.is_floating_point()]
    mine = torch.cat([buffer.reshape(-1) for buffer in buffers])
    others = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(others, mine)
    assert all(torch.equal(mine, other) for other in others)
    assert torch.equal(mask, model.mask) and int(model.norm.num_batches_tracked) == 2
    run.close()


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {
        f"{dtype}": partial(case_narrow_dtype, dtype)
        for dtype in (torch.float16, torch.bfloat16, torch.float64)
    }
    return {**cases, "tied-and-frozen": case_tied_and_frozen, "batch-norm": case_batch_norm}
