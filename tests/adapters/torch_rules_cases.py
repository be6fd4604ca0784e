"""Parameters that are excluded or have rules: more of what the ranks of test_torch.py do."""

from __future__ import annotations

import io
import warnings
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch_training import expect, flat, network, train, wrap

import gradwire as gw
from gradwire.torch import groups

HOOK = gw.torch.compressed_allreduce


def qsgd() -> gw.Compressor:
    return gw.Compressor(gw.QSGD(4), memory=gw.Residual())


def with_rules(**options: Any) -> tuple[DistributedDataParallel, gw.torch.CompressionState]:
    ddp = wrap(network())
    state = gw.torch.CompressionState(compressor=qsgd(), fallback=False, **options)
    ddp.register_comm_hook(state, HOOK)
    return ddp, state


def gradients(ddp: DistributedDataParallel) -> dict[str, torch.Tensor]:
    """After one more backward pass, by name."""
    ddp.zero_grad()
    x = torch.randn(8, 100, generator=torch.Generator().manual_seed(dist.get_rank()))
    ddp(x).square().sum().backward()
    return {name: p.grad.clone() for name, p in ddp.module.named_parameters()}


def case_excluded_parameters() -> None:
    """They arrive as without gradwire, bit for bit; all others are compressed."""
    plain = gradients(wrap(network()))
    choices: list[Any] = ["*.bias", ["*.bias", "4.*"], lambda name, p: p.ndim < 2, ("*",)]
    for exclude in choices:
        ddp, state = with_rules(exclude=exclude)
        for step in range(3):  # the second one has other buckets
            found = gradients(ddp)
            for name, gradient in found.items():
                is_excluded = (
                    name.endswith("bias")
                    or exclude == ("*",)
                    or (isinstance(exclude, list) and name.startswith("4."))
                )
                assert torch.equal(gradient, plain[name]) == is_excluded, (exclude, step, name)
        held = state.state_dict()["tensors"]
        assert set(held) == {n for n in plain if not torch.equal(found[n], plain[n])}
        report = state.report()
        excluded = sum(p.numel() for n, p in plain.items() if n not in held)
        assert report["excluded_elements"] == excluded
        assert f"excluded: {excluded} elements" in state.summary()


def case_rules() -> None:
    """Some layers have another pipeline and a memory of their own; nothing is lost in either."""
    rules = {
        "2.*": gw.Compressor(gw.TopK(0.1), memory=gw.Residual()),
        "*": gw.Compressor(gw.Lossless()),
    }
    ddp, state = with_rules(exclude="0.weight", rules=rules)
    plain = gradients(wrap(network()))
    total = {name: torch.zeros_like(g, dtype=torch.float64) for name, g in plain.items()}
    for _ in range(4):
        for name, gradient in gradients(ddp).items():
            total[name] += gradient.double()
    saved = state.state_dict()
    held = {n: t["arrays"][""] for lane in saved["lanes"] for n, t in lane["tensors"].items()}
    assert set(held) == {"2.weight", "2.bias"} and not saved["tensors"]
    for name, gradient in plain.items():
        given, rest = 4 * gradient.double(), held.get(name, torch.zeros_like(gradient)).double()
        dist.all_reduce(rest)
        arrived = total[name] + rest / dist.get_world_size()
        assert torch.allclose(arrived, given, rtol=1e-5, atol=1e-6), name
    report = state.report()
    assert [rule["parameters"] for rule in report["rules"]] == ["2.*", "*"]
    assert report["rules"][0]["pipeline"] == repr(gw.TopK(0.1))
    assert report["excluded_elements"] == plain["0.weight"].numel()
    assert "2.*: TopK" in state.summary()
    expect(ValueError, ["same exclude and rules"], lambda: with_rules()[1].load_state_dict(saved))


