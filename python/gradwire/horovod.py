"""Horovod: averages the gradients of a PyTorch optimizer by exchanging compressed frames.

hvd.broadcast_parameters(model.state_dict(), root_rank=0)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
optimizer = gw.horovod.DistributedOptimizer(
    optimizer, model.named_parameters(), gw.Compressor(gw.QSGD(4))
)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError
from gradwire._extras import needs
from gradwire.compressor import Compressor
from gradwire.exchange import checkpoint
from gradwire.exchange.algorithms import make_averager
from gradwire.exchange.interface import Exchange, check_sizes

with needs("horovod", "torch"):
    import torch
with needs("horovod"):
    import horovod.torch as hvd

from gradwire.torch.saturate import copy_saturated, is_finite

SMALLEST = 4096
"""Smaller parameters (in elements) are not compressed, because that would not pay off."""


class HorovodExchange(Exchange):
    """Exchanges exactly the bytes of each rank, without padding. Call ``hvd.init()`` first."""

    def __init__(self) -> None:
        self.rank = hvd.rank()
        self.world_size = hvd.size()

    def allgather(self, data: ByteArray, limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.allgather`."""
        sizes = hvd.allgather(torch.tensor([data.size]), name="gradwire.sizes").tolist()
        check_sizes(sizes, limit)
        return _split(hvd.allgather(_tensor(data), name="gradwire.data"), sizes)

    def start_allgather(
        self, data: ByteArray, limit: int, name: str
    ) -> Callable[[], list[ByteArray]]:
        """Starts an :meth:`allgather`; the function that it returns waits for the result.

        Ranks may start transfers with different names in different orders. Sizes are sent at the
        same time as the data, so Horovod has allocated memory for the data before they are checked.
        """
        announced = hvd.allgather_async(torch.tensor([data.size]), name=f"gradwire.sizes.{name}")
        arriving = hvd.allgather_async(_tensor(data), name=f"gradwire.data.{name}")

        def finish() -> list[ByteArray]:
            sizes = hvd.synchronize(announced).tolist()
            check_sizes(sizes, limit)
            return _split(hvd.synchronize(arriving), sizes)

        return finish

    def alltoall(self, data: Sequence[ByteArray], limit: int) -> list[ByteArray]:
        """See :meth:`Exchange.alltoall`."""
        outgoing = torch.tensor([d.size for d in data], dtype=torch.int32)
        sizes = hvd.alltoall(outgoing, name="gradwire.sizes").tolist()
        check_sizes(sizes, limit)
        arrived, _ = hvd.alltoall(_tensor(np.concatenate(data)), outgoing, name="gradwire.data")
        return _split(arrived, sizes)


def DistributedOptimizer(
    optimizer: torch.optim.Optimizer,
    named_parameters: Iterable[tuple[str, torch.Tensor]],
    compressor: Compressor,
    algorithm: str = "auto",
    loss_scale: Callable[[], float] | None = None,
) -> torch.optim.Optimizer:
    """Makes an optimizer average gradients over all ranks before each step. All ranks must call it.

    Frames are sent during the backward pass. Parameters of fewer than 4096 elements are averaged
    uncompressed, if what the compressor sends estimates the gradient. A parameter without a
    gradient on this rank counts as zeros, as with Horovod's optimizer. Sparse gradients become
    dense.

    The optimizer gets new methods. ``synchronize()`` finishes the averages before ``step()``, for
    example to clip or unscale them. To accumulate gradients, run all backward passes of a step
    except the last ``with optimizer.no_sync():``. ``compression_state_dict()`` and
    ``load_compression_state_dict(state, strict=True)`` are for each rank's checkpoint, see
    :meth:`gradwire.mpi.Averager.load_state_dict`.

    A step in which an average is not finite counts as skipped, as it does for a loss scaler: it is
    undone in memory. To skip a step for another reason, call ``skip_step()`` instead of ``step()``.

    Args:
        optimizer: of any class; it is changed and returned.
        named_parameters: (name, parameter) pairs, including all parameters of the optimizer, in the
            same order on all ranks. The names identify gradients and their memory.
        compressor: configure it identically on all ranks; its ``rank`` is overwritten here. Do
            not use it for anything else.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        loss_scale: returns the current loss scale, see :class:`~gradwire.compressor.Compressor`.

    Raises:
        ValueError: ranks have different settings, the compressor is in use already, or a parameter
            has no name.
        CorruptFrameError: from ``step()``: a frame was damaged in transit; names the sender.
        RuntimeError: from ``loss.backward()``: a second backward pass without a step in between.
    """
    own = {p for group in optimizer.param_groups for p in group["params"]}
    named = dict(named_parameters)
    if not own <= set(named.values()):
        raise ValueError("named_parameters must name all parameters of the optimizer")
    parameters = {name: p for name, p in named.items() if p in own and p.requires_grad}
    gradients = _Gradients(parameters, compressor, algorithm, loss_scale)
    optimizer.register_step_pre_hook(gradients.before_step)
    optimizer.synchronize = gradients.synchronize
    optimizer.no_sync = gradients.no_sync
    optimizer.register_step_post_hook(gradients.after_step)
    optimizer.skip_step = gradients.skip_step
    optimizer.compression_state_dict = partial(checkpoint.state_dict, gradients.averager)
    optimizer.load_compression_state_dict = partial(checkpoint.load_state_dict, gradients.averager)
    return optimizer


