"""Quantizers: turn floats into small integers with few values, and a scale per bucket.

A bucket is ``bucket_size`` consecutive elements of the flat gradient; None makes a single bucket.
Scales are sent as ``scale_dtype``: ``"float32"``, ``"bfloat16"``, or ``"log8"`` (powers of 2^(1/8),
a few bits each once coded). They are rounded up, and levels are computed from the rounded scale, so
stochastic rounding stays unbiased. The means of signs are rounded to nearest. The largest scale of
``"log8"`` is about 3.1e38; larger elements are clipped.

Stochastic rounding has a resolution of 2^-24 levels: magnitudes below 2^-24 * scale / levels become
0. All objects are immutable. Random numbers depend only on (seed, rank, name, step) and the index
of the element, not on threads or instruction sets.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._core import Method, Norm, ScaleType
from gradwire._floats import Float32Array
from gradwire._quantizer import Quantizer

_SCALE_TYPES = {name.lower(): kind for name, kind in ScaleType.__members__.items()}
_MOST_LEVELS = 127


def _check_bucket(bucket_size: int | None) -> None:
    if bucket_size is not None and not 1 <= bucket_size < 2**63:
        raise ValueError(f"bucket_size must be positive, or None for one bucket, got {bucket_size}")


def _scale_type(name: str) -> ScaleType:
    if name not in _SCALE_TYPES:
        raise ValueError(f"unknown scale_dtype {name!r}; take one of: {', '.join(_SCALE_TYPES)}")
    return _SCALE_TYPES[name]


def _per_element(scales: Float32Array, count: int, bucket_size: int | None) -> Float32Array:
    return np.repeat(scales, min(bucket_size or count, max(count, 1)))[:count]


class _Levels(Quantizer):
    """Integers from -levels to levels, times scale / levels."""

    bucket_size: int | None
    scale_dtype: str

    @abstractmethod
    def _most(self) -> int:
        """The highest level."""

    def dequantize(self, levels: npt.NDArray[np.int8], scales: Float32Array) -> Float32Array:
        """``level * (scale / levels)``: float32 of the shape of ``levels``."""
        unit = np.asarray(scales, np.float32) / np.float32(self._most())
        values = levels.reshape(-1) * _per_element(unit, levels.size, self.bucket_size)
        return values.reshape(levels.shape)


@dataclass(frozen=True)
class QSGD(_Levels):
    """Stochastic levels between 0 and the norm of a bucket (random dithering).

    x becomes sign(x) * scale / levels * l, where l is |x| / scale * levels rounded up or down at
    random without bias (Alistarh et al., "QSGD", NeurIPS 2017, section 3.1).

    Args:
        levels: s in the paper, 1 to 127.
        bucket_size: elements per scale; None for the whole tensor.
        norm: what the scale is: "l2" as in the paper, or "max", the largest magnitude.
        scale_dtype: how scales are sent.

    >>> import gradwire as gw
    >>> import numpy as np
    >>> x = np.array([0.5, -1.0, 0.0, 2.0], np.float32)
    >>> levels, scales = gw.QSGD(4, norm="max").quantize(x)
    >>> levels.tolist(), scales.tolist()
    ([1, -2, 0, 4], [2.0])
    """

    levels: int = 4
    bucket_size: int | None = 512
    norm: str = "l2"
    scale_dtype: str = "log8"

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= _MOST_LEVELS:
            raise ValueError(f"levels must be 1 to {_MOST_LEVELS}, got {self.levels}")
        if self.norm not in ("l2", "max"):
            raise ValueError(f'norm must be "l2" or "max", got {self.norm!r}')
        _check_bucket(self.bucket_size)
        _scale_type(self.scale_dtype)

    def _most(self) -> int:
        return self.levels

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return _core.Quantizer(
            Method.LEVELS,
            norm=Norm.L2 if self.norm == "l2" else Norm.MAX,
            levels=self.levels,
            bucket_size=self.bucket_size or 0,
            stochastic=True,
            scale_type=_scale_type(self.scale_dtype),
        )


@dataclass(frozen=True)
class TernGrad(_Levels):
    """-1, 0 or 1 times the largest magnitude, at random (Wen et al., NeurIPS 2017, section 3).

    Args:
        clip: elements are first clipped to this many standard deviations (section 4), but not below
            their root mean square, because the deviation of a constant gradient is 0.
        bucket_size: elements per scale; None for the whole tensor, as in the paper.
        scale_dtype: how scales are sent.
    """

    clip: float = 2.5
    bucket_size: int | None = None
    scale_dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.clip > 0:
            raise ValueError(f"clip must be positive, got {self.clip}")
        _check_bucket(self.bucket_size)
        _scale_type(self.scale_dtype)

    def _most(self) -> int:
        return 1

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return _core.Quantizer(
            Method.LEVELS,
            norm=Norm.DEVIATIONS,
            levels=1,
            bucket_size=self.bucket_size or 0,
            deviations=self.clip,
            stochastic=True,
            scale_type=_scale_type(self.scale_dtype),
        )


@dataclass(frozen=True)
class Uniform(_Levels):
    """Evenly spaced levels up to the largest magnitude of a bucket.

    Args:
        bits: 2 to 8; levels go from -(2^(bits-1) - 1) to 2^(bits-1) - 1.
        bucket_size: elements per scale; None for the whole tensor.
        stochastic: whether to round at random, without bias, not to nearest.
        scale_dtype: how scales are sent.
    """

    bits: int = 4
    bucket_size: int | None = 512
    stochastic: bool = False
    scale_dtype: str = "log8"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must be 2 to 8, got {self.bits}")
        _check_bucket(self.bucket_size)
        _scale_type(self.scale_dtype)

    def _most(self) -> int:
        return int(2 ** (self.bits - 1)) - 1

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return _core.Quantizer(
            Method.LEVELS,
            norm=Norm.MAX,
            levels=self._most(),
            bucket_size=self.bucket_size or 0,
            stochastic=self.stochastic,
            scale_type=_scale_type(self.scale_dtype),
        )


@dataclass(frozen=True)
class SignSGD(Quantizer):
    """Only signs: -1 or 1, and 0 for 0 (Bernstein et al., ICML 2018).

    Frames of gradients without zeros take one bit per element. Other frames also say which elements
    are 0 (``docs/FORMAT.md``, section 9.4). The same holds for all quantizers that send signs.
    """

    keeps_scale: ClassVar[bool] = False

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return _core.Quantizer(Method.SIGNS, norm=Norm.ONE)

    def dequantize(self, levels: npt.NDArray[np.int8], scales: Float32Array) -> Float32Array:
        """The levels as float32."""
        return levels.astype(np.float32)


@dataclass(frozen=True)
class Signum(SignSGD):
    """Signs of a momentum (Bernstein et al., ICML 2018, algorithm 2).

    The momentum m becomes momentum * m + (1 - momentum) * x, and its sign is sent. A compressor
    holds m in a :class:`gradwire.memory.SignMomentum`, which it creates by default; the ``x`` of
    :meth:`quantize` is m.

    Args:
        momentum: at least 0 and below 1.
    """

    needs_memory: ClassVar[bool] = True
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")


@dataclass(frozen=True)
class _ScaledSigns(Quantizer):
    """Signs with scales."""

    bucket_size: int | None
    scale_dtype: str

    def __post_init__(self) -> None:
        _check_bucket(self.bucket_size)
        _scale_type(self.scale_dtype)

    def _with_norm(self, norm: Norm) -> _core.Quantizer:
        return _core.Quantizer(
            Method.SIGNS,
            norm=norm,
            bucket_size=self.bucket_size or 0,
            scale_type=_scale_type(self.scale_dtype),
        )


@dataclass(frozen=True)
class EFSignSGD(_ScaledSigns):
    """Signs times the mean magnitude (Karimireddy et al., ICML 2019, section 4).

    Zeros are sent as 0, and the mean is over the other elements: that scale loses least in a step.
    Without zeros it is that of the paper. Use it with error feedback:
    :class:`gradwire.memory.EFSign`.

    Args:
        bucket_size: elements per scale; None for the whole tensor, as in the paper.
        scale_dtype: how scales are sent.
    """

    bucket_size: int | None = None
    scale_dtype: str = "float32"

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return self._with_norm(Norm.MEAN)

    def dequantize(self, levels: npt.NDArray[np.int8], scales: Float32Array) -> Float32Array:
        """``level * scale``: float32 of the shape of ``levels``."""
        values = levels.reshape(-1) * _per_element(scales, levels.size, self.bucket_size)
        return values.reshape(levels.shape)


@dataclass(frozen=True)
class OneBit(_ScaledSigns):
    """Signs, each for the mean of its elements (Seide et al., "1-bit SGD", Interspeech 2014).

    Scales are pairs: the mean of the elements above 0, and the mean magnitude of those below 0.
    Zeros are sent as 0. Use it with error feedback: :class:`gradwire.memory.Residual`.

    Args:
        bucket_size: elements per pair of scales; None for the whole tensor. The paper has one pair
            per column of a matrix.
        scale_dtype: how scales are sent.
    """

    bucket_size: int | None = 512
    scale_dtype: str = "log8"

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return self._with_norm(Norm.TWO_MEANS)

    def dequantize(self, levels: npt.NDArray[np.int8], scales: Float32Array) -> Float32Array:
        """The scale of the level's sign, with that sign: float32 of the shape of ``levels``."""
        above, below = np.asarray(scales, np.float32).reshape(-1, 2).T
        flat = levels.reshape(-1).astype(np.float32)
        size = np.where(
            flat < 0,
            _per_element(below, flat.size, self.bucket_size),
            _per_element(above, flat.size, self.bucket_size),
        )
        return (flat * size).reshape(levels.shape)


