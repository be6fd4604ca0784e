"""What the ranks of test_fsdp.py do: two or three with one replica, four with two of two shards."""

from __future__ import annotations

import json
from collections.abc import Callable

import fsdp_error_cases
import fsdp_memory_cases
import torch
import torch.distributed as dist
from fsdp_training import (
    Transformer,
    assert_alike,
    assert_replicas_agree,
    backward,
    compressed,
    gradients,
    held,
    is_hsdp,
    lossless,
    mesh,
    network,
    set_all,
    shard,
    shards,
    train,
    with_residual,
)
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint
from torch_worker import run_cases

import gradwire as gw
from gradwire.torch.fsdp_groups import ReduceGroup


def case_lossless() -> None:
    """Without loss, a model becomes what it becomes under plain FSDP2."""
    plain = shard(network())
    other, state = compressed(shard(network()), lossless())
    assert train(plain, 5) and train(other, 5)
    assert_alike(plain, other)
    assert state.steps == 5


def case_lossless_with_options() -> None:
    """Also if parameters are not sharded again after forward, or are frozen."""
    for options in ({"reshard_after_forward": False}, {"reshard_after_forward": True}):
        plain, other = shard(network(), **options), shard(network(), **options)
        compressed(other, lossless())
        for model in (plain, other):
            model[2].weight.requires_grad_(False)
            train(model, 3)
            model[2].weight.requires_grad_(True)
            train(model, 2, 3)
        assert_alike(plain, other)