class _Gradients:
    """Averages the gradients of parameters as they become ready."""

    def __init__(
        self,
        parameters: dict[str, torch.Tensor],
        compressor: Compressor,
        algorithm: str,
        loss_scale: Callable[[], float] | None,
    ) -> None:
        self._parameters = parameters
        self.averager = make_averager(compressor, HorovodExchange(), algorithm, loss_scale)
        self._pending: dict[str, Callable[[], torch.Tensor]] = {}
        self._accumulating = False
        self._synchronized = False
        for name, parameter in parameters.items():
            parameter.register_post_accumulate_grad_hook(partial(self._ready, name))

    def synchronize(self) -> None:
        """Replaces all gradients with their averages."""
        try:
            self._average_all()
        except BaseException:
            self.averager.end_step(applied=False)
            raise
        if self.averager.step_is_void:
            self.averager.end_step(applied=False)
        else:
            self.averager.go_on()
        self._synchronized = True

    def _average_all(self) -> None:
        for name, parameter in self._parameters.items():
            if name not in self._pending:
                self._start(name, parameter)
        pending, self._pending = self._pending, {}
        for name, parameter in self._parameters.items():  # "sharded" needs one order on all ranks
            copy_saturated(pending[name]().view_as(parameter), parameter.grad)
            if not is_finite(parameter.grad):
                self.averager.step_is_void = True

    def skip_step(self) -> None:
        """Undoes in memory all that followed the last ``step()``."""
        if not self._synchronized:
            self.synchronize()
        self.averager.end_step(applied=False)
        self._synchronized = False

    def after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """The hook that runs after ``step`` has updated the parameters."""
        self.averager.end_step(applied=True)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Backward passes inside only accumulate gradients, and send nothing."""
        self._accumulating = True
        try:
            yield
        finally:
            self._accumulating = False

    def before_step(self, optimizer: Any, args: Any, kwargs: Any) -> Any:
        """The hook that runs before ``step``; averages gradients after each call of a closure."""
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            self._settle()
            return None

        def averaged() -> Any:
            loss = closure()
            self._settle()
            return loss

        return (optimizer, averaged), {}

    def _settle(self) -> None:
        if not self._synchronized:
            self.synchronize()
        self._synchronized = False

    def _ready(self, name: str, parameter: torch.Tensor) -> None:
        self._synchronized = False
        if self._accumulating:
            return
        if name in self._pending:
            raise RuntimeError(
                f"parameter {name} has a second gradient without a step in between; "
                "accumulate gradients within optimizer.no_sync()"
            )
        self._start(name, parameter)

    def _start(self, name: str, parameter: torch.Tensor) -> None:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        elif parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()
        flat = parameter.grad.detach().reshape(-1)
        small = flat.numel() < SMALLEST and self.averager.compressor.estimates_gradient
        self._pending[name] = (self._plain if small else self._compressed)(name, flat)

    def _plain(self, name: str, flat: torch.Tensor) -> Callable[[], torch.Tensor]:
        wide = flat.to(torch.promote_types(flat.dtype, torch.float32))  # Horovod has no bfloat16
        return partial(hvd.synchronize, hvd.allreduce_async(wide, name=f"gradwire.{name}"))

    def _compressed(self, name: str, flat: torch.Tensor) -> Callable[[], torch.Tensor]:
        out = self.averager.room_for(flat)
        finish = self.averager.start(self.averager.compress(flat.cpu(), name), name, out)

        def arrive() -> torch.Tensor:
            finish()
            return torch.from_numpy(out)

        return arrive


def _tensor(data: ByteArray) -> torch.Tensor:
    return torch.from_numpy(np.require(data, requirements="W"))


def _split(data: torch.Tensor, sizes: list[int]) -> list[ByteArray]:
    if data.numel() != sum(sizes):
        raise CorruptFrameError("the sizes of the received frames are not those announced")
    return np.split(data.numpy(), np.cumsum(sizes)[:-1])
