"""Models under FSDP2, and data, for the tests of compress_fsdp."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

import gradwire as gw

_MESHES: list[DeviceMesh] = []


def mesh() -> DeviceMesh:
    """Two replicas of two shards on four ranks, one replica otherwise."""
    if not _MESHES:
        sizes, names = ((2, 2), ("replicate", "shard")) if is_hsdp() else ((_world(),), ("shard",))
        _MESHES.append(init_device_mesh("cpu", sizes, mesh_dim_names=names))
    return _MESHES[0]


def is_hsdp() -> bool:
    """Whether there are replicas."""
    return _world() == 4


def _world() -> int:
    return dist.get_world_size()


def shard(model: nn.Module, **options: Any) -> Any:
    """Under FSDP2: one group for each child, and one for what remains."""
    for child in model.children():
        if any(True for _ in child.parameters()):
            fully_shard(child, mesh=mesh(), **options)
    return fully_shard(model, mesh=mesh(), **options)


def network() -> nn.Module:
    """Some 7,000 parameters, whose shards are uneven on three ranks."""
    torch.manual_seed(1)
    layers = [nn.Linear(100, 50), nn.Tanh(), nn.Linear(50, 31), nn.Tanh(), nn.Linear(31, 10)]
    return nn.Sequential(*layers)


class Transformer(nn.Module):
    """Two layers of 12,000 parameters, and embeddings in the root module's group."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embed = nn.Parameter(torch.randn(16, 32) / 4)
        one = {"d_model": 32, "nhead": 4, "dim_feedforward": 64, "dropout": 0.0}
        self.first = nn.TransformerEncoderLayer(**one, batch_first=True)
        self.second = nn.TransformerEncoderLayer(**one, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(self.embed[x])) @ self.embed.T


def compressed(
    model: Any, compressor: gw.Compressor, **options: Any
) -> tuple[Any, gw.torch.CompressionState]:
    """With compress_fsdp."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pipelines without the memory that they need
        state = gw.torch.CompressionState(compressor=compressor, **options)
        gw.torch.compress_fsdp(model, state)
    return model, state


def with_residual(levels: int = 4) -> gw.Compressor:
    """QSGD with error feedback."""
    return gw.Compressor(gw.QSGD(levels), memory=gw.Residual())


def data(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of this rank."""
    generator = torch.Generator().manual_seed(1000 * step + dist.get_rank())
    x = torch.randn(32, 100, generator=generator)
    return x, (x[:, 0] > 0).long()


def backward(model: Any, step: int) -> torch.Tensor:
    """One backward pass; returns the loss."""
    x, y = data(step)
    loss = nn.functional.cross_entropy(model(x).float(), y)
    loss.backward()
    return loss.detach()


def train(model: Any, steps: int, first: int = 0) -> list[float]:
    """Some steps of SGD; returns the mean loss of all ranks in each."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    losses = []
    for step in range(first, first + steps):
        loss = backward(model, step)
        optimizer.step()
        optimizer.zero_grad()
        dist.all_reduce(loss)
        losses.append(float(loss) / _world())
    return losses


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that this rank has."""
    tensor = tensor.detach()
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).clone()


def shards(model: nn.Module) -> list[torch.Tensor]:
    """Of all parameters."""
    return [local(p) for p in model.parameters()]


def gradients(model: nn.Module) -> list[torch.Tensor]:
    """Shards of all gradients."""
    return [local(p.grad) for p in model.parameters() if p.grad is not None]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    """Bit for bit."""
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other))


def assert_replicas_agree(model: nn.Module) -> None:
    """Bit for bit."""
    mine = torch.cat([one.reshape(-1).double() for one in shards(model)])
    assert torch.isfinite(mine).all()
    if is_hsdp():
        group = mesh().get_group("replicate")
        everyone = [torch.empty_like(mine) for _ in range(2)]
        dist.all_gather(everyone, mine, group=group)
        assert torch.equal(*everyone)


def held(state: gw.torch.CompressionState) -> dict[str, torch.Tensor]:
    """What this rank has still to send, by parameter."""
    unsent = state.compressor.memory.unsent
    tensors = state.state_dict()["tensors"]
    return {name: tensor["arrays"][unsent].double() for name, tensor in tensors.items()}


def set_all(model: nn.Module, setter: str, *values: Any) -> None:
    """Calls a setter of FSDP, which is not recursive, for all modules."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            getattr(module, setter)(*values)


def lossless() -> gw.Compressor:
    """Every bit of the gradient."""
    return gw.Compressor(gw.Lossless())


def assert_alike(plain: nn.Module, other: nn.Module) -> None:
    """The same bits if two ranks are averaged; three are added up in another order."""
    if dist.get_world_size() == 3:
        for one, two in zip(shards(plain), shards(other)):
            torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    else:
        assert same(shards(plain), shards(other))