@dataclass(frozen=True)
class Natural(Quantizer):
    """Powers of two, rounded up or down at random without bias.

    "Natural compression for distributed deep learning" (Horváth et al., 2019).

    A level is 0, or 1 to 127 with the sign of the element. Level 1 stands for the scale, and each
    further level for twice the one before. Magnitudes below 2^-126 of the largest become 0. Those
    above 2^127 are rounded down to it, with bias, because float32 has no larger power of two.
    """

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return _core.Quantizer(Method.POWERS)

    def dequantize(self, levels: npt.NDArray[np.int8], scales: Float32Array) -> Float32Array:
        """``sign * scale * 2^(|level| - 1)``: float32 of the shape of ``levels``."""
        size = np.abs(levels.astype(np.int32))
        values = np.ldexp(np.asarray(scales, np.float32)[0], np.maximum(size, 1) - 1)
        return np.where(size > 0, np.sign(levels) * values, 0).astype(np.float32)


@dataclass(frozen=True)
class Lossless(Quantizer):
    """The floats themselves, bit for bit.

    Their bytes are coded plane by plane by ``entropy``, whatever the codec of the compressor:
    exponents shrink to a few bits, and mantissas where possible; zeros are left out. bfloat16
    becomes about 1.5 times smaller. NaN and infinity are sent as they are.
    """

    loses_nothing: ClassVar[bool] = True

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return _core.Quantizer(Method.PLANES)

    def quantize(self, x: Any, **_: Any) -> tuple[npt.NDArray[np.int8], Float32Array]:
        """Raises TypeError: there are no levels."""
        raise TypeError("Lossless has no levels; use Compressor(Lossless()).compress(x)")

    def dequantize(self, levels: npt.NDArray[np.int8], scales: Float32Array) -> Float32Array:
        """Raises TypeError: there are no levels."""
        raise TypeError("Lossless has no levels; use decompress_gradient(frame)")
