"""The state of the communication hook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist

from gradwire._checks import check_integer, check_loss_scale
from gradwire._pairs import check_takes_turns
from gradwire.compressor import Compressor
from gradwire.exchange import checkpoint
from gradwire.exchange.adapter import Closing
from gradwire.exchange.algorithms import check_algorithm
from gradwire.exchange.averaging import Averager
from gradwire.exchange.tuner import Tuner
from gradwire.quantizers import QSGD
from gradwire.torch.fsdp_groups import ReduceGroup
from gradwire.torch.fsdp_session import FSDPSession, group_of
from gradwire.torch.rules import Pattern, Rules
from gradwire.torch.session import DDPSession
from gradwire.torch.settings import Settings, group_or_default


class CompressionState(Closing):
    """State of :func:`compressed_allreduce` or :func:`compress_fsdp` for one model.

    All ranks must create their states in the same order. They compare their settings at once if
    torch.distributed is initialized, otherwise in the first backward pass. Frames are exchanged
    over a separate gloo group, so they never mix with DDP's collectives. CUDA tensors are
    quantized on the GPU or copied to pinned host memory; that path has not yet run on a GPU.

    A step does not change the memory of parameters that have no gradient, or only zeros, on this
    rank, or that no rank has used. A step in which an average is not finite counts as skipped, as
    it does for a loss scaler: it is undone in memory. A step may have several averaged backward
    passes; it ends when parameters are updated.

    :meth:`close`, the end of a ``with`` block, or garbage collection ends the threads and releases
    the gloo group. DDP holds a reference to the state.

    Args:
        process_group: that of the model; None for the default group.
        compressor: configure it identically on all ranks; its ``rank`` is overwritten here. Do not
            use it for anything else. None for ``Compressor(QSGD(4))``.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        fallback: whether to send buckets by plain all-reduce unless measurements show that
            compressing them clearly shortens the whole step. Ignored (False) if what is sent does
            not estimate the gradient, such as signs.
        loss_scale: returns the current loss scale: ``get_scale`` of a ``torch.amp.GradScaler``.
            See :class:`~gradwire.compressor.Compressor`.
        start_step: number of averaged backward passes to send uncompressed at first, when gradients
            change fastest.
        exclude: parameters to send uncompressed: patterns of names as in ``fnmatch``, such as
            ``"*.bias"``, or functions of name and parameter that say whether it is meant, such as
            ``lambda name, p: p.ndim < 2``; one or several.
        rules: compressors for some parameters in place of ``compressor``: a dict whose keys are
            as in ``exclude``. The first that matches counts, those in ``exclude`` before all.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: ranks have different settings or versions of gradwire, a compressor is in use
            already, or this rank is not in the process group; or there is a ``start_step``, but
            what is sent does not estimate the gradient.
    """

    __slots__ = ("__weakref__", "_is_closed", "_session", "_settings", "process_group")

    def __init__(
        self,
        process_group: dist.ProcessGroup | None = None,
        compressor: Compressor | None = None,
        algorithm: str = "auto",
        *,
        fallback: bool = True,
        loss_scale: Callable[[], float] | None = None,
        start_step: int = 0,
        exclude: Pattern | Sequence[Pattern] | None = None,
        rules: Mapping[Pattern, Compressor] | None = None,
    ) -> None:
        check_integer("start_step", start_step, 0)
        check_algorithm(algorithm)
        check_loss_scale(loss_scale)
        if isinstance(process_group, Compressor):
            raise TypeError("pass the compressor by name: CompressionState(compressor=...)")
        if not isinstance(compressor, Compressor) and compressor is not None:
            raise TypeError(f"compressor must be a gw.Compressor, got {compressor!r}")
        compressor = compressor or Compressor(QSGD(4))
        self._settings = Settings(
            compressor,
            algorithm,
            fallback and compressor.estimates_gradient,
            loss_scale,
            start_step,
            Rules(exclude, rules),
        )
        for one in self._settings.compressors() if start_step else ():
            check_takes_turns(one)
        self.process_group = process_group
        self._session: DDPSession | FSDPSession | None = None
        self._is_closed = False
        if dist.is_initialized():
            self._begin()

    def _begin(self) -> DDPSession | FSDPSession:
        """The session, which begins when this is first called: all ranks must call it."""
        self._check_open()
        if self._session is None:
            self._session = DDPSession(self._settings, group_or_default(self.process_group))
        return self._session

    @property
    def settings(self) -> Settings:
        """What the user has chosen."""
        return self._settings

    def begin_fsdp(self, groups: Sequence[ReduceGroup]) -> FSDPSession:
        """Begins the session of a model under FSDP: see :func:`compress_fsdp`."""
        self._check_open()
        former = self._session
        if isinstance(former, FSDPSession) or (former and not former.is_unused(self)):
            raise ValueError(
                "this CompressionState serves a model already; create a separate one for each model"
            )
        if self.process_group not in (None, group_of(groups)):
            raise ValueError(
                "compress_fsdp averages over a group of the mesh, that of replicas if there are "
                "any; create the state with this process_group or without one"
            )
        if former is not None:
            former.close()
        self.process_group = group_of(groups)
        self._session = session = FSDPSession(self._settings, groups)
        return session

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("this CompressionState was closed; create a new one for the model")

    def close(self) -> None:
        """Ends the threads and releases the gloo group; the hook must not be called afterward.

        This discards all state; save :meth:`state_dict` first.
        """
        self._is_closed = True
        if self._session is not None:
            self._session.close()

    def __reduce__(self) -> Any:
        if self._session is not None or self._is_closed:
            raise TypeError(
                "a CompressionState belongs to threads and a process group, so it cannot be copied "
                "or pickled; save its state_dict()"
            )
        return _restored, (self._settings,)

    def __repr__(self) -> str:
        settings, rules = self._settings, self._settings.rules
        options = f"algorithm={settings.algorithm!r}, fallback={settings.fallback}"
        options += f", start_step={settings.start_step}" if settings.start_step else ""
        options += f", exclude={rules.excluded}" if rules.excluded else ""
        options += f", rules={rules.given}" if rules.given else ""
        return f"CompressionState(compressor={settings.compressor!r}, {options})"

    def reduce(self, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        """The hook: see :func:`compressed_allreduce`."""
        session = self._begin()
        if isinstance(session, FSDPSession):
            raise ValueError(
                "this CompressionState serves a model under FSDP (compress_fsdp); create a "
                "separate one for each model"
            )
        return session.reduce(self, bucket)

    @property
    def compressor(self) -> Compressor:
        """The compressor of all parameters without a rule."""
        return self._settings.compressor

    @property
    def fallback(self) -> bool:
        """Whether buckets are sent uncompressed unless compressing them saves time."""
        return self._settings.fallback

    @property
    def start_step(self) -> int:
        """The number of averaged backward passes to send uncompressed at first."""
        return self._settings.start_step

    @property
    def averager(self) -> Averager:
        """Averages what ``compressor`` sends. Ranks have met, or do so now."""
        return self._begin().averager

    @property
    def tuner(self) -> Tuner:
        """Chooses which buckets are compressed. Ranks have met, or do so now."""
        return self._begin().tuner

    @property
    def steps(self) -> int:
        """The number of averaged backward passes so far."""
        return 0 if self._session is None else self._session.steps

    @property
    def enabled(self) -> bool:
        """Set it to False, between steps and on all ranks, to send all buckets uncompressed."""
        return self._settings.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if isinstance(self._session, FSDPSession) and not value:
            raise ValueError("FSDP sends all gradients compressed; enabled must be True")
        for compressor in self._settings.compressors() if not value else ():
            check_takes_turns(compressor)
        self._settings.enabled = bool(value)

    @property
    def saturated(self) -> int:
        """Number of averaged elements that were too large for their dtype, and were clipped."""
        return 0 if self._session is None else self._session.saturated

    def report(self) -> dict[str, Any]:
        """What the state does and has done, for logs.

        Returns:
            Numbers, text, and under "buckets" and "rules" lists of such dicts. Seconds are medians
            of the last measurements. Bytes are those that this rank sends, or ("raw") would send
            uncompressed. Before ranks have met, only what was chosen is known.
        """
        if self._session is not None:
            return self._session.report()
        return {"steps": 0, "phase": "no step yet", "pipeline": repr(self.compressor.pipeline)}

    def summary(self) -> str:
        """The :meth:`report` in words."""
        if self._session is not None:
            return self._session.summary()
        return f"no step yet: ranks meet in the first backward pass; {self!r}"

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to continue, for this rank's checkpoint. Call it between steps.

        Returns:
            Numbers, text and tensors, among them the memory of each parameter by name. After an
            error in a step, that is the state before the step.

        Raises:
            RuntimeError: torch.distributed is not initialized, or the state was closed.
        """
        return self._begin().save()

    def load_state_dict(self, state: Any, strict: bool = True) -> None:
        """Continues from a :meth:`state_dict`.

        The run continues bit for bit with ``strict=True`` and ``fallback=False`` (no choice by
        measured times), if the checkpoint was saved after DDP had rebuilt its buckets, which it
        does after the first step.

        Args:
            state: that of this rank; with ``strict=False`` a list of those of all ranks of the
                earlier run, or of some of them if other ranks pass the rest.
            strict: whether the algorithm, world size and rank must be those of the earlier run. If
                not, all ranks must call this; they redistribute what the ranks of that run held,
                so that nothing is lost.

        Raises:
            RuntimeError: torch.distributed is not initialized, or the state was closed.
            ValueError: the pipeline, memory or rules differ, or (if ``strict``) the algorithm, rank
                or world size; a rank's checkpoint is missing; or the model lacks parameters of
                these names and shapes, which the next step reports if the hook is not registered
                yet.
        """
        self._begin().load(self, checkpoint.as_states(state, strict), strict)

    def skip_step(self) -> None:
        """Undoes the last step in memory, because its averages are not applied.

        This is automatic if an average was not finite. It does nothing if parameters have been
        updated since the last backward pass.
        """
        self._begin().skip_step()

    def choices(self) -> dict[int, bool]:
        """Whether each bucket, or a part of it, is compressed now, by index; small ones never."""
        return {} if self._session is None else self._session.choices()


def _restored(settings: Settings) -> CompressionState:
    """A state that has been pickled before its ranks have met."""
    state = CompressionState.__new__(CompressionState)
    state._settings, state.process_group = settings, None
    state._session, state._is_closed = None, False
    return state
