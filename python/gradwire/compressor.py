"""Compressors: turn a float gradient into one frame of bytes, and back."""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradwire import _core
from gradwire._arrays import ByteArray
from gradwire._call import as_call
from gradwire._checks import check_integer, check_loss_scale
from gradwire._core import FloatType
from gradwire._device import HOST, Device
from gradwire._floats import FLOAT_TYPES, Float32Array, FloatArray, as_floats, to_finite, to_float32
from gradwire._memory import Draft, Memory, Ranges
from gradwire._pairs import check_pair, votes
from gradwire._quantizer import Quantizer, stream_of, zeroes_nonfinite
from gradwire._sparsifier import Sparsifier
from gradwire.codecs import Codec, as_codec
from gradwire.gradient_frames import decompress_gradient
from gradwire.memory import NoMemory, SignMomentum
from gradwire.quantizers import Lossless, Signum


class Compressor:
    """Turns gradients into frames, with a quantizer or sparsifier, a codec, and a memory.

    Args:
        pipeline: a quantizer (:mod:`gradwire.quantizers`) or sparsifier
            (:mod:`gradwire.sparsifiers`).
        codec: the codec for the integers, as a key or an object.
        memory: what to do with what is left out (:mod:`gradwire.memory`); None for nothing, or for
            the momentum of :class:`~gradwire.quantizers.Signum`. With a memory, levels are rounded
            to nearest, see :class:`~gradwire.memory.Residual`.
        seed: selects the random numbers.
        rank: of this process; each rank draws independent random numbers.
        world_size: number of ranks whose gradients are averaged, which ``clip`` of
            :class:`~gradwire.memory.DGCMomentum` needs. Averagers set it, and ``rank``.
        nonfinite: "error" to refuse NaN and infinity, "zero" to send them as 0. With "zero", a loss
            scaler never sees an overflow, and its scale grows without limit.
        threads: at most this many; None for the default.
        loss_scale: returns the current loss scale, for example ``scaler.get_scale`` of a
            ``torch.amp.GradScaler``. The memory is then rescaled when the scale changes. Otherwise
            what was left out is added back too large when the scale has fallen, and too small when
            it has grown. Averagers multiply the votes of :class:`~gradwire.quantizers.SignSGD` by
            it, so that they are -1, 0 or 1 once the scaler has divided.

    Raises:
        TypeError, ValueError: an argument is wrong, or does not go with the others.

    >>> import gradwire as gw
    >>> import numpy as np
    >>> compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
    >>> gradient = np.random.default_rng(0).laplace(size=(100, 1000)).astype(np.float32)
    >>> frame = compressor.compress(gradient, name="weight")
    >>> gradient.nbytes / frame.nbytes > 35
    True
    >>> total = np.zeros_like(gradient)
    >>> for received in [frame, frame]:
    ...     _ = compressor.decompress(received, out=total, accumulate=True, scale=1 / 2)
    >>> bool(np.allclose(total, compressor.decompress(frame)))
    True
    """

    def __init__(
        self,
        pipeline: Quantizer | Sparsifier,
        codec: str | Codec = "entropy",
        memory: Memory | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        nonfinite: str = "error",
        threads: int | None = None,
        loss_scale: Callable[[], float] | None = None,
    ) -> None:
        if memory is None:
            memory = SignMomentum(pipeline.momentum) if isinstance(pipeline, Signum) else NoMemory()
        check_pair(pipeline, memory)
        check_loss_scale(loss_scale)
        check_integer("world_size", world_size, 1)
        self.pipeline = pipeline
        self.memory = memory
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.threads = threads
        self.nonfinite = nonfinite
        self.loss_scale = loss_scale
        self._owner: weakref.ref[object] | None = None
        self._zero = zeroes_nonfinite(nonfinite)
        if isinstance(codec, Memory):
            raise TypeError(f"pass the memory by name: memory={codec!r}")
        self.codec = as_codec(codec, threads)
        self._steps: dict[str, int] = {}
        self._core = self._make_core()

    def _make_core(self) -> _core.Quantizer:
        pipeline = self.pipeline
        quantizer = pipeline if isinstance(pipeline, Quantizer) else pipeline.values
        core = (quantizer if isinstance(quantizer, Quantizer) else Lossless()).core()
        return core if isinstance(self.memory, NoMemory) else core.to_nearest()

    def __repr__(self) -> str:
        """The call that makes it, without what adapters set: rank, world size and loss scale."""
        return as_call(self, leave_out=("rank", "world_size", "loss_scale"))

    def __getstate__(self) -> dict[str, Any]:
        kept = {k: v for k, v in self.__dict__.items() if k not in ("_core", "_owner")}
        return {**kept, "_steps": dict(self._steps)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _owner=None)
        self._core = self._make_core()

    def __deepcopy__(self, memo: dict[int, Any]) -> Compressor:
        memo[id(self.loss_scale)] = self.loss_scale  # a copied scaler would never be updated
        other = object.__new__(type(self))
        other.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return other

    def claim(self, owner: object) -> None:
        """Makes ``owner`` the only user of this compressor as long as it exists.

        Raises:
            ValueError: the compressor has another user, or memory of earlier gradients.
        """
        former = None if self._owner is None else self._owner()
        if former is not None or (self._owner is None and self.memory.names()):
            raise ValueError(
                "this compressor is in use already, and two users would mix their memories; create "
                "one for each state and each rule, or close() the object that uses this one, or if "
                "there is none, call compressor.reset()"
            )
        if self._owner is not None:
            self.reset()
        self._owner = weakref.ref(owner)

    def release(self) -> None:
        """Ends :meth:`claim` and discards all state."""
        self._owner = None
        self.reset()

    def reset(self) -> None:
        """Discards all state, as if nothing had been compressed."""
        self.memory.clear()
        self._steps.clear()
        if isinstance(self.pipeline, Sparsifier):
            self.pipeline.load_state_dict({})

    @property
    def estimates_gradient(self) -> bool:
        """Whether what is sent estimates the gradient, not its signs or another kind of update."""
        pipeline = self.pipeline
        values = pipeline if isinstance(pipeline, Quantizer) else pipeline.values
        return self.memory.keeps_scale and getattr(values, "keeps_scale", True)

    @property
    def votes(self) -> bool:
        """Whether votes on the sign of an update are sent, not magnitudes."""
        return votes(self.pipeline)

    def compress(self, x: Any, name: str | None = None, untouched: Ranges = ()) -> ByteArray:
        """Compresses a gradient.

        Args:
            x: float32, float16, bfloat16 or float64, any shape; a NumPy array or torch CPU tensor.
            name: of the tensor; each name has separate memory and random numbers.
            untouched: (begin, end) of flat ranges whose memory this step leaves unchanged, because
                the receivers may discard them. ``x`` must be 0 there; 0 is sent.

        Returns:
            The frame: a 1-D uint8 array. :meth:`decompress` needs nothing else, except the code
            book if the codec has a shared one.

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: an element is NaN or infinite, and ``nonfinite`` is "error"; or the tensor
                of this name had another number of elements before.

        After any exception, KeyboardInterrupt and MemoryError included, the memory is unchanged.
        """
        array, kind = as_floats(x)
        work = partial(self._frame_of, array, kind)
        return self.run_step(work, name or "", array.size, untouched)

    def run_step(
        self,
        work: Callable[[Draft, int], ByteArray],
        name: str,
        count: int,
        untouched: Ranges = (),
        device: Device = HOST,
    ) -> ByteArray:
        """Runs a step of a tensor. If that raises, all state is as before.

        Args:
            work: makes the frame, given the memory and the number of the step.
            name: of the tensor.
            count: number of its elements.
            untouched: see :meth:`compress`.
            device: of its gradient.
        """
        step = self._steps.get(name, 0)
        fitted = self.pipeline.fitted(name) if isinstance(self.pipeline, Sparsifier) else None
        draft = self.memory.draft(name, count, self.current_loss_scale(), device)
        draft.world_size = self.world_size
        try:
            with draft.untouched(untouched):
                frame = work(draft, step)
            self.memory.commit(draft)
            self._steps[name] = step + 1
            return frame
        except BaseException:
            self.memory.roll_back(draft)
            self._steps[name] = step
            if isinstance(self.pipeline, Sparsifier):
                self.pipeline.fit_again(name, fitted)
            raise

    def skip_step(self, names: Iterable[str] = ("",)) -> None:
        """Undoes the last gradient of each of these tensors in memory.

        For hand-written loops: call it when the averages of a step are not applied, for example
        because a loss scaler has found infinity in them. Otherwise what the step sent is lost.

        Args:
            names: exactly those of the tensors that were compressed in this step.

        Raises:
            TypeError: ``names`` is one string.
        """
        if isinstance(names, str):
            raise TypeError(f"names must be a sequence of names, got one string; pass [{names!r}]")
        for name in names:
            self.memory.take_back(name)

    def current_loss_scale(self) -> float:
        """The result of ``loss_scale``, or 1 if that is None."""
        scale = 1.0 if self.loss_scale is None else float(self.loss_scale())
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"loss_scale() must return a positive finite number, got {scale}")
        return scale

    def decompress(
        self,
        frame: Any,
        out: Any = None,
        accumulate: bool = False,
        scale: float = 1.0,
        max_size: float | None = None,
    ) -> Any:
        """Decodes a gradient frame; see :func:`gradwire.decompress_gradient`."""
        return decompress_gradient(frame, out, accumulate, scale, max_size, self.threads)

    def state_dict(self) -> dict[str, Any]:
        """All state that a run needs to continue exactly as if it had not stopped."""
        state: dict[str, Any] = {
            "kind": (type(self.pipeline).__name__, type(self.memory).__name__),
            "steps": dict(self._steps),
            "memory": self.memory.state_dict(),
            "loss_scales": self.memory.loss_scales(),
        }
        if isinstance(self.pipeline, Sparsifier):
            state["sparsifier"] = self.pipeline.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from the :meth:`state_dict` of a compressor with the same pipeline and memory.

        Raises:
            ValueError: that compressor had another kind of memory or pipeline.
        """
        own = (type(self.pipeline).__name__, type(self.memory).__name__)
        saved = tuple(state["kind"])
        if saved != own:
            raise ValueError(f"the state is of {' with '.join(saved)}, not of {' with '.join(own)}")
        self.memory.load_state_dict(state["memory"], state.get("loss_scales"))
        if isinstance(self.pipeline, Sparsifier):
            self.pipeline.load_state_dict(state["sparsifier"])
        self._steps = dict(state["steps"])

    def _frame_of(self, array: FloatArray, kind: FloatType, draft: Draft, step: int) -> ByteArray:
        if isinstance(self.pipeline, Quantizer):
            return self._quantize(array, kind, draft, step)
        return self.sparse_frame(self._finite(array, kind), array.shape, kind, draft, step)

    def _quantize(self, array: FloatArray, kind: FloatType, draft: Draft, step: int) -> ByteArray:
        feedback = self.memory.feedback(draft)
        if feedback is None and not isinstance(self.memory, NoMemory):
            flat = self.memory.compensate(self._finite(array, kind), draft)
            array, kind = flat.reshape(array.shape), FloatType.FLOAT32
        beta, gamma = feedback or (1.0, 1.0)
        return _core.compress_gradient(
            array,
            kind,
            self._core,
            self.codec._core_options,
            stream=stream_of(self.seed, self.rank, draft.name, step),
            zero_nonfinite=self._zero,
            residual=draft.old[""] if feedback else None,
            beta=beta,
            gamma=gamma,
            next=draft.new[""] if feedback else None,
        )

    def sparse_frame(
        self, x: Any, shape: Sequence[int], kind: FloatType, draft: Draft, step: int
    ) -> ByteArray:
        """The frame of a step of a sparsifier, for :meth:`run_step`.

        Args:
            x: the gradient: flat, float32, finite; on the device of ``draft``.
            shape: of the gradient.
            kind: its type, which the frame states.
            draft: of the memory.
            step: its number.
        """
        sparsifier, device = self.pipeline, draft.device
        assert isinstance(sparsifier, Sparsifier)
        elements = device.elements(self.memory.compensate(x, draft), self.threads or 0)
        chosen = sparsifier.choose(elements, draft.name, step)
        indices, values = device.to_host(*chosen)
        sent = None if isinstance(self.memory, NoMemory) else np.empty_like(values)
        sent_as = sparsifier.values if isinstance(sparsifier.values, str) else "float32"
        frame = _core.compress_sparse(
            shape,
            kind,
            indices,
            values,
            random_stream=sparsifier.random_stream(draft.name, step),
            value_type=FLOAT_TYPES[sent_as],
            quantizer=self._core,
            codec=self.codec._core_options,
            stream=stream_of(self.seed, self.rank, draft.name, step),
            sent=sent,
        )
        if sent is not None:
            self.memory.update(draft, chosen[0], device.from_host(sent))
        return frame

    def _finite(self, array: FloatArray, kind: FloatType) -> Float32Array:
        return to_finite(to_float32(array, kind), self._zero, self.threads or 0)
