"""What the communication hook keeps between buckets and steps."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from gradwire._arrays import ByteArray
from gradwire.agreement import agree, settings_of
from gradwire.averaging import make_averager
from gradwire.compressor import Compressor
from gradwire.memory import Residual
from gradwire.quantizers import QSGD
from gradwire.torch.buckets import Buckets
from gradwire.torch.collectives import GroupExchange
from gradwire.torch.stage import Stage
from gradwire.tuner import Tuner

SMALLEST = 4096
"""Elements of a bucket below which it goes plain: compressing it could not pay."""


class CompressionState:
    """State of :func:`compressed_allreduce` for one model. All ranks must create it, in one order.

    Args:
        process_group: of the model; None for the default group.
        compressor: makes and reads the frames; alike on all ranks, but that its rank is set here.
            None for ``Compressor(QSGD(4))``.
        algorithm: "allgather", "sharded", or "auto" to choose by world size.
        fallback: leave buckets to a plain all-reduce unless compressing them is measured to shorten
            the whole step clearly. Pipelines that do not send an estimate of the gradient, such as
            signs, have no fallback.

    Frames travel over a gloo group of their own, so that they never cross DDP's collectives. CUDA
    tensors pass through pinned host memory; that path is untested.

    Raises:
        ValueError: ranks have different settings, or versions of gradwire; says which.
    """

    __slots__ = (
        "_buckets",
        "_compressing",
        "_exchange",
        "_exchanging",
        "_failure",
        "_pending",
        "_plain_bytes",
        "averager",
        "compressor",
        "fallback",
        "process_group",
        "steps",
        "tuner",
    )

    def __init__(
        self,
        process_group: dist.ProcessGroup | None = None,
        compressor: Compressor | None = None,
        algorithm: str = "auto",
        *,
        fallback: bool = True,
    ) -> None:
        group = process_group or dist.group.WORLD
        if group is None:
            raise RuntimeError("call torch.distributed.init_process_group() first")
        compressor = compressor or Compressor(QSGD(4))
        compressor.rank = dist.get_rank(group)
        self.process_group = group
        self.compressor = compressor
        self.fallback = fallback and compressor.estimates_gradient
        self._exchange = GroupExchange(gloo_group(group))
        self.averager = make_averager(compressor, self._exchange, algorithm)
        self.tuner = Tuner(self._exchange.largest)
        self.steps = 0
        self._buckets = Buckets(self.averager)
        self._compressing = Stage("gradwire-compress")
        self._exchanging = Stage("gradwire-exchange")
        self._failure: Exception | None = None
        self._pending: list[torch.futures.Future[Any]] = []
        self._plain_bytes = 0
        agree(
            self._exchange,
            settings_of(compressor, algorithm=type(self.averager).__name__, fallback=self.fallback),
        )

    def reduce(self, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        """The hook: see :func:`compressed_allreduce`."""
        if self._failure is not None:
            raise self._failure
        index, buffer = bucket.index(), bucket.buffer()
        if index == 0:
            self._begin_step()
        if buffer.is_sparse or not buffer.is_floating_point():
            return self._plain(buffer)
        if self._buckets.update(index, bucket.parameters()):
            self.tuner.restart()
        if self._is_small(buffer.numel()):
            self._flush(index, buffer)  # what its parameters bring along from larger buckets
            return self._plain(buffer)
        self.tuner.begin(index)
        if self.fallback and not self.tuner.compresses(index):
            self._flush(index, buffer)
            return self._plain(buffer, index)
        return self._compressed(index, buffer)

    def summary(self) -> str:
        """What has been sent, how long it took, and what goes compressed at the moment."""
        traffic = self.averager.traffic
        raw = traffic.bytes_raw + self._plain_bytes
        sent = traffic.bytes_sent + self._plain_bytes
        chosen = [f"{i} {'compressed' if c else 'plain'}" for i, c in self.choices().items()]
        return "\n".join(
            [
                f"{self.steps} steps, {self._exchange.world_size} ranks, "
                f"{type(self.averager).__name__.lower()}, {self.compressor.pipeline!r}",
                f"raw {raw / 1e6:.1f} MB, sent {sent / 1e6:.1f} MB, "
                f"{raw / sent if sent else 1.0:.1f} times fewer",
                f"compress {traffic.compress:.3f} s, exchange {traffic.exchange:.3f} s, "
                f"decompress {traffic.decompress:.3f} s",
                f"buckets: {', '.join(chosen) or 'none'}",
            ]
        )

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to go on, for this rank's checkpoint. Call it between steps."""
        parameters = self._buckets.state_dict()
        compressors = [c.state_dict() for c in self.averager.compressors()]
        for state in compressors:
            state["memory"] = {}
        return {"parameters": parameters, "compressors": compressors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from :meth:`state_dict` of the same rank of a run with as many ranks.

        Raises:
            ValueError: it had another pipeline, memory or algorithm.
        """
        own, saved = self.averager.compressors(), state["compressors"]
        if len(own) != len(saved):
            raise ValueError(f"the state is not of {type(self.averager).__name__.lower()}")
        for compressor, kept in zip(own, saved):
            compressor.load_state_dict(kept)
        self._buckets.load_state_dict(state["parameters"])

    def _begin_step(self) -> None:
        self.steps += 1
        self._pending.clear()
        if self.fallback:
            self.tuner.begin_step()
        # DDP makes RuntimeErrors of all that fails in futures: this runs before DDP looks at them.
        # Outside of a backward pass, a rank that has joined sends zeros.
        with contextlib.suppress(RuntimeError):
            torch.autograd.Variable._execution_engine.queue_callback(self._raise_failure)

    def _is_small(self, count: int) -> bool:
        return count < SMALLEST and self.compressor.estimates_gradient

    def choices(self) -> dict[int, bool]:
        """Whether each bucket is compressed at the moment, by its index."""
        return {
            index: not self.fallback or self.tuner.compresses(index)
            for index, count in self._buckets.sizes().items()
            if not self._is_small(count)
        }

    def _plain(
        self, buffer: torch.Tensor, index: int | None = None
    ) -> torch.futures.Future[torch.Tensor]:
        world = self._exchange.world_size
        self._plain_bytes += 2 * (world - 1) * buffer.numel() * buffer.element_size() // world
        work = dist.all_reduce(buffer.div_(world), group=self.process_group, async_op=True)

        def finish(future: torch.futures.Future[list[torch.Tensor]]) -> torch.Tensor:
            if index is not None:
                self.tuner.end(index)
            return future.value()[0]

        return work.get_future().then(finish)

    def _flush(self, index: int, buffer: torch.Tensor) -> None:
        """Lets what memory holds of a bucket go with its plain gradient."""
        memory = self.compressor.memory
        left_out = self.averager.take(str(index), buffer.numel()).get(memory.unsent)
        if left_out is not None and isinstance(memory, Residual):
            buffer.add_(torch.from_numpy(left_out).to(buffer), alpha=memory.beta)

    def _compressed(self, index: int, buffer: torch.Tensor) -> torch.futures.Future[torch.Tensor]:
        on_cpu = buffer.device.type == "cpu"
        ready = None if on_cpu else torch.cuda.current_stream(buffer.device).record_event()
        future: torch.futures.Future[Any] = torch.futures.Future(
            devices=[] if on_cpu else [buffer.device]
        )
        self._pending.append(future)
        self._compressing.submit(partial(self._compress, index, buffer, ready, future))
        return future.then(_value)

    def _compress(
        self, index: int, buffer: torch.Tensor, ready: Any, future: torch.futures.Future[Any]
    ) -> None:
        try:
            self._check_failure()
            host = buffer if ready is None else _to_host(buffer, ready)
            frames = self.averager.compress(as_array(host), str(index))
        except Exception as error:
            self._fail(error, future)
            return
        self._exchanging.submit(partial(self._complete, index, frames, host, buffer, future))

    def _complete(
        self,
        index: int,
        frames: Sequence[ByteArray],
        host: torch.Tensor,
        buffer: torch.Tensor,
        future: torch.futures.Future[Any],
    ) -> None:
        try:
            self._check_failure()
            in_place = host.dtype == torch.float32 or self.averager.keeps_float64(host)
            average = host if in_place else torch.empty(host.numel(), dtype=torch.float32)
            self.averager.complete(frames, str(index), average.numpy())
            if average is not buffer:
                buffer.copy_(average)
            self.tuner.end(index)
        except Exception as error:
            self._fail(error, future)
            return
        future.set_result(buffer)

    def _fail(self, error: Exception, future: torch.futures.Future[Any]) -> None:
        if self._failure is None:
            self._failure = self._explain(error)
        future.set_result(self._failure)

    def _explain(self, error: Exception) -> Exception:
        if type(error) is not RuntimeError:
            return error
        explained = RuntimeError(
            f"rank {self._exchange.rank} could not exchange frames; "
            f"another rank may have stopped, look there first: {error}"
        )
        explained.__cause__ = error
        return explained

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _raise_failure(self) -> None:
        """At the end of the backward pass, where DDP waits too."""
        for future in self._pending:
            future.wait()
        self._check_failure()


def gloo_group(group: dist.ProcessGroup) -> dist.ProcessGroup:
    """A new gloo group of the same ranks, with the same timeout."""
    device = torch.device("cuda" if dist.get_backend(group) == "nccl" else "cpu")
    return dist.new_group(
        dist.get_process_group_ranks(group),
        timeout=group._get_backend(device).options._timeout,
        backend="gloo",
        use_local_synchronization=True,
    )


def as_array(tensor: torch.Tensor) -> Any:
    """A tensor without a copy as NumPy array, if NumPy knows its type."""
    return tensor if tensor.dtype == torch.bfloat16 else tensor.numpy()


def _to_host(buffer: torch.Tensor, ready: Any) -> torch.Tensor:
    ready.synchronize()
    host = torch.empty(buffer.shape, dtype=buffer.dtype, pin_memory=True)
    return host.copy_(buffer)


def _value(future: torch.futures.Future[Any]) -> torch.Tensor:
    value = future.value()
    if isinstance(value, Exception):
        raise value
    return value
