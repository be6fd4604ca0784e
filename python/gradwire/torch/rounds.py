"""What ranks must agree on before and during rounds of local steps."""

from __future__ import annotations

import json
import sys
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gradwire.compressor import Compressor
from gradwire.exchange.checkpoint import gather_json
from gradwire.exchange.interface import Exchange
from gradwire.torch.outer_weights import OuterWeights


class RoundError(RuntimeError):
    """Ranks cannot end a round of local steps; all of them get this error."""


def check_compressor(compressor: Any) -> None:
    """Raises TypeError or ValueError unless it can send outer gradients."""
    if not isinstance(compressor, Compressor):
        raise TypeError(f"compressor must be a gw.Compressor, got {compressor!r}")
    if not compressor.estimates_gradient:
        raise ValueError(
            f"{compressor!r} sends another kind of update than the outer gradient; take a "
            "compressor such as gw.Compressor(gw.QSGD(16), memory=gw.Residual())"
        )
    if compressor.loss_scale is not None:
        raise ValueError("weights have no loss scale; create the Compressor without loss_scale")


def check_model(model: nn.Module, inner: Any, outer: Any) -> None:
    """Raises TypeError or ValueError unless the model can be trained by ``inner`` beside
    ``outer``."""
    if isinstance(model, DistributedDataParallel):
        raise TypeError(
            "the model is under DistributedDataParallel, which averages gradients in every step; "
            "pass model.module, and call that in the loop"
        )
    # Importing that module takes a second. If it was not imported, there are no such parameters.
    sharded = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", ())
    if any(isinstance(p, sharded) for p in model.parameters()):
        raise TypeError("DiLoCo takes no sharded parameters (FSDP); see gw.torch.compress_fsdp")
    if inner is not None and not isinstance(inner, torch.optim.Optimizer):
        raise TypeError(
            "inner must be an optimizer, or None if the program steps its own; got "
            f"{inner!r}; write DiLoCo(model, inner, outer, compressor, every=50)"
        )
    if inner is not None and inner is outer:
        raise ValueError(
            "the inner optimizer must not be the outer one; create one for each, for example AdamW "
            "and SGD with Nesterov momentum"
        )
    own = {id(p) for p in model.parameters()}
    trained = [id(p) for g in ([] if inner is None else inner.param_groups) for p in g["params"]]
    if trained and own.isdisjoint(trained):
        raise ValueError(
            "the inner optimizer has no parameter of the model; create it with model.parameters()"
        )


def outer_optimizer(outer: Any, weights: OuterWeights) -> torch.optim.Optimizer:
    """The optimizer of the outer weights.

    Args:
        outer: an optimizer of the parameters of the model, which is changed; or a function that
            makes one from a list of the outer weights.
        weights: of the model.

    Raises:
        TypeError: it is neither.
        ValueError: it has made steps already, or lacks parameters.
    """
    if isinstance(outer, torch.optim.Optimizer):
        if outer.state:
            raise ValueError("the outer optimizer has made steps already; create a new one")
        weight_of = {id(p): weights.weights[name] for name, p in weights.parameters().items()}
        for group in outer.param_groups:
            known = [weight_of[id(p)] for p in group["params"] if id(p) in weight_of]
            group["params"] = known
    elif callable(outer):
        outer = outer(list(weights.weights.values()))
    if not isinstance(outer, torch.optim.Optimizer):
        raise TypeError(
            "outer must be an optimizer, or a function that makes one from a list of parameters, "
            f"got {outer!r}"
        )
    owned = {id(p) for group in outer.param_groups for p in group["params"]}
    missing = [name for name, weight in weights.weights.items() if id(weight) not in owned]
    if missing:
        raise ValueError(
            f"the outer optimizer lacks parameter {missing[0]} ({len(missing)} in all); create it "
            "with model.parameters()"
        )
    return outer


def describe_model(model: nn.Module, outer: torch.optim.Optimizer) -> dict[str, str]:
    """What must be identical on all ranks, in words, without the values of weights."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    layout = [(name, tuple(t.shape), str(t.dtype), t.requires_grad) for name, t in tensors]
    count = sum(t.numel() for _, t in tensors)
    crc = zlib.crc32(json.dumps(layout).encode())
    groups = [{k: v for k, v in g.items() if k != "params"} for g in outer.param_groups]
    return {
        "model": f"{len(tensors)} tensors, {count} elements, checksum of their shapes {crc:08x}",
        "outer": f"{type(outer).__name__} {groups}",
    }


@dataclass
class Arrival:
    """How a rank has come to the end of a round."""

    call: str
    """What the program has called."""
    steps: int
    """Number of steps in this round."""
    checksum: int
    """Of the outer weights."""
    changed: list[str]
    """Parameters that were added or frozen since the start, and the like."""
    not_finite: str | None
    """The first parameter with NaN or infinity, if any."""
    buffers: list[str]
    """Those that this rank has changed."""


def agree_on_round(exchange: Exchange, own: Arrival) -> list[str]:
    """Checks that all ranks can end the round; all ranks must call it.

    Returns:
        The buffers that some rank has changed.

    Raises:
        RoundError: on all ranks, the same: they cannot end the round.
    """
    everyone = [Arrival(**one) for one in gather_json(exchange, asdict(own))]
    for rank, one in enumerate(everyone):
        if one.changed:
            raise RoundError(
                f"on rank {rank}, parameters were added, removed or frozen, or require a gradient "
                f"since this DiLoCo was created ({', '.join(one.changed[:3])}); call finish() "
                "before such a change, and create a new DiLoCo after it"
            )
        if one.not_finite is not None:
            raise RoundError(
                f"the weights of rank {rank} are not finite (parameter {one.not_finite}), so no "
                "rank has ended this round; continue from a checkpoint, for example with a smaller "
                "learning rate"
            )
    first = everyone[0]
    for rank, one in enumerate(everyone):
        if (one.call, one.steps) != (first.call, first.steps):
            raise RoundError(
                f"rank 0 has called {first.call} after {first.steps} steps in this round, "
                f"rank {rank} {one.call} after {one.steps}; all ranks must make the same "
                "number of steps, so stop all of them when the one with the least data runs out"
            )
        if one.checksum != first.checksum:
            raise RoundError(
                f"the outer weights of rank 0 and rank {rank} differ; give the outer "
                "optimizer the same settings and schedule on all ranks, and load checkpoints of "
                "the same step"
            )
    return sorted({name for one in everyone for name in one.buffers})