def case_rules_under_fallback() -> None:
    """One tuner chooses for all lanes; an overflow in one of them undoes the step in all."""
    torch.manual_seed(0)
    ddp = wrap(network())
    topk = gw.Compressor(gw.TopK(0.1, values="float16"), memory=gw.Residual(), nonfinite="error")
    state = gw.torch.CompressionState(compressor=qsgd(), rules={"2.*": topk}, exclude="0.bias")
    ddp.register_comm_hook(state, HOOK)
    for _ in range(130):
        gradients(ddp)
        if state.report()["phase"] == "chosen by time":
            break
    assert state.report()["phase"] == "chosen by time"
    ddp, state = with_rules(exclude="0.bias", rules={"2.*": qsgd()})
    parameters = dict(ddp.module.named_parameters())
    optimizer = torch.optim.SGD(ddp.parameters(), 0.01)
    for place in ("0.bias", "2.bias", "4.weight"):
        train(ddp, 2)
        before = state.state_dict()
        optimizer.zero_grad()
        loss = ddp(torch.ones(2, 100)).sum() + parameters[place].sum() * float("inf")
        loss.backward()
        after = state.state_dict()
        for first, second in zip([before, *before["lanes"]], [after, *after["lanes"]]):
            for name, tensor in first["tensors"].items():
                now = second["tensors"][name]["arrays"][""]
                assert torch.equal(tensor["arrays"][""], now), (place, name)


def case_rules_resume() -> None:
    """A run with rules goes on bit for bit."""
    rules = {
        "exclude": "*.bias",
        "rules": {"2.*": gw.Compressor(gw.TopK(0.1), memory=gw.Residual())},
    }
    ddp, state = with_rules(**rules)
    train(ddp, 3)
    file = io.BytesIO()
    torch.save([ddp.module.state_dict(), state.state_dict()], file)
    train(ddp, 3, first=3)
    file.seek(0)
    model, saved = torch.load(file, weights_only=True)
    rules["rules"] = {"2.*": gw.Compressor(gw.TopK(0.1), memory=gw.Residual())}
    again, resumed = with_rules(**rules)
    again.module.load_state_dict(model)
    resumed.load_state_dict(saved)
    train(again, 3, first=3)
    assert torch.equal(flat(ddp.module), flat(again.module))


def case_wrong_rules() -> None:
    """Errors and warnings that say what to write."""
    for wrong, got in ((3, "int"), ([3], "int"), (nn.LayerNorm, "the class LayerNorm")):
        expect(TypeError, ["'*.bias'", f"got {got}"], lambda bad=wrong: with_rules(exclude=bad))
    expect(TypeError, ["(name, parameter)"], lambda: with_rules(exclude=lambda name: True))
    expect(TypeError, ["gw.Compressor, got 'topk'"], lambda: with_rules(rules={"*": "topk"}))
    mine = "*.bias" if dist.get_rank() == 0 else "*.weight"
    expect(ValueError, ["rules: ", "*.bias", "*.weight"], lambda: with_rules(exclude=mine))
    ddp, _ = with_rules(exclude=["0.bais"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gradients(ddp)
    told = [str(one.message) for one in caught if "matches no parameter" in str(one.message)]
    assert len(told) == (dist.get_rank() == 0)
    assert not told or "did you mean '0.bias'" in told[0]
    model = nn.Linear(100, 100)
    state = gw.torch.CompressionState(exclude="bias", fallback=False)
    other = wrap(model)
    other.register_comm_hook(None, lambda _, bucket: gw.torch.compressed_allreduce(state, bucket))
    other(torch.ones(2, 100)).sum().backward()  # found by its parameters


def case_one_rank_is_switched() -> None:
    """A rank that alone sets ``enabled`` says so, instead of waiting for an all-reduce."""
    patience, groups._PATIENCE = groups._PATIENCE, timedelta(seconds=1)
    group = dist.new_group()
    ddp = wrap(network(), process_group=group)
    state = gw.torch.CompressionState(group, fallback=False)
    ddp.register_comm_hook(state, HOOK)
    gradients(ddp)
    for value in (False, True):
        state.enabled = value
        gradients(ddp)
    if dist.get_rank() == 0:
        state.enabled = False
        told = "for ranks [1] to set enabled to False"
        expect(RuntimeError, [told], lambda: gradients(ddp))
    dist.barrier()
    groups._PATIENCE = patience
