"""Averages sparse gradients, such as those of embeddings, as frames of row numbers and of values.

Each rank sends the rows that it has: the gaps between their numbers, without loss, and the values.
These are quantized if the quantizer is unbiased, as nothing remembers what rounding leaves out;
otherwise they are sent without loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from gradwire._arrays import ByteArray
from gradwire._core import CorruptFrameError, Error
from gradwire._floats import FloatArray
from gradwire._pairs import missing_memory
from gradwire._quantizer import Quantizer
from gradwire.codecs import compress
from gradwire.compressor import Compressor
from gradwire.exchange.averaging import Averager
from gradwire.exchange.decoding import largest_frame
from gradwire.frames import decompress
from gradwire.gradient_frames import decompress_gradient
from gradwire.memory import NoMemory
from gradwire.quantizers import Lossless
from gradwire.torch.saturate import copy_saturated

Rows = npt.NDArray[np.int64]

_SIZE = 8  # bytes before the frame of row numbers that hold its size


class SparseRows:
    """Averages sparse gradients over all ranks.

    Args:
        averager: has the compressor whose quantizer is used, and the exchange.
    """

    def __init__(self, averager: Averager) -> None:
        self._averager = averager
        pipeline = averager.compressor.pipeline
        self._exact = self._values = _without_memory(averager, Lossless())
        if isinstance(pipeline, Quantizer) and not missing_memory(pipeline, NoMemory()):
            self._values = _without_memory(averager, pipeline)

    @property
    def steps(self) -> dict[str, int]:
        """The number of gradients of each tensor so far, which selects random numbers."""
        return dict(self._values.state_dict()["steps"])

    @steps.setter
    def steps(self, steps: dict[str, int]) -> None:
        self._values.load_state_dict({**self._values.state_dict(), "steps": steps})

    def compress(self, gradient: torch.Tensor, name: str) -> list[ByteArray]:
        """What this rank sends to all others.

        Args:
            gradient: sparse in its first dimension: values of shape (rows, ...).
            name: of the tensor.
        """
        begin = time.perf_counter()
        gradient = gradient.cpu().coalesce()
        rows: Rows = gradient.indices()[0].numpy()
        values = gradient.values()
        try:
            of_values = self._values.compress(values, name)
        except ValueError:  # not finite: the average shall say so, like a sum
            of_values = self._exact.compress(values, name)
        gaps = np.diff(rows, prepend=np.int64(0))
        of_rows = compress(gaps, threads=self._averager.compressor.threads)
        size = np.array([of_rows.size], np.int64).view(np.uint8)
        frame = np.concatenate([size, of_rows, of_values])
        exchange, traffic = self._averager.exchange, self._averager.traffic
        others = exchange.world_size - 1
        traffic.add("compress", time.perf_counter() - begin)
        traffic.add("bytes_raw", others * (rows.nbytes + values.numel() * values.element_size()))
        traffic.add("bytes_sent", exchange.traffic_of_allgather(frame.nbytes))
        return [frame]

    def complete(
        self, frames: Sequence[ByteArray], gradient: torch.Tensor
    ) -> tuple[torch.Tensor, int]:
        """The average over all ranks, and how many of its elements were clipped.

        Args:
            frames: of this rank, from :meth:`compress`.
            gradient: of this rank.

        Raises:
            CorruptFrameError: a frame was damaged; names its sender.
        """
        exchange, traffic = self._averager.exchange, self._averager.traffic
        shape = gradient.shape[1:]
        length = shape.numel()
        begin = time.perf_counter()
        limit = largest_frame(gradient.numel()) + largest_frame(gradient.shape[0])
        received = exchange.allgather(frames[0], limit)
        arrived = time.perf_counter()
        traffic.add("exchange", arrived - begin)
        decoded = [_decode(data, r, gradient.shape[0], length) for r, data in enumerate(received)]
        rows = np.unique(np.concatenate([own for own, _ in decoded]))
        dtype = np.dtype("float64" if gradient.dtype == torch.float64 else "float32")
        total = np.zeros((rows.size, length), dtype)
        world = len(decoded)
        for own, of_rank in decoded:
            total[np.searchsorted(rows, own)] += of_rank.astype(dtype, copy=False) / world
        average = torch.from_numpy(total)
        values = torch.empty(average.shape, dtype=gradient.dtype)
        clipped = copy_saturated(average, values)
        result = torch.sparse_coo_tensor(
            torch.from_numpy(rows)[None],
            values.reshape(-1, *shape),
            gradient.shape,
            check_invariants=True,
            is_coalesced=True,
        )
        traffic.add("decompress", time.perf_counter() - arrived)
        return result.to(gradient.device), clipped


def _without_memory(averager: Averager, quantizer: Quantizer) -> Compressor:
    """A compressor like that of the averager, with this quantizer and without a memory."""
    own = averager.compressor
    return Compressor(
        quantizer,
        own.codec,
        seed=own.seed,
        rank=averager.exchange.rank,
        nonfinite=own.nonfinite,
        threads=own.threads,
    )


def _decode(data: ByteArray, sender: int, count: int, length: int) -> tuple[Rows, FloatArray]:
    """The rows of one rank, of ``count`` in all, and their values, ``length`` in each row."""
    try:
        if data.size < _SIZE:
            raise CorruptFrameError(f"it has {data.size} bytes")
        size = int(data[:_SIZE].view(np.int64)[0])
        if not 0 <= size <= data.size - _SIZE:
            raise CorruptFrameError(f"its first part has {size} of {data.size} bytes")
        gaps = decompress(data[_SIZE:][:size], max_size=8 * count)
        rows: Rows = np.cumsum(gaps.reshape(-1), dtype=np.int64)
        if gaps.dtype != np.int64 or (gaps[1:] <= 0).any() or (gaps[:1] < 0).any():
            raise CorruptFrameError("its row numbers do not ascend")
        if rows.size and not 0 <= rows[-1] < count:
            raise CorruptFrameError(f"it has row {rows[-1]} of {count}")
        values = decompress_gradient(data[_SIZE + size :], max_size=8 * rows.size * length)
        if values.size != rows.size * length:
            raise CorruptFrameError(f"it has {values.size} values for {rows.size} rows")
    except Error as error:
        raise CorruptFrameError(
            f"the sparse gradient that rank {sender} sent cannot be decoded: {error}"
        ) from error
    return rows, values.reshape(rows.size, length)
