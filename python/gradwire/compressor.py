"""Compressors: a float gradient to one frame of bytes, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._arrays import ByteArray, as_bytes
from gradwire._floats import (
    BFLOAT16,
    FLOAT32,
    NAMES,
    Float32Array,
    FloatArray,
    as_floats,
    as_output,
    to_float32,
    type_number,
)
from gradwire._quantizer import Quantizer, stream_of, zeroes_nonfinite
from gradwire._sparsifier import Sparsifier
from gradwire.codecs import Codec, as_codec
from gradwire.memory import Memory, NoMemory, Residual, SignMomentum
from gradwire.quantizers import Lossless, Signum

_METHODS = ("levels", "signs", "powers", "planes", "sparse", "random")
_PLANES = 3


@dataclass(frozen=True)
class GradientInfo:
    """What a gradient frame says of itself (``cpp/FORMAT.md``, section 9)."""

    method: str
    """ "levels", "signs", "powers", "planes", "sparse" or "random"."""
    dtype: str
    """Of the gradient: "float32", "float16", "bfloat16" or "float64"."""
    shape: tuple[int, ...]
    count: int
    """Elements."""
    sent: int
    """Elements that are not left out."""
    nbytes: int
    """Bytes of the frame."""


def inspect_gradient(frame: Any) -> GradientInfo:
    """Reads a gradient frame's header and checks the header's checksum; decodes nothing.

    Raises:
        CorruptFrameError: the bytes are not a gradient frame, or the header was changed.
        TruncatedFrameError: the bytes end before the frame does.
        UnsupportedFormatError: a version or method that this build does not know.
    """
    data = as_bytes(frame)
    method, number, shape, count, sent = _core.inspect_gradient(data)
    return GradientInfo(_METHODS[method], NAMES[number], shape, count, sent, data.nbytes)


def decompress_gradient(
    frame: Any,
    out: Any = None,
    accumulate: bool = False,
    scale: float = 1.0,
    max_size: int | None = None,
    threads: int | None = None,
) -> Any:
    """Decodes a gradient frame of any compressor.

    Args:
        frame: bytes, a uint8 array, or anything with the buffer protocol or DLPack.
        out: float32 array or torch CPU tensor to fill instead of a new one: C-contiguous, writable,
            with as many elements as the gradient. For a frame of ``Lossless`` it may have the
            gradient's own type, and gets its very bits.
        accumulate: add to ``out``, chunk by chunk, without a temporary array.
        scale: factor of the decoded gradient, for example 1 / world size.
        max_size: largest number of decoded bytes to accept, checked before anything is allocated.
            Pass it for frames from strangers: a short sparse one may declare 2^32 elements.
        threads: at most this many; None for the default.

    Returns:
        ``out``, or a new float32 array of the gradient's shape. Frames of ``Lossless`` give the
        gradient's own dtype if ``scale`` is 1, but float32 for bfloat16, which NumPy lacks.

    Raises:
        CorruptFrameError: the bytes are not a gradient frame, or were changed. ``out`` is as it
            was after accidental damage, which checksums tell before anything is written.
        TruncatedFrameError: the bytes end before the frame does.
        UnsupportedFormatError: a version or method that this build does not know.
        MissingCodeBookError: the frame names a shared code book that this process has not.
        BufferTooSmallError: ``out`` or ``max_size`` is too small.
        ValueError: ``out`` has more elements than the gradient.
        TypeError: ``out`` has a type that the frame cannot give.
    """
    data = as_bytes(frame)
    method, number, shape, count, _ = _core.inspect_gradient(data)
    exact = method == _PLANES and not accumulate and scale == 1
    own = exact and number not in (FLOAT32, BFLOAT16)
    dtype = np.dtype(NAMES[number] if own else "float32")
    if max_size is not None and count * dtype.itemsize > max_size:
        raise _core.BufferTooSmallError(
            f"the gradient decodes to {count} elements of {dtype}, max_size allows {max_size} bytes"
        )
    if out is None:
        if accumulate:
            raise ValueError("accumulate=True needs an out to add to")
        target = np.empty(shape, dtype)
        flat, kind = target.reshape(-1), number if own else FLOAT32
    else:
        target = out
        flat, kind = as_output(out, count)
    if exact and kind == number:
        _core.decompress_exactly(data, flat.view(np.uint8), threads or 0)
    elif kind == FLOAT32:
        _core.decompress_gradient(data, flat, accumulate, scale, threads or 0)
    else:
        raise TypeError(f"out must be float32 for this frame, got {NAMES[kind]}")
    return target


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
            for new in self.memory.names() - known:
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
