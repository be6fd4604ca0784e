"""Buckets that are sent by plain all-reduce."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.distributed as dist

from gradwire._memory import TensorMemory
from gradwire.exchange.averaging import Averager
from gradwire.memory import Residual
from gradwire.torch.paths import as_array
from gradwire.torch.saturate import copy_saturated, is_finite


class PlainBuckets:
    """Averages buckets of one model without compressing them.

    Args:
        averager: has the memories.
        group: of the model.
    """

    def __init__(self, averager: Averager, group: dist.ProcessGroup) -> None:
        self._averager = averager
        self._group = group
        self.bytes_sent = 0
        self.watches = False
        """Whether averages are checked for NaN and infinity, which make the step void."""

    def average(
        self, buffer: torch.Tensor, on_arrival: Callable[[], None] | None = None
    ) -> torch.futures.Future[torch.Tensor]:
        """Starts to average a bucket in place; ``on_arrival`` is called at its end."""
        world = self._group.size()
        self.bytes_sent += 2 * (world - 1) * _bytes_of(buffer) // world
        work = dist.all_reduce(buffer.div_(world), group=self._group, async_op=True)

        def finish(future: torch.futures.Future[list[torch.Tensor]]) -> torch.Tensor:
            if on_arrival is not None:
                on_arrival()
            average = future.value()[0]
            self.note(average)
            return average

        return work.get_future().then(finish)

    def note(self, average: torch.Tensor) -> None:
        """Takes note of an average: if it is not finite, the step is void."""
        if self.watches and not is_finite(average):
            self._averager.step_is_void = True

    def flush(self, index: int, buffer: torch.Tensor, used: Sequence[bool]) -> int:
        """Adds the memory of a bucket to its gradient, which is then sent by :meth:`average`.

        The memory of unused parameters stays, because DDP may discard their averages.
        Rounding errors in the dtype of the bucket stay as well.

        Returns:
            The number of elements that were too large for that dtype, and were clipped.
        """
        averager, name = self._averager, str(index)
        compressor = averager.compressor
        memory, held = compressor.memory, averager.held(name)
        if held is None or not isinstance(memory, Residual):
            return 0
        scale = compressor.current_loss_scale()
        left_out = averager.left_out(held).at(scale)[memory.unsent]
        rest = np.zeros_like(left_out)
        zeros = averager.untouched(as_array(buffer.cpu()), name)
        unused = [part for part, is_used in zip(averager.parts[name], used) if not is_used]
        for begin, end in {*zeros, *unused}:
            rest[begin:end] = left_out[begin:end]
            left_out[begin:end] = 0
        wide = torch.promote_types(buffer.dtype, torch.float32)
        given = buffer.to("cpu", wide)
        total = given + memory.beta * torch.from_numpy(left_out).to(wide)
        if wide == torch.float32 and not is_finite(total):
            total = given.double() + memory.beta * torch.from_numpy(left_out).double()
        clipped = copy_saturated(total, buffer)
        if wide != buffer.dtype:
            rest += (total - buffer.to("cpu", wide)).nan_to_num_(0, 0, 0).numpy()
        kept = TensorMemory({memory.unsent: rest}, scale) if rest.any() else None
        averager.keep(name, kept, rest.size, as_step=True)
        return clipped


def _bytes_of(tensor: torch.Tensor) -> int:
    """The bytes of the elements; of a sparse tensor, of its indices and values."""
    parts = [tensor._indices(), tensor._values()] if tensor.is_sparse else [tensor]
    return sum(part.numel() * part.element_size() for part in parts)
