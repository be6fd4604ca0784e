"""Compressed gradients under FSDP2 (``torch.distributed.fsdp.fully_shard``)."""

from __future__ import annotations

from torch import nn

from gradwire.torch.fsdp_groups import ReduceGroup, groups_of
from gradwire.torch.settings import Settings
from gradwire.torch.state import CompressionState


def compress_fsdp(model: nn.Module, state: CompressionState) -> None:
    """Has a model under FSDP2 average its gradients with compression.

    Call it after ``fully_shard``, before the first step. On a mesh of one dimension, compressed
    frames replace the reduce-scatter. On a mesh of two dimensions (HSDP), gradients are
    reduce-scattered as they are within the shard group, and compressed frames replace the
    all-reduce over replicas. Parameters are gathered uncompressed as before.

    Each parameter group, that is, the parameters of each call of ``fully_shard``, is compressed in
    one piece. ``fallback`` of the state has no effect: all groups are compressed.

    Args:
        model: has modules under FSDP2. All ranks must call this, for the same models in the same
            order.
        state: of no other model, without ``process_group``, ``start_step``, ``exclude`` and
            ``rules``. With a mesh of one dimension also without ``algorithm``.

    Raises:
        TypeError: ``model`` is not under FSDP2, or ``state`` is no CompressionState.
        ValueError: the model or the state is in use already; the state has settings that FSDP does
            not allow; its compressor sends votes on signs; or ranks have different settings.
        RuntimeError: this version of PyTorch lacks what is needed, or the state was closed.
    """
    if not isinstance(state, CompressionState):
        raise TypeError(
            "compress_fsdp needs a CompressionState: gw.torch.compress_fsdp(model, "
            f"gw.torch.CompressionState()); got {state!r}"
        )
    groups = groups_of(model)
    for group in groups:
        if group.reducer is not None and not group.reducer.is_closed:
            raise ValueError(
                "compress_fsdp was called for this model already; close() the state that it has "
                "before you give it another one"
            )
    _check_settings(state.settings, groups[0])
    session = state.begin_fsdp(groups)
    for group in groups:
        group.connect(session)


def _check_settings(settings: Settings, group: ReduceGroup) -> None:
    problem = ""
    if settings.compressor.votes:
        problem = (
            f"{settings.compressor!r} sends votes on signs, but FSDP divides sums by the number of "
            "ranks; use another pipeline, such as EFSignSGD"
        )
    elif settings.rules:
        problem = (
            "a parameter group of FSDP is sent in one piece; create the state without exclude and "
            "rules"
        )
    elif settings.start_step or not settings.enabled:
        problem = (
            "FSDP sends all gradients compressed; create the state without start_step, leave "
            "enabled True, and call compress_fsdp later to begin with plain steps"
        )
    elif settings.algorithm != "auto" and group.replicate_group is None:
        problem = (
            "without replicas there is one algorithm, a reduce-scatter of frames; create the state "
            f"without algorithm={settings.algorithm!r}"
        )
    if problem:
        raise ValueError(problem)
