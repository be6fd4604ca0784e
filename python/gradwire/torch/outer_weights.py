"""The weights at the start of a round of local steps, and what the round has changed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from gradwire._memory import TensorMemory
from gradwire._tensors import plain_tensor
from gradwire.exchange.averaging import Averager
from gradwire.exchange.interface import Exchange
from gradwire.exchange.layouts import Layout, join_memories, split_memory
from gradwire.torch.buckets import Shapes
from gradwire.torch.saturate import is_finite

_PIECE = 25 * 2**20 // 4
"""Elements in one frame, up to the end of a parameter: compressing and sending overlap."""


class OuterWeights:
    """The outer weights of a model: those that all ranks had when the round began.

    They are in host memory, in float32, or float64 for parameters of that dtype. Parameters that
    require no gradient have none.

    Args:
        model: parameters that modules share count once, by their first name.

    Raises:
        TypeError: a parameter is not a plain tensor of floats, for example a DTensor of FSDP.
        ValueError: no parameter requires a gradient.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.weights: dict[str, torch.Tensor] = {}
        """By the names of ``model.named_parameters()``."""
        for name, parameter in self.parameters().items():
            host = plain_tensor(parameter.detach().cpu(), to_write=False)
            wide = torch.promote_types(host.dtype, torch.float32)
            self.weights[name] = torch.empty(host.shape, dtype=wide).copy_(host)
        if not self.weights:
            raise ValueError("no parameter of the model requires a gradient")
        self.layouts = _pieces([(name, w.numel()) for name, w in self.weights.items()])
        """The parameters that one frame has."""

    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that require a gradient now, by name."""
        return {
            name.replace("_orig_mod.", ""): parameter  # put there by torch.compile
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters, by name."""
        return {name: tuple(weight.shape) for name, weight in self.weights.items()}

    def copy_to_model(self) -> None:
        """Gives the parameters the outer weights, rounded to their dtypes."""
        with torch.no_grad():
            for name, parameter in self.parameters().items():
                parameter.copy_(self.weights[name])

    def copy_from_model(self) -> None:
        """Makes the parameters the outer weights."""
        for name, parameter in self.parameters().items():
            self.weights[name].copy_(parameter.detach())

    def changed_parameters(self) -> list[str]:
        """Names of parameters that require a gradient now and did not at the start, or vice versa,
        and of those with another shape than at the start."""
        now = {name: tuple(p.shape) for name, p in self.parameters().items()}
        return sorted({name for name, _ in now.items() ^ self.shapes().items()})

    def outer_gradients(self) -> list[torch.Tensor]:
        """The parameters when the round began less the parameters now.

        Parameters began with their outer weights as rounded to their dtype, so that this rounding
        is no part of the outer gradient.

        Returns:
            For each of :attr:`layouts` a flat float32 tensor in host memory.
        """
        parameters = self.parameters()
        gradients = []
        for layout in self.layouts:
            flat = torch.empty(sum(count for _, count in layout))
            for (name, _), piece in zip(layout, _split(flat, layout)):
                now, weight = parameters[name].detach().cpu(), self.weights[name]
                begin = weight.to(now.dtype).to(weight.dtype)
                piece.view(weight.shape).copy_(begin - now.to(weight.dtype))
            gradients.append(flat)
        return gradients

    def first_not_finite(self, gradients: Sequence[torch.Tensor]) -> str | None:
        """The name of the first parameter whose outer gradient has NaN or infinity."""
        for flat, layout in zip(gradients, self.layouts):
            if not is_finite(flat):
                pieces = zip(layout, _split(flat, layout))
                return next(name for (name, _), piece in pieces if not is_finite(piece))
        return None

    def step(self, outer: torch.optim.Optimizer, gradients: Sequence[torch.Tensor]) -> None:
        """Lets an optimizer of :attr:`weights` make a step with these outer gradients."""
        for flat, layout in zip(gradients, self.layouts):
            for (name, _), piece in zip(layout, _split(flat, layout)):
                weight = self.weights[name]
                weight.grad = piece.view(weight.shape).to(weight.dtype)
        outer.step()
        for weight in self.weights.values():
            weight.grad = None

    def model_checksum(self) -> int:
        """The CRC-32 of the parameters now."""
        crc = 0
        for parameter in self.parameters().values():
            data = parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            crc = zlib.crc32(data.numpy(), crc)
        return crc

    def checksum(self) -> int:
        """The CRC-32 of the outer weights."""
        crc = 0
        for weight in self.weights.values():
            crc = zlib.crc32(weight.reshape(-1).numpy().view(np.uint8), crc)
        return crc

    def memories(self, averager: Averager) -> dict[str, TensorMemory]:
        """The memory of each parameter, by name."""
        found: dict[str, TensorMemory] = {}
        for index, layout in enumerate(self.layouts):
            found.update(split_memory(averager.held(str(index)), layout))
        return found

    def keep_memories(self, averager: Averager, memories: Mapping[str, TensorMemory]) -> None:
        """Replaces the memory of all parameters."""
        for index, layout in enumerate(self.layouts):
            memory = join_memories([memories.get(name) for name, _ in layout], layout)
            averager.keep(str(index), memory, sum(count for _, count in layout))

    def check(self, shapes: Shapes) -> None:
        """Raises ValueError unless a checkpoint with these parameters fits the model."""
        own = self.shapes()
        for name in sorted({*own, *shapes}):
            if own.get(name) != shapes.get(name):
                raise ValueError(
                    f"parameter {name} has shape {own.get(name)} in the model and "
                    f"{shapes.get(name)} in the checkpoint (None: it does not exist or requires "
                    "no gradient); create the model as it was when the checkpoint was saved"
                )


def _pieces(layout: Layout) -> list[Layout]:
    """Consecutive parameters, joined until they have ``_PIECE`` elements."""
    pieces: list[Layout] = []
    room = 0
    for name, count in layout:
        if room <= 0:
            pieces.append([])
            room = _PIECE
        pieces[-1].append((name, count))
        room -= count
    return pieces


def _split(flat: torch.Tensor, layout: Layout) -> Sequence[torch.Tensor]:
    parts: Sequence[torch.Tensor] = flat.split([count for _, count in layout])
    return parts


def copy_from_rank_0(exchange: Exchange, tensors: Sequence[torch.Tensor]) -> None:
    """Gives tensors the values that they have on rank 0; all ranks must call it.

    Args:
        exchange: of the ranks.
        tensors: of the same shapes and dtypes on all ranks.
    """
    own = torch.cat([t.detach().cpu().reshape(-1).view(torch.uint8) for t in tensors]).numpy()
    sent = [own if exchange.rank == 0 else own[:0]] * exchange.world_size
    first = torch.from_numpy(exchange.alltoall(sent, own.nbytes)[0])
    sizes = [t.numel() * t.element_size() for t in tensors]
    with torch.no_grad():
        for tensor, piece in zip(tensors, first.split(sizes)):
            tensor.copy_(piece.clone().view(tensor.dtype).view(tensor.shape))
