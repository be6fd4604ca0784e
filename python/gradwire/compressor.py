"""Compressors: a float gradient to one frame of bytes, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._arrays import ByteArray
from gradwire._floats import (
    FLOAT32,
    Float32Array,
    FloatArray,
    as_floats,
    to_float32,
    type_number,
)
from gradwire._quantizer import Quantizer, stream_of, zeroes_nonfinite
from gradwire._sparsifier import Sparsifier
from gradwire.codecs import Codec, as_codec
from gradwire.gradient_frames import decompress_gradient
from gradwire.memory import Memory, NoMemory, Residual, SignMomentum
from gradwire.quantizers import Lossless, Signum


class Compressor:
    """Gradients to frames: a quantizer or sparsifier, a codec, and a memory.

    Args:
        pipeline: a quantizer (:mod:`gradwire.quantizers`) or sparsifier
            (:mod:`gradwire.sparsifiers`).
        codec: key or object of the codec for the integers.
        memory: what to do with what is left out (:mod:`gradwire.memory`); None for nothing, but for
            :class:`~gradwire.quantizers.Signum` its momentum. With a memory, levels are rounded to
            the nearest, see :class:`~gradwire.memory.Residual`.
        seed: of the random numbers.
        rank: of this process: ranks draw independent numbers.
        nonfinite: "error" to refuse NaN and infinity, "zero" to take them for 0.
        threads: at most this many; None for the default.

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
        nonfinite: str = "error",
        threads: int | None = None,
    ) -> None:
        if not isinstance(pipeline, (Quantizer, Sparsifier)):
            raise TypeError(f"pipeline must be a quantizer or a sparsifier, got {pipeline!r}")
        if memory is None:
            memory = SignMomentum(pipeline.momentum) if isinstance(pipeline, Signum) else NoMemory()
        _check_pair(pipeline, memory)
        self.pipeline = pipeline
        self.memory = memory
        self.seed = seed
        self.rank = rank
        self.threads = threads
        self.nonfinite = nonfinite
        self._zero = zeroes_nonfinite(nonfinite)
        self.codec = as_codec(codec, threads)
        self._steps: dict[str, int] = {}
        self._core = self._make_core()

    def _make_core(self) -> _core.Quantizer:
        pipeline = self.pipeline
        quantizer = pipeline if isinstance(pipeline, Quantizer) else pipeline.values
        core = (quantizer if isinstance(quantizer, Quantizer) else Lossless()).core()
        return core if isinstance(self.memory, NoMemory) else core.to_nearest()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_core"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._core = self._make_core()

    @property
    def estimates_gradient(self) -> bool:
        """Whether what is sent stands for the gradient: not for its signs, or for an update."""
        pipeline = self.pipeline
        values = pipeline if isinstance(pipeline, Quantizer) else pipeline.values
        return self.memory.keeps_scale and getattr(values, "keeps_scale", True)

    def compress(self, x: Any, name: str | None = None) -> ByteArray:
        """Compresses a gradient.

        Args:
            x: float32, float16, bfloat16 or float64, any shape; a NumPy array or torch CPU tensor.
            name: of the tensor. Memory and random numbers are kept apart by it.

        Returns:
            The frame: a 1-D uint8 array. :meth:`decompress` needs nothing else, but for the code
            book of a codec that has a shared one.

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: an element is NaN or infinite, and ``nonfinite`` is "error"; or the tensor
                of this name had another number of elements before. The memory is as it was.
        """
        array, number = as_floats(x)
        key = name or ""
        step = self._steps.get(key, 0)
        if isinstance(self.pipeline, Quantizer):
            frame = self._quantize(array, number, key, step)
        else:
            frame = self._sparsify(self.pipeline, array, number, key, step)
        self._steps[key] = step + 1
        return frame

    def decompress(
        self,
        frame: Any,
        out: Any = None,
        accumulate: bool = False,
        scale: float = 1.0,
        max_size: int | None = None,
    ) -> Any:
        """Decodes a gradient frame; see :func:`gradwire.decompress_gradient`."""
        return decompress_gradient(frame, out, accumulate, scale, max_size, self.threads)

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on exactly as if it had not stopped."""
        state: dict[str, Any] = {
            "kind": (type(self.pipeline).__name__, type(self.memory).__name__),
            "steps": dict(self._steps),
            "memory": self.memory.state_dict(),
        }
        if isinstance(self.pipeline, Sparsifier):
            state["sparsifier"] = self.pipeline.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from :meth:`state_dict` of a compressor with the same pipeline and memory.

        Raises:
            ValueError: it had another kind of memory or pipeline.
        """
        own = (type(self.pipeline).__name__, type(self.memory).__name__)
        saved = tuple(state["kind"])
        if saved != own:
            raise ValueError(f"the state is of {' with '.join(saved)}, not of {' with '.join(own)}")
        self.memory.load_state_dict(state["memory"])
        if isinstance(self.pipeline, Sparsifier):
            self.pipeline.load_state_dict(state["sparsifier"])
        self._steps = dict(state["steps"])

    def _quantize(self, array: FloatArray, number: int, key: str, step: int) -> ByteArray:
        stream = stream_of(self.seed, self.rank, key, step)
        known = self.memory.names()
        feedback = self.memory.feedback(key, array.size)
        if feedback is None and not isinstance(self.memory, NoMemory):
            flat = self.memory.compensate(self._finite(array, number), key)
            array, number = flat.reshape(array.shape), FLOAT32
        residual, beta, gamma = feedback or (None, 1.0, 1.0)
        try:
            return _core.compress_gradient(
                array,
                number,
                self._core,
                self.codec._core_options,
                stream=stream,
                zero_nonfinite=self._zero,
                residual=residual,
                beta=beta,
                gamma=gamma,
            )
        except ValueError:
            own = {key + kind for kind in self.memory.kinds}
            for new in (self.memory.names() - known) & own:
                self.memory.forget(new)
            raise

    def _sparsify(
        self, sparsifier: Sparsifier, array: FloatArray, number: int, key: str, step: int
    ) -> ByteArray:
        flat = self._finite(array, number)
        remembers = not isinstance(self.memory, NoMemory)
        flat = self.memory.compensate(flat, key)
        indices, values = sparsifier.choose(flat, key, step, self.threads or 0)
        sent = np.empty_like(values) if remembers else None
        kind = sparsifier.values if isinstance(sparsifier.values, str) else "float32"
        frame = _core.compress_sparse(
            array.shape,
            number,
            indices,
            values,
            random_stream=sparsifier.random_stream(key, step),
            value_type=type_number(kind),
            quantizer=self._core,
            codec=self.codec._core_options,
            stream=stream_of(self.seed, self.rank, key, step),
            sent=sent,
        )
        if sent is not None:
            self.memory.update(key, indices, sent)
        return frame

    def _finite(self, array: FloatArray, number: int) -> Float32Array:
        """The elements as flat float32, all of them finite."""
        flat = to_float32(array, number)
        if np.isfinite(_core.magnitude_sums(flat, self.threads or 0)[3]):
            return flat
        finite = np.isfinite(flat)
        if not self._zero:
            raise ValueError(
                f"the gradient is not finite as float32 at flat index {int(np.argmin(finite))}; "
                'pass nonfinite="zero" to send such elements as 0'
            )
        zeroed: npt.NDArray[np.float32] = np.where(finite, flat, np.float32(0))
        return zeroed


def _check_pair(pipeline: Quantizer | Sparsifier, memory: Memory) -> None:
    if isinstance(memory, NoMemory):
        return
    if isinstance(pipeline, Lossless):
        raise ValueError("Lossless loses nothing: it takes no memory")
    if isinstance(memory, SignMomentum) != isinstance(pipeline, Signum):
        raise ValueError("Signum and SignMomentum go together, and with nothing else")
    if isinstance(pipeline, Signum) and isinstance(memory, SignMomentum):
        if memory.momentum != pipeline.momentum:
            momenta = f"{pipeline.momentum}, its memory {memory.momentum}"
            raise ValueError(f"Signum has the momentum {momenta}")
        return
    if isinstance(pipeline, Quantizer) and not isinstance(memory, Residual):
        raise ValueError(
            f"{type(memory).__name__} is for sparsifiers; take Residual for quantizers"
        )
