"""What the ranks of test_diloco.py do: each case runs on all ranks, and raises if it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import diloco_error_cases
import diloco_model_cases
import diloco_resume_cases
import torch
import torch.distributed as dist
from diloco_training import SHORT_PIECE, DiLoCoRun, adamw, nesterov
from torch import nn
from torch_training import ALGORITHMS, PIPELINES, assert_same_on_all_ranks, data, flat, network
from torch_worker import run_cases

import gradwire as gw
from gradwire.torch import outer_weights

Case = Callable[[], None]
SUITABLE = ("qsgd", "qsgd-residual", "topk-residual", "sidco", "natural", "lossless")


def case_same_weights(pipeline: str, algorithm: str) -> None:
    """Ranks that begin with other weights and see other data agree after each round."""
    torch.manual_seed(dist.get_rank())
    model = nn.Sequential(nn.Linear(100, 150), nn.Tanh(), nn.Linear(150, 10))
    run = DiLoCoRun(model, PIPELINES[pipeline](), every=3, algorithm=algorithm)
    assert_same_on_all_ranks(model)
    for _ in range(2):
        begin = flat(model)
        run.train(2)
        mine = flat(model)
        others = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(others, mine)
        assert not torch.equal(others[0], others[1])  # they train alone
        run.train(1)
        assert_same_on_all_ranks(model)
        assert not torch.equal(begin, flat(model))
    assert run.diloco.rounds == 2 and run.diloco.steps == 6
    run.close()


def reference_round(
    weights: torch.Tensor, momentum: torch.Tensor, after: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """An outer step as Douillard et al. write it, in plain torch: weights and momentum."""
    gradient = weights - after
    dist.all_reduce(gradient)
    gradient /= dist.get_world_size()
    momentum = 0.9 * momentum + gradient
    return weights - 0.7 * (gradient + 0.9 * momentum), momentum


def case_reference() -> None:
    """Lossless frames give what plain DiLoCo gives: on two ranks the same averages, so that only
    the order of operations within the outer step differs."""
    ours, reference = network(), network()
    run = DiLoCoRun(ours, gw.Compressor(gw.Lossless()), every=4)
    inner = torch.optim.AdamW(reference.parameters(), 1e-2)
    weights = nn.utils.parameters_to_vector(reference.parameters()).detach().clone()
    momentum = torch.zeros_like(weights)
    for step in range(12):
        run.train(1)
        x, y = data(step)
        inner.zero_grad()
        nn.functional.cross_entropy(reference(x), y).backward()
        inner.step()
        if step % 4 == 3:
            after = nn.utils.parameters_to_vector(reference.parameters()).detach()
            weights, momentum = reference_round(weights, momentum, after)
            nn.utils.vector_to_parameters(weights.clone(), reference.parameters())
    assert run.diloco.rounds == 3
    difference = (flat(ours) - flat(reference)).abs().max()
    assert difference < 1e-5, difference
    run.close()


def case_inner_optimizer() -> None:
    """step() calls the inner optimizer that was passed."""
    run = DiLoCoRun(network(), gw.Compressor(gw.QSGD(16), memory=gw.Residual()), every=3)
    run.train(7)
    model, compressor = network(), gw.Compressor(gw.QSGD(16), memory=gw.Residual())
    diloco = gw.torch.DiLoCo(model, adamw(model.parameters()), nesterov, compressor, every=3)
    for step in range(7):
        x, y = data(step)
        model.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        assert diloco.step() == (step % 3 == 2)
    assert torch.equal(flat(model), flat(run.model)) and diloco.inner is not None
    for one in (run.diloco, diloco):
        one.finish()
        one.close()


def case_one_step_reference() -> None:
    """Local SGD with one step in a round is data-parallel SGD, bit for bit on two ranks."""
    ours, reference = network(), network()
    run = DiLoCoRun(
        ours,
        gw.Compressor(gw.Lossless()),
        every=1,
        inner=partial(torch.optim.SGD, lr=0.25),
        outer=partial(torch.optim.SGD, lr=1.0),
    )
    for step in range(3):
        run.train(1)
        x, y = data(step)
        reference.zero_grad()
        nn.functional.cross_entropy(reference(x), y).backward()
        with torch.no_grad():
            for p in reference.parameters():
                change = p - (p - 0.25 * p.grad)
                dist.all_reduce(change)
                p -= change / dist.get_world_size()
    if dist.get_world_size() == 2:
        assert torch.equal(flat(ours), flat(reference))
    else:
        assert (flat(ours) - flat(reference)).abs().max() < 1e-6
    run.close()


def case_nothing_lost(pipeline: str, algorithm: str) -> None:
    """What the ranks have changed arrives at the outer optimizer, or is still held."""
    model = network()
    run = DiLoCoRun(model, PIPELINES[pipeline](), every=2, algorithm=algorithm)
    arrived = torch.zeros_like(flat(model))

    def count(outer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        gradients = [p.grad.reshape(-1).double() for g in outer.param_groups for p in g["params"]]
        arrived.add_(torch.cat(gradients))

    run.diloco.outer.register_step_pre_hook(count)
    given = torch.zeros_like(arrived)
    for _ in range(20):
        before = flat(model)
        run.train(1)
        _, x, y = run.batch()
        run.inner.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        run.inner.step()
        given += before - flat(model)
        run.diloco.step()
    left = run.held()
    for total in (given, left):
        dist.all_reduce(total)
        total /= dist.get_world_size()
    assert left.abs().max() > 0
    lost = (given - arrived - left).abs().max() / given.abs().max()
    assert lost < 1e-5, lost
    run.close()


def case_schedulers() -> None:
    """Schedulers of both optimizers are used as ever."""
    run = DiLoCoRun(network(), gw.Compressor(gw.QSGD(16), memory=gw.Residual()), every=2)
    inner = torch.optim.lr_scheduler.StepLR(run.inner, 3, gamma=0.5)
    outer = torch.optim.lr_scheduler.StepLR(run.diloco.outer, 1, gamma=0.5)
    ended = []
    for _ in range(6):
        _, x, y = run.batch()
        run.inner.zero_grad()
        nn.functional.cross_entropy(run.model(x), y).backward()
        run.inner.step()
        inner.step()
        ended.append(run.diloco.step())
        if ended[-1]:
            outer.step()
    assert ended == [False, True] * 3
    assert run.inner.param_groups[0]["lr"] == 0.25e-2
    assert run.diloco.outer.param_groups[0]["lr"] == 0.7 / 8
    assert_same_on_all_ranks(run.model)
    run.close()


def case_grad_scaler() -> None:
    """A scaler that skips a step on one rank does not end the round at another step there."""
    run = DiLoCoRun(network(), gw.Compressor(gw.QSGD(16), memory=gw.Residual()), every=3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for step in range(6):
        _, x, y = run.batch()
        overflows = step == 1 and dist.get_rank() == 0
        loss = nn.functional.cross_entropy(run.model(x), y) * (torch.inf if overflows else 1.0)
        run.inner.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(run.inner)
        scaler.update()
        run.diloco.step()
    assert (scaler.get_scale() == 1024.0) == (dist.get_rank() != 0)
    assert run.diloco.rounds == 2
    assert_same_on_all_ranks(run.model)
    run.close()


def case_last_round() -> None:
    """finish() ends a round that has begun, and does nothing otherwise."""
    run = DiLoCoRun(network(), gw.Compressor(gw.QSGD(16), memory=gw.Residual()), every=100)
    run.train(5)
    run.diloco.finish()
    assert_same_on_all_ranks(run.model)
    assert run.diloco.rounds == 1
    run.diloco.finish()
    assert run.diloco.rounds == 1
    run.close()


def case_process_group() -> None:
    """Ranks of a group agree; others take no part."""
    members = list(range(dist.get_world_size()))[-2:]
    group = dist.new_group(members)
    if dist.get_rank() in members:
        model = network()
        run = DiLoCoRun(model, gw.Compressor(gw.QSGD(16)), every=2, process_group=group)
        run.train(2)
        mine = flat(model)
        everyone = [torch.empty_like(mine) for _ in members]
        dist.all_gather(everyone, mine, group=group)
        assert torch.equal(*everyone) and run.diloco.report()["ranks"] == 2
        run.close()
    dist.barrier()


def case_outer_optimizers() -> None:
    """An optimizer and a function that makes one give the same, in several groups too."""
    models = [network() for _ in range(3)]
    parts = [list(model.parameters()) for model in models]
    groups = [{"params": parts[1][:3]}, {"params": parts[1][3:]}]
    optimizers = [nesterov, nesterov(groups), lambda p: nesterov([{"params": [w]} for w in p])]
    for model, outer in zip(models, optimizers):
        compressor = gw.Compressor(gw.QSGD(16), memory=gw.Residual())
        run = DiLoCoRun(model, compressor, every=2, outer=outer)
        run.train(4)
        run.close()
    assert torch.equal(flat(models[0]), flat(models[1]))
    assert torch.equal(flat(models[0]), flat(models[2]))


def case_report() -> None:
    """Figures and words."""
    run = DiLoCoRun(network(), gw.Compressor(gw.QSGD(4), memory=gw.Residual()), every=5)
    run.train(10)
    report = run.diloco.report()
    assert json.loads(json.dumps(report)) == report
    assert report["rounds"] == 2 and report["steps"] == 10 and report["every"] == 5
    assert report["ratio"] > 10 and report["full_bytes"] == 5 * report["raw_bytes"]
    words = run.diloco.summary()
    assert "2 outer steps after 10 inner steps" in words and "times less" in words
    assert repr(run.diloco) == (
        "DiLoCo(outer=SGD, compressor=Compressor(pipeline=QSGD(levels=4, bucket_size=512, "
        "norm='l2', scale_dtype='log8'), codec=Entropy(threads=None, checksum=True), "
        f"memory=Residual()), every=5, algorithm={report['algorithm']!r})"
    )
    run.close()


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS:
        for pipeline in SUITABLE if world == 2 else SUITABLE[1:3]:
            cases[f"same-{pipeline}-{algorithm}"] = partial(case_same_weights, pipeline, algorithm)
        for pipeline in ("qsgd-residual", "topk-residual"):
            cases[f"nothing-lost-{pipeline}-{algorithm}"] = partial(
                case_nothing_lost, pipeline, algorithm
            )
    plain = [case for name, case in globals().items() if name.startswith("case_")]
    needs_arguments = (case_same_weights, case_nothing_lost)
    cases.update({case.__name__: case for case in plain if case not in needs_arguments})
    for module in (diloco_model_cases, diloco_resume_cases, diloco_error_cases):
        cases.update(module.cases_for(world))
    return cases


if __name__ == "__main__":
    outer_weights._PIECE = SHORT_PIECE
    run_cases(cases_for)
