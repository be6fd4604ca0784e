"""The communication hook. DDP looks at its annotations, which must not be strings."""

import torch
import torch.distributed as dist

from gradwire.torch.state import CompressionState


def compressed_allreduce(
    state: CompressionState, bucket: dist.GradBucket
) -> torch.futures.Future[torch.Tensor]:
    """Averages a bucket of gradients: ``model.register_comm_hook(state, compressed_allreduce)``.

    It returns at once. Two threads of the state compress and exchange while the backward pass goes
    on.

    Raises:
        CorruptFrameError: from ``loss.backward()``: a frame was damaged on its way; names its rank.
        RuntimeError: from ``loss.backward()``: the exchange failed; a rank may have died.
    """
    return state.reduce(bucket)