def case_reduced_in_other_types() -> None:
    """In bfloat16 and float16, and in float32 with parameters in bfloat16."""
    for parameters, gradient in (
        (None, torch.bfloat16),
        (torch.bfloat16, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (None, torch.float16),
    ):
        policy = MixedPrecisionPolicy(param_dtype=parameters, reduce_dtype=gradient)
        plain = shard(network(), mp_policy=policy)
        other, _ = compressed(shard(network(), mp_policy=policy), lossless())
        train(plain, 3)
        train(other, 3)
        for one, two in zip(shards(plain), shards(other)):
            torch.testing.assert_close(one, two, rtol=0.02, atol=1e-3)
        noisy, state = compressed(shard(network(), mp_policy=policy), with_residual())
        losses = train(noisy, 10)
        assert losses[-1] < losses[0] and state.averager.traffic.bytes_sent > 0
        assert_replicas_agree(noisy)


def case_divide_factor() -> None:
    """A factor that the program sets instead of the number of ranks."""
    for factor, force_sum in ((None, True), (1.0, True), (7.0, True), (1.0, False), (7.0, False)):
        results = []
        for is_plain in (True, False):
            model = shard(network())
            if factor is not None:
                set_all(model, "set_gradient_divide_factor", factor)
            by_gloo = is_plain or is_hsdp()  # which has no reduction that multiplies first
            set_all(model, "set_force_sum_reduction_for_comms", by_gloo or force_sum)
            if not is_plain:
                compressed(model, lossless())
            backward(model, 0)
            results.append(gradients(model))
        for one, two in zip(*results):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def case_accumulation() -> None:
    """Gradients of several passes, reduced together, by shard only, or one by one."""

    def passes(model: nn.Module, *setters: str) -> list[torch.Tensor]:
        for step in range(4):
            for setter in setters:
                getattr(model, setter)(step % 2 == 1)
            backward(model, step)
        return gradients(model)

    for setters in (
        ("set_requires_gradient_sync",),
        ("set_requires_all_reduce",),
        ("set_requires_gradient_sync", "set_is_last_backward"),
        (),
    ):
        plain = shard(network())
        other, state = compressed(shard(network()), lossless())
        for one, two in zip(passes(plain, *setters), passes(other, *setters)):
            if dist.get_world_size() == 3:
                torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
            else:
                assert torch.equal(one, two), setters
        saves_all = "set_requires_gradient_sync" in setters
        saves_some = "set_requires_all_reduce" in setters and is_hsdp()
        assert state.steps == (2 if saves_all or saves_some else 4)


def case_optimizer_in_backward() -> None:
    """Hooks that use a gradient at once find it there."""
    models = [shard(network()), shard(network())]
    compressed(models[1], lossless())
    for model in models:
        for parameter in model.parameters():
            optimizer = torch.optim.SGD([parameter], 0.1)

            def step(_: torch.Tensor, optimizer: torch.optim.Optimizer = optimizer) -> None:
                optimizer.step()
                optimizer.zero_grad()

            parameter.register_post_accumulate_grad_hook(step)
        for number in range(3):
            backward(model, number)
    assert_alike(*models)


def case_losses_stay_close() -> None:
    """Models learn as they do under plain FSDP2; replicas stay the same bit for bit."""
    plain = train(shard(network()), 40)
    model, state = compressed(shard(network()), with_residual(16))
    noisy = train(model, 40)
    assert abs(plain[-1] - noisy[-1]) < 0.03 * plain[-1], (plain[-1], noisy[-1])
    assert noisy[-1] < 0.9 * noisy[0]
    assert_replicas_agree(model)
    assert state.report()["ratio"] > 2
    results = []
    for compressor in (None, with_residual(16)):
        transformer = shard(Transformer())
        if compressor is not None:
            compressed(transformer, compressor)
        optimizer = torch.optim.AdamW(transformer.parameters(), 3e-3)
        for step in range(40):
            generator = torch.Generator().manual_seed(100 * step + dist.get_rank())
            x = torch.randint(16, (8, 12), generator=generator).cumsum(1) % 16
            loss = nn.functional.cross_entropy(transformer(x).reshape(-1, 16), x.reshape(-1))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        total = loss.detach().clone()
        dist.all_reduce(total)
        results.append(float(total))
        assert_replicas_agree(transformer)
    assert abs(results[0] - results[1]) < 0.1 * results[0] + 0.02, results


def case_unused_parameters() -> None:
    """FSDP can send zeros for them; otherwise an error says so. The next pass works."""

    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(4)
            self.branches = nn.ModuleList([nn.Linear(100, 10), nn.Linear(100, 10)])
            self.turn = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.turn += 1
            return self.branches[self.turn % 2](x)

    def forked() -> nn.Module:
        return fully_shard(Forked(), mesh=mesh())

    models = [forked(), forked()]
    compressed(models[1], lossless())
    for model in models:
        model.set_reduce_scatter_unused_params(True)
        train(model, 4)
    assert_alike(*models)
    model, _ = compressed(forked(), with_residual())
    fsdp_error_cases.expect(
        ValueError,
        ["the root module", "set_reduce_scatter_unused_params(True)"],
        lambda: backward(model, 0),
    )


def case_activation_checkpoints() -> None:
    """Layers that are computed again in the backward pass, or in backward passes inside it."""

    class Checkpointed(nn.Module):
        def __init__(self, *, reentrant: bool) -> None:
            super().__init__()
            torch.manual_seed(6)
            self.first, self.middle, self.last = (nn.Linear(100, 100) for _ in range(3))
            self.head = nn.Linear(100, 10)
            self.reentrant = reentrant

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            for layer in (self.middle, self.last):
                x = torch.tanh(checkpoint(layer, x, use_reentrant=self.reentrant))
            return self.head(x)

    for reentrant in (False, True):
        models = [shard(Checkpointed(reentrant=reentrant)) for _ in range(2)]
        compressed(models[1], lossless())
        for model in models:
            train(model, 3)
        assert_alike(*models)
        model, state = compressed(shard(Checkpointed(reentrant=reentrant)), with_residual())
        train(model, 2)
        before = held(state)
        backward(model, 2)
        state.skip_step()
        assert all(torch.equal(one, before[name]) for name, one in held(state).items())


def case_urgent_gradients() -> None:
    """Averages may arrive late, unless FSDP converts them or adds them to earlier ones."""
    seen: list[bool] = []
    asked = ReduceGroup.is_urgent

    def noting(group: ReduceGroup, out: torch.Tensor) -> bool:
        seen.append(asked(group, out))
        return seen[-1]

    ReduceGroup.is_urgent = noting
    try:
        for dtype, expected in ((torch.float32, False), (torch.bfloat16, True)):
            policy = MixedPrecisionPolicy(reduce_dtype=dtype)
            model, _ = compressed(shard(network(), mp_policy=policy), with_residual())
            train(model, 2)
            assert seen == 6 * [expected], seen
            seen.clear()
            backward(model, 2)
            backward(model, 3)
            assert seen == 3 * [expected] + 3 * [True], seen
            seen.clear()
    finally:
        ReduceGroup.is_urgent = asked


def case_report() -> None:
    """A state says what it does."""
    model, state = compressed(shard(network()), with_residual())
    assert state.report()["phase"] == "no step yet" and "no step yet" in state.summary()
    train(model, 3)
    report = state.report()
    assert json.loads(json.dumps(report)) == report
    assert report["steps"] == 3 and report["ranks"] == (2 if is_hsdp() else dist.get_world_size())
    assert report["phase"] == "compressed without measuring"
    assert report["algorithm"] == ("allgather" if is_hsdp() else "scattered")
    assert [bucket["module"] for bucket in report["buckets"]] == ["0", "2", "4"]
    assert report["compressed_ratio"] == report["ratio"] > 3
    assert "compressed without measuring" in state.summary()
    assert set(state.choices().values()) == {True} and state.fallback
    raw = 3 * sum(bucket["elements"] for bucket in report["buckets"]) * 4
    assert report["raw_bytes"] == raw * (report["ranks"] - 1) // report["ranks"] * (
        2 if is_hsdp() else 1
    )


def case_pipelines() -> None:
    """Other pipelines and memories."""
    for make in (
        lambda: gw.Compressor(gw.TernGrad(), codec="huffman"),
        lambda: gw.Compressor(gw.TopK(0.05), memory=gw.DGCMomentum()),
        lambda: gw.Compressor(gw.EFSignSGD(), memory=gw.EFSign(1.0)),
        lambda: gw.Compressor(gw.Natural()),
    ):
        model, _ = compressed(shard(network()), make())
        losses = train(model, 10)
        assert losses[-1] < losses[0], make()
        assert_replicas_agree(model)


def cases() -> dict[str, Callable[[], None]]:
    """All cases by name."""
    named = {**globals(), **vars(fsdp_error_cases), **vars(fsdp_memory_cases)}
    return {key[5:].replace("_", "-"): one for key, one in named.items() if key.startswith("case_")}


if __name__ == "__main__":
    run_cases(lambda world: cases())
