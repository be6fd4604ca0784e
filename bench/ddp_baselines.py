"""Other hooks of DDP: torch's own, and what GRACE does in torch operations.

DDP looks at the annotations of hooks, which must not be strings.
"""

import math

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import (
    bf16_compress_hook,
    fp16_compress_hook,
)
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

Future = torch.futures.Future
BUCKET = 512
LEVELS = 4


def _gather_padded(payload: torch.Tensor) -> Future:
    """All ranks' bytes, each padded to the longest; and how many there are of each."""
    world = dist.get_world_size()
    sizes = [torch.empty(1, dtype=torch.int64) for _ in range(world)]
    dist.all_gather(sizes, torch.tensor([payload.numel()]))
    longest = max(int(size) for size in sizes)
    padded = torch.zeros(longest, dtype=torch.uint8)
    padded[: payload.numel()] = payload
    out = [torch.empty(longest, dtype=torch.uint8) for _ in range(world)]
    work = dist.all_gather(out, padded, async_op=True)

    def cut(_: Future) -> list[torch.Tensor]:
        return [piece[: int(size)] for piece, size in zip(out, sizes)]

    return work.get_future().then(cut)


def qsgd_hook(_: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """QSGD with 4 levels of buckets of 512, as int8 and float32 norms."""
    flat = bucket.buffer()
    count = flat.numel()
    buckets = math.ceil(count / BUCKET)
    x = torch.nn.functional.pad(flat, (0, buckets * BUCKET - count)).view(buckets, BUCKET)
    norms = x.norm(dim=1, keepdim=True)
    scaled = x.abs() * (LEVELS / norms.clamp_min(1e-30))
    below = scaled.floor()
    levels = (below + (torch.rand_like(x) < scaled - below)) * x.sign()
    payload = torch.cat(
        [norms.flatten().view(torch.uint8), levels.to(torch.int8).view(-1).view(torch.uint8)]
    )

    def average(future: Future) -> torch.Tensor:
        total = torch.zeros_like(x)
        for piece in future.value():
            scale = piece[: 4 * buckets].clone().view(torch.float32).view(buckets, 1) / LEVELS
            total += piece[4 * buckets :].view(torch.int8).view(buckets, BUCKET) * scale
        return flat.copy_(total.view(-1)[:count].div_(dist.get_world_size()))

    return _gather_padded(payload).then(average)


class TopKState:
    """Residuals by bucket."""

    def __init__(self, density: float) -> None:
        self.density = density
        self.residuals: dict[tuple[int, int], torch.Tensor] = {}


def topk_hook(state: TopKState, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """The largest elements as float32, with 32-bit indices and error feedback."""
    flat = bucket.buffer()
    key = (bucket.index(), flat.numel())
    total = flat + state.residuals[key] if key in state.residuals else flat.clone()
    chosen = total.abs().topk(max(1, int(state.density * flat.numel())), sorted=False).indices
    values = total[chosen]
    total[chosen] = 0
    state.residuals[key] = total
    payload = torch.cat([chosen.to(torch.int32).view(torch.uint8), values.view(torch.uint8)])

    def average(future: Future) -> torch.Tensor:
        flat.zero_()
        for piece in future.value():
            half = piece.numel() // 2
            indices = piece[:half].clone().view(torch.int32).long()
            flat.index_add_(0, indices, piece[half:].clone().view(torch.float32))
        return flat.div_(dist.get_world_size())

    return _gather_padded(payload).then(average)


def one_number_hook(_: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """Averages nothing but a single float: what waiting for each other alone costs."""
    buffer = bucket.buffer()
    work = dist.all_reduce(torch.zeros(1), async_op=True)
    return work.get_future().then(lambda _: buffer)


def bf16_hook(state: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """PyTorch's, which DDP refuses by its name where NCCL is missing, though gloo can add bf16."""
    return bf16_compress_hook(state, bucket)


def use(name: str, ddp: DistributedDataParallel) -> None:
    """Registers a hook by its name."""
    if name == "fp16 hook":
        ddp.register_comm_hook(None, fp16_compress_hook)
    elif name == "bf16 hook":
        ddp.register_comm_hook(None, bf16_hook)
    elif name == "PowerSGD hook":
        state = PowerSGDState(None, matrix_approximation_rank=1, start_powerSGD_iter=2)
        ddp.register_comm_hook(state, powerSGD_hook)
    elif name == "QSGD, torch":
        ddp.register_comm_hook(None, qsgd_hook)
    elif name == "Top-k, torch":
        ddp.register_comm_hook(TopKState(0.01), topk_hook)
    elif name == "one number":
        ddp.register_comm_hook(None, one_number_hook)
    else:
        raise ValueError(f"unknown hook {name!r}")
