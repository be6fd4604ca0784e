"""Quantizers: turn floats into small integers with few values, and a scale per bucket.

A bucket is ``bucket_size`` consecutive elements of the flat gradient; None makes a single bucket.
Scales are sent as ``scale_dtype``: ``"float32"``, ``"bfloat16"``, or ``"log8"`` (powers of 2^(1/8),
a few bits each once coded). They are rounded up, and levels are computed from the rounded scale, so
stochastic rounding stays unbiased. The means of signs are rounded to nearest. The largest scale of
``"log8"`` is about 3.1e38; larger elements are clipped.

Up to 127 levels are sent as int8, more as int16. Stochastic rounding has a resolution of 2^-24
levels, or of 2^-16 where levels are int16: magnitudes below that, times scale / levels, become 0.
Besides, an element has the precision of float32, about 2^-23 of itself. All objects are immutable.
Random numbers depend only on (seed, rank, name, step) and the index of the element, not on threads
or instruction sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gradwire import _core
from gradwire._checks import check_choice, check_integer, check_number
from gradwire._core import Method, Norm, ScaleType
from gradwire._floats import Float32Array
from gradwire._quantizer import Levels, Quantizer

_SCALE_TYPES = {name.lower(): kind for name, kind in ScaleType.__members__.items()}
_MOST_LEVELS = 32767  # int16
_MOST_BITS = 16


class _Bucketed(Quantizer):
    """Levels or signs, with one or two scales per bucket."""

    bucket_size: int | None
    scale_dtype: str

    def __post_init__(self) -> None:
        size = self.bucket_size
        if size is not None:
            check_integer("bucket_size (None for one bucket)", size, 1, 2**63 - 1)
        check_choice("scale_dtype", self.scale_dtype, _SCALE_TYPES)

    def _core_with(self, method: Method, norm: Norm, **settings: Any) -> _core.Quantizer:
        return _core.Quantizer(
            method,
            norm=norm,
            levels=self._most(),
            bucket_size=self.bucket_size or 0,
            scale_type=_SCALE_TYPES[self.scale_dtype],
            **settings,
        )

    def _most(self) -> int:
        """The level that stands for the scale."""
        return 1

    def dequantize(self, levels: Levels, scales: Float32Array) -> Float32Array:
        """``level * (scale / highest level)``: float32 of the shape of ``levels``.

        The highest level of signs is 1. If a bucket has two scales, levels below 0 take the second.
        """
        flat = levels.reshape(-1)
        units = np.asarray(scales, np.float32) / np.float32(self._most())
        return (flat * self._units_of(flat, units)).reshape(levels.shape)

    def _units_of(self, flat: Levels, units: Float32Array) -> Float32Array:
        """The unit of each element, from those of the buckets."""
        size = min(self.bucket_size or flat.size, max(flat.size, 1))
        return np.repeat(units, size)[: flat.size]


@dataclass(frozen=True)
class QSGD(_Bucketed):
    """Stochastic levels between 0 and the norm of a bucket (random dithering).

    x becomes sign(x) * scale / levels * l, where l is |x| / scale * levels rounded up or down at
    random without bias (Alistarh et al., "QSGD", NeurIPS 2017, section 3.1).

    Args:
        levels: s in the paper, 1 to 32767.
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
        check_integer("levels", self.levels, 1, _MOST_LEVELS)
        check_choice("norm", self.norm, ("l2", "max"))
        super().__post_init__()

    def _most(self) -> int:
        return self.levels

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        norm = Norm.L2 if self.norm == "l2" else Norm.MAX
        return self._core_with(Method.LEVELS, norm, stochastic=True)


@dataclass(frozen=True)
class TernGrad(_Bucketed):
    """-1, 0 or 1 times the largest magnitude, at random (Wen et al., NeurIPS 2017, section 3).

    Args:
        clip: elements are first clipped to this many standard deviations (section 4), but not below
            their root mean square, because the deviation of a constant gradient is 0. ``math.inf``
            for no clipping.
        bucket_size: elements per scale; None for the whole tensor, as in the paper.
        scale_dtype: how scales are sent.
    """

    clip: float = 2.5
    bucket_size: int | None = None
    scale_dtype: str = "float32"

    def __post_init__(self) -> None:
        check_number("clip", self.clip, may_be_infinite=True)
        if not self.clip > 0:
            raise ValueError(f"clip must be positive, got {self.clip}")
        super().__post_init__()

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return self._core_with(
            Method.LEVELS, Norm.DEVIATIONS, deviations=self.clip, stochastic=True
        )


@dataclass(frozen=True)
class Uniform(_Bucketed):
    """Evenly spaced levels up to the largest magnitude of a bucket.

    Args:
        bits: 2 to 16; levels go from -(2^(bits-1) - 1) to 2^(bits-1) - 1.
        bucket_size: elements per scale; None for the whole tensor.
        stochastic: whether to round at random, without bias, not to nearest.
        scale_dtype: how scales are sent.
    """

    bits: int = 4
    bucket_size: int | None = 512
    stochastic: bool = False
    scale_dtype: str = "log8"

    def __post_init__(self) -> None:
        check_integer("bits", self.bits, 2, _MOST_BITS)
        super().__post_init__()

    def _most(self) -> int:
        return int(2 ** (self.bits - 1)) - 1

    def core(self) -> _core.Quantizer:
        """The quantizer of the C++ core."""
        return self._core_with(Method.LEVELS, Norm.MAX, stochastic=self.stochastic)


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

    def dequantize(self, levels: Levels, scales: Float32Array) -> Float32Array:
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
class EFSignSGD(_Bucketed):
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
        return self._core_with(Method.SIGNS, Norm.MEAN)


@dataclass(frozen=True)
class OneBit(_Bucketed):
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
        return self._core_with(Method.SIGNS, Norm.TWO_MEANS)

    def _units_of(self, flat: Levels, units: Float32Array) -> Float32Array:
        above, below = (super(OneBit, self)._units_of(flat, u) for u in units.reshape(-1, 2).T)
        return np.where(flat < 0, below, above)


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

    def dequantize(self, levels: Levels, scales: Float32Array) -> Float32Array:
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

    def quantize(self, x: Any, **_: Any) -> tuple[Levels, Float32Array]:
        """Raises TypeError: there are no levels."""
        raise TypeError("Lossless has no levels; use Compressor(Lossless()).compress(x)")

    def dequantize(self, levels: Levels, scales: Float32Array) -> Float32Array:
        """Raises TypeError: there are no levels."""
        raise TypeError("Lossless has no levels; use decompress_gradient(frame)")
