"""The communication hook. DDP reads its annotations, which must not be strings."""

import torch
import torch.distributed as dist

from gradwire.torch.state import CompressionState


def compressed_allreduce(
    state: CompressionState, bucket: dist.GradBucket
) -> torch.futures.Future[torch.Tensor]:
    """Averages a bucket of gradients: ``model.register_comm_hook(state, compressed_allreduce)``.

    It returns at once. Two threads of ``state`` compress and exchange during the backward pass.

    Args:
        state: one for each model.
        bucket: from DDP.

    Returns:
        A future of the averaged bucket.

    Raises:
        TypeError: from ``loss.backward()``: ``state`` is no CompressionState, or ``bucket`` is not
            from DDP.
        CorruptFrameError: from ``loss.backward()``: a frame was damaged in transit; names the
            sender.
        RuntimeError: from ``loss.backward()``: the exchange failed; a rank may have died.
    """
    if not isinstance(state, CompressionState):
        raise TypeError(
            "compressed_allreduce needs a CompressionState: model.register_comm_hook("
            f"gw.torch.CompressionState(), gw.torch.compressed_allreduce); got {state!r}"
        )
    if not isinstance(bucket, dist.GradBucket):
        raise TypeError(
            "compressed_allreduce is a hook for DistributedDataParallel; under FSDP, call "
            "gw.torch.compress_fsdp(model, state) instead; "
            f"got a {type(bucket).__name__} instead of a bucket"
        )
    return state.reduce(bucket)
