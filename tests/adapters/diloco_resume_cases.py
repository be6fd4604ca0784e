"""Checkpoints of local steps: more of what the ranks of test_diloco.py do."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from diloco_training import BatchNormed, DiLoCoRun
from torch_training import ALGORITHMS, PIPELINES, assert_same_on_all_ranks, expect, flat, network

Case = Callable[[], None]
EVERY = 3


def saved(run: DiLoCoRun) -> dict[str, Any]:
    """A checkpoint of a run, through a file."""
    file = io.BytesIO()
    state = {
        "model": run.model.state_dict(),
        "inner": run.inner.state_dict(),
        "diloco": run.diloco.state_dict(),
        "next_batch": run.next_batch,
    }
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def resume(run: DiLoCoRun, state: dict[str, Any]) -> None:
    """Gives a new run the state of a saved one."""
    run.model.load_state_dict(state["model"])
    run.inner.load_state_dict(state["inner"])
    run.diloco.load_state_dict(state["diloco"])
    run.next_batch = state["next_batch"]


def case_resume(pipeline: str, algorithm: str, steps: int) -> None:
    """A run goes on bit for bit, from between rounds and from within one."""

    def make() -> DiLoCoRun:
        model = BatchNormed() if pipeline == "qsgd" else network()
        return DiLoCoRun(model, PIPELINES[pipeline](), every=EVERY, algorithm=algorithm)

    run = make()
    run.train(steps)
    state = saved(run)
    run.train(2 * EVERY)
    run.diloco.finish()
    wanted, rounds = flat(run.model), run.diloco.rounds
    statistics = [buffer.clone() for buffer in run.model.buffers()]
    run.close()
    run = make()
    resume(run, state)
    run.train(2 * EVERY)
    run.diloco.finish()
    assert torch.equal(flat(run.model), wanted) and run.diloco.rounds == rounds
    assert all(torch.equal(a, b) for a, b in zip(run.model.buffers(), statistics))
    run.close()


def case_state_is_a_copy() -> None:
    """What state_dict() has returned does not change with the run."""
    run = DiLoCoRun(network(), PIPELINES["qsgd-residual"](), every=2)
    run.train(2)
    state = run.diloco.state_dict()
    as_it_was = copy.deepcopy(state)
    run.train(2)
    assert str(state) == str(as_it_was)
    for name, weight in as_it_was["weights"].items():
        assert torch.equal(weight, state["weights"][name]), name
        momentum = [one["outer"]["state"][0]["momentum_buffer"] for one in (state, as_it_was)]
        assert torch.equal(*momentum)
    run.close()


def case_within_a_round_the_model_must_be_loaded() -> None:
    """Loading the model before DiLoCo, which gives it the weights of rank 0, is an error."""
    run = DiLoCoRun(network(), PIPELINES["qsgd-residual"](), every=3)
    run.train(4)
    state = saved(run)
    run.diloco.finish()
    run.close()
    model = network()
    model.load_state_dict(state["model"])
    other = DiLoCoRun(model, PIPELINES["qsgd-residual"](), every=3)
    if dist.get_rank() > 0:
        told = ["step 1 of a round", "after DiLoCo was created"]
        expect(ValueError, told, lambda: other.diloco.load_state_dict(state["diloco"]))
    resume(other, state)
    other.diloco.finish()
    other.close()


def case_between_rounds_the_model_is_in_the_state() -> None:
    """Between rounds the model gets the outer weights, whatever it had."""
    run = DiLoCoRun(network(), PIPELINES["qsgd-residual"](), every=2)
    run.train(2)
    state, wanted = run.diloco.state_dict(), flat(run.model)
    run.close()
    other = DiLoCoRun(network(), PIPELINES["qsgd-residual"](), every=2)
    other.diloco.load_state_dict(state)
    assert torch.equal(flat(other.model), wanted)
    other.close()


def case_another_number_of_ranks(algorithm: str) -> None:
    """The memory of all ranks is shared out among the ranks of another run."""
    run = DiLoCoRun(network(), PIPELINES["topk-residual"](), every=2, algorithm=algorithm)
    run.train(4)
    held = run.held()
    dist.all_reduce(held)
    held /= dist.get_world_size()
    states: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(states, run.diloco.state_dict())
    wanted = flat(run.model)
    run.train(1)
    run.diloco.finish()
    run.close()
    members = [0, 1] if dist.get_world_size() > 2 else [0]
    group = dist.new_group(members)
    if dist.get_rank() in members:
        model = network()
        run = DiLoCoRun(
            model,
            PIPELINES["topk-residual"](),
            every=2,
            process_group=group,
            algorithm="allgather",
        )
        expect(ValueError, ["strict=False"], lambda: run.diloco.load_state_dict(states[-1]))
        if algorithm == "allgather":
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                run.diloco.load_state_dict(states, strict=False)
            assert "redistributed" in str(caught[0].message)
            assert torch.equal(flat(model), wanted) and run.diloco.steps == 4
            assert (run.held() - held).abs().max() < 1e-6
        run.train(2)
        run.close()
    dist.barrier()


def case_other_checkpoints() -> None:
    """Checkpoints of other things are refused."""
    run = DiLoCoRun(network(), PIPELINES["qsgd-residual"](), every=2)
    state = run.diloco.state_dict()
    load = run.diloco.load_state_dict
    expect(ValueError, ["not a gradwire checkpoint"], lambda: load({"weights": {}}))
    without = {key: value for key, value in state.items() if key != "weights"}
    expect(ValueError, ["state_dict() of a DiLoCo"], lambda: load(without))
    named = {**state, "weights": {**state["weights"], "0.bias": torch.zeros(3)}}
    expect(ValueError, ["0.bias has shape (150,)", "(3,) in the"], lambda: load(named))
    signs = {**state, "memory": "NoMemory"}
    expect(ValueError, ["memory NoMemory"], lambda: load(signs))
    expect(ValueError, ["pass only that of this rank"], lambda: load([state, state]))
    expect(ValueError, ["state is empty"], lambda: load([], strict=False))
    run.train(2)
    assert_same_on_all_ranks(run.model)
    run.close()


def cases_for(world: int) -> dict[str, Case]:
    """By name, in the order in which they run."""
    cases: dict[str, Case] = {}
    for algorithm in ALGORITHMS:
        for pipeline in ("qsgd", "qsgd-residual", "topk-residual", "sidco"):
            for steps in (2 * EVERY, EVERY + 1):
                if world == 2 or pipeline == "qsgd-residual":
                    case = partial(case_resume, pipeline, algorithm, steps)
                    cases[f"resume-{pipeline}-{algorithm}-{steps}"] = case
        cases[f"another-world-{algorithm}"] = partial(case_another_number_of_ranks, algorithm)
    plain = [
        case_state_is_a_copy,
        case_within_a_round_the_model_must_be_loaded,
        case_between_rounds_the_model_is_in_the_state,
        case_other_checkpoints,
    ]
    return {**cases, **{case.__name__: case for case in plain}}
