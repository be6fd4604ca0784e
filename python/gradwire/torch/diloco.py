"""Local steps: ranks train alone and average what a number of steps has changed.

Douillard et al., "DiLoCo: Distributed Low-Communication Training of Language Models", 2023
(arXiv:2311.08105). With plain SGD at a rate of 1 as outer optimizer this is local SGD (Stich,
"Local SGD Converges Fast and Communicates Little", ICLR 2019).
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from gradwire._checks import check_integer
from gradwire._warn import warn_user
from gradwire.compressor import Compressor
from gradwire.exchange import checkpoint
from gradwire.exchange.adapter import Closing
from gradwire.exchange.algorithms import make_averager
from gradwire.exchange.used_parts import is_zero
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.groups import GroupLease
from gradwire.torch.local_buffers import LocalBuffers
from gradwire.torch.outer_weights import OuterWeights, copy_from_rank_0
from gradwire.torch.pipeline import Pipeline, explaining
from gradwire.torch.report import report_setup, report_traffic, rounds_in_words
from gradwire.torch.rounds import (
    Arrival,
    RoundError,
    agree_on_round,
    check_compressor,
    check_model,
    describe_model,
    outer_optimizer,
)
from gradwire.torch.stage import Stage

MakeOptimizer = Callable[[list[torch.Tensor]], torch.optim.Optimizer]


class DiLoCo(Closing):
    """Local steps with compressed outer gradients.

    Each rank trains its copy of the model with an optimizer of its own, the inner one::

        diloco = gw.torch.DiLoCo(
            model,
            torch.optim.AdamW(model.parameters()),
            torch.optim.SGD(model.parameters(), lr=0.7, momentum=0.9, nesterov=True),
            gw.Compressor(gw.QSGD(16), memory=gw.Residual()),
            every=50,
        )
        for batch in data:
            model.zero_grad()
            loss(model, batch).backward()
            diloco.step()
        diloco.finish()

    Every 50th :meth:`step` ends a round: what the round has changed, the outer gradient, is
    compressed with error feedback and averaged over all ranks; the weights return to those at the
    start of the round, and the outer optimizer makes a step with the average as gradient. Then all
    ranks have the same weights, bit for bit. The inner optimizer keeps its state.

    All ranks must create it, in the same order. The model begins with the parameters and buffers
    of rank 0. Later on, buffers of floats that have changed, such as the statistics of BatchNorm,
    become their mean at the end of each round; others stay as they are. Outer weights are float32
    in host memory (float64 for parameters of that dtype). A round that fails leaves the outer
    weights and the memory as they were.

    Args:
        model: on each rank. Parameters that require no gradient are left out.
        inner: the optimizer that :meth:`step` calls; None if the program steps its own before each
            :meth:`step`, for example with a ``GradScaler``, or because it has several.
        outer: an optimizer of ``model.parameters()`` that has made no step, whose parameters are
            replaced by the outer weights; or a function that makes one from a list of these. The
            attribute :attr:`outer` has it, for schedulers.
        compressor: configure it identically on all ranks; its ``rank`` is overwritten here. Do not
            use it for anything else.
        every: number of inner steps in a round, at least 1.
        process_group: None for the default group.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.

    Raises:
        TypeError: an argument has the wrong type, or a parameter is not a plain tensor.
        ValueError: ranks have different settings or models; what the compressor sends does not
            estimate the gradient, such as signs, or it has a loss scale; the optimizer lacks
            parameters or has made steps; or no parameter requires a gradient.
        RuntimeError: torch.distributed is not initialized, or another rank does not create it.
    """

    def __init__(
        self,
        model: nn.Module,
        inner: torch.optim.Optimizer | None,
        outer: torch.optim.Optimizer | MakeOptimizer,
        compressor: Compressor,
        *,
        every: int,
        process_group: dist.ProcessGroup | None = None,
        algorithm: str = "auto",
    ) -> None:
        check_integer("every", every, 1)
        check_model(model, inner, outer)
        check_compressor(compressor)
        group = process_group or dist.group.WORLD
        if group is None:
            raise RuntimeError("call torch.distributed.init_process_group() first")
        self.inner = inner
        self.every = every
        self.steps = 0
        """Number of inner steps so far."""
        self.rounds = 0
        """Number of outer steps so far."""
        self._steps_in_round = 0
        self._full_bytes = 0
        self._weights = OuterWeights(model)
        self.outer = outer_optimizer(outer, self._weights)
        lease = GroupLease(group)
        self._finalizer: weakref.finalize[..., Any] = weakref.finalize(self, lease.end)
        self._exchange = GroupExchange(lease.group, lease.number, group)
        alike: dict[str, Any] = {"every": every, **describe_model(model, self.outer)}
        self.averager = make_averager(compressor, self._exchange, algorithm, **alike)
        copy_from_rank_0(self._exchange, [*model.parameters(), *model.buffers()])
        self._weights.copy_from_model()
        self._buffers = LocalBuffers(model, self._exchange)
        self._pipeline: Pipeline[int] = Pipeline(self.averager)
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _end, self._pipeline.stages, lease)

    def __repr__(self) -> str:
        averager = self.averager
        return (
            f"DiLoCo(outer={type(self.outer).__name__}, compressor={averager.compressor!r}, "
            f"every={self.every}, algorithm={averager.algorithm!r})"
        )

    def step(self) -> bool:
        """Makes a step of the inner optimizer, and ends the round if it was the last one.

        Without ``inner``, call it after each step of your optimizer, also after one that a
        ``GradScaler`` has skipped on this rank: ranks must count the same steps.

        Returns:
            Whether the round has ended, so that all ranks have the same weights.

        Raises:
            RuntimeError: on all ranks: a rank has weights that are not finite, ranks have made
                different numbers of steps or have different outer weights; on some: a rank has
                stopped.
            CorruptFrameError: a frame was damaged in transit; names the sender.
        """
        self.averager.check_open()
        if self.inner is not None:
            self.inner.step()
        self.steps += 1
        self._steps_in_round += 1
        if self._steps_in_round < self.every:
            return False
        self._end_round("step()")
        return True

    def finish(self) -> None:
        """Ends the round now, if it has begun; all ranks must call it after the same step.

        Call it after training, and before all ranks evaluate or save the model.

        Raises:
            RuntimeError: see :meth:`step`.
            CorruptFrameError: see :meth:`step`.
        """
        self.averager.check_open()
        self._end_round("finish()")

    def _end_round(self, call: str) -> None:
        changed = self._weights.changed_parameters()
        gradients = [] if changed else self._weights.outer_gradients()
        buffers = self._agree(call, changed, self._weights.first_not_finite(gradients))
        if self._steps_in_round == 0:
            return
        has_trained = not all(is_zero(gradient) for gradient in gradients)
        try:
            self._average(gradients)
            with explaining(self._exchange.rank):
                self._buffers.average(buffers)
        except Exception:
            self.averager.end_step(False)
            raise
        self.averager.end_step(True)
        self._weights.step(self.outer, gradients)
        self._weights.copy_to_model()
        self.rounds += 1
        self._steps_in_round = 0
        if not has_trained:
            warn_user(
                "no weight has changed on this rank in this round: pass the inner optimizer, or "
                "call its step() before each step() of DiLoCo"
            )

    def _agree(self, call: str, changed: list[str], not_finite: str | None) -> list[str]:
        own = Arrival(
            call,
            self._steps_in_round,
            self._weights.checksum(),
            changed,
            not_finite,
            self._buffers.changed(),
        )
        with explaining(self._exchange.rank):
            return agree_on_round(self._exchange, own)

    def _average(self, gradients: Sequence[torch.Tensor]) -> None:
        """Averages outer gradients in place."""
        raw = self.averager.traffic.bytes_raw
        self._pipeline.begin_step()
        for index, gradient in enumerate(gradients):
            self._pipeline.average(index, gradient, ())
        self._pipeline.wait()
        if self.averager.step_is_void:
            raise RoundError("an outer gradient became infinite when it was compressed")
        raw = self.averager.traffic.bytes_raw - raw
        self._full_bytes += raw * self._steps_in_round

    def report(self) -> dict[str, Any]:
        """What was done and sent so far, for logs.

        Returns:
            Numbers and text. Bytes are those that this rank has sent since it created this object,
            or ("raw") would have sent with uncompressed outer gradients, or ("full") without local
            steps and without compression. The first weights and buffers are not counted.
        """
        return {
            "steps": self.steps,
            "rounds": self.rounds,
            "every": self.every,
            **report_setup(self.averager),
            **report_traffic([self.averager], self._buffers.bytes_sent),
            "full_bytes": self._full_bytes,
            "paths": sorted(set(self._pipeline.paths.names.values())),
        }

    def summary(self) -> str:
        """The :meth:`report` in words."""
        return rounds_in_words(self.report())

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to continue, for this rank's checkpoint.

        Save the state of the inner optimizer beside it, and in the middle of a round that of the
        model.

        Returns:
            Numbers, text and tensors: the outer weights, the outer optimizer, and the memory of
            each parameter by name. ``torch.load`` takes it with ``weights_only=True``.
        """
        shapes = self._weights.shapes()
        state = checkpoint.save(self.averager, self._weights.memories(self.averager))
        for name, tensor in state["tensors"].items():
            tensor["arrays"] = {
                kind: torch.from_numpy(array).reshape(shapes[name])
                for kind, array in tensor["arrays"].items()
            }
        return {
            **state,
            "weights": {name: weight.clone() for name, weight in self._weights.weights.items()},
            "buffers": dict(self._buffers.at_start),
            "outer": copy.deepcopy(self.outer.state_dict()),
            "steps": self.steps,
            "steps_in_round": self._steps_in_round,
            "model": self._weights.model_checksum() if self._steps_in_round else 0,
            "rounds": self.rounds,
        }

    def load_state_dict(self, state: Any, strict: bool = True) -> None:
        """Continues from a :meth:`state_dict`; with ``strict=True`` bit for bit.

        If it was saved between rounds, the model gets the outer weights. Otherwise load the state
        of the model that this rank has saved with it before, but after this object was created,
        which gives the model the weights of rank 0.

        Args:
            state: that of this rank; with ``strict=False`` a list of those of all ranks of the
                earlier run, or of at least one if other ranks pass the rest. The model then gets
                the outer weights: steps of an unfinished round are discarded.
            strict: whether the algorithm, world size and rank must be those of the earlier run. If
                not, all ranks must call this; they redistribute the memory of that run.

        Raises:
            ValueError: the pipeline or memory differs, or (if ``strict``) the algorithm, rank or
                world size; a rank's checkpoint is missing; or the parameters differ.
        """
        states = checkpoint.as_states(state, strict)
        if not states:
            raise ValueError("state is empty; each rank needs a checkpoint, for the outer weights")
        if not all("weights" in one for one in states):
            raise ValueError("pass what state_dict() of a DiLoCo returned, got something else")
        first = states[0]
        in_round = int(first["steps_in_round"]) if strict else 0
        if in_round and self._weights.model_checksum() != first["model"]:
            raise ValueError(
                f"the checkpoint is of step {in_round} of a round, in which ranks have different "
                "weights, but the model does not have those of this rank; load the model's "
                "checkpoint of this rank after DiLoCo was created, then call this"
            )
        self._weights.check({name: tuple(w.shape) for name, w in first["weights"].items()})
        memories = checkpoint.tensors_from(self.averager, states, strict)
        self._weights.keep_memories(self.averager, memories)
        for name, weight in self._weights.weights.items():
            weight.copy_(first["weights"][name])
        self.outer.load_state_dict(first["outer"])
        self.steps, self.rounds = first["steps"], first["rounds"]
        self._steps_in_round = in_round
        if self._steps_in_round == 0:
            self._weights.copy_to_model()
        self._buffers.at_start.update(first["buffers"])

    def close(self) -> None:
        """Ends the threads, releases the gloo group and discards all state.

        It does not call :meth:`finish`, as a rank with an error could not; it warns if the ranks'
        weights differ.
        """
        if self._steps_in_round and not self.averager.is_closed:
            warn_user(
                f"a DiLoCo was closed {self._steps_in_round} steps after its last outer step: the "
                "weights of ranks differ; call finish() first"
            )
        self._finalizer()
        for stage in self._pipeline.stages:
            stage.join()
        self._exchange.close()
        self.averager.close()


def _end(stages: Sequence[Stage], lease: GroupLease) -> None:
    """Ends the resources of a DiLoCo. Must not refer to it."""
    compress, exchange = stages
    compress.end(exchange.end)  # which may get work until then
    lease.end()
