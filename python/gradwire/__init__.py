"""Compresses the gradients of distributed training into few bytes, quickly.

A :class:`Compressor` turns a float gradient into one frame of bytes; the receiver decodes frames
and adds them up. It combines a quantizer or sparsifier, a memory for what these leave out, and a
lossless codec:

>>> import gradwire as gw
>>> import numpy as np
>>> gradient = np.random.default_rng(0).laplace(size=10_000).astype(np.float32)
>>> compressor = gw.Compressor(gw.QSGD(4), memory=gw.Residual())
>>> frame = compressor.compress(gradient, name="weight")
>>> frame.nbytes < gradient.nbytes / 40
True
>>> decoded = gw.decompress_gradient(frame)

Codecs can also be used alone, on integer arrays of any shape:

>>> levels = np.array([[0, 0, 0, 1], [0, -1, 0, 0]] * 50, dtype=np.int8)
>>> frame = gw.compress(levels)
>>> frame.nbytes < levels.nbytes / 4
True
>>> bool(np.array_equal(gw.decompress(frame), levels))
True
"""

import importlib
from typing import TYPE_CHECKING, Any

from gradwire._core import (
    BufferTooSmallError,
    CorruptFrameError,
    Error,
    MissingCodeBookError,
    TruncatedFrameError,
    UnsupportedFormatError,
)
from gradwire._core import version as _version
from gradwire._quantizer import Quantizer
from gradwire.advice.advise import Advice, advise
from gradwire.codecs import (
    Codec,
    EliasOmega,
    Entropy,
    Huffman,
    RunLength,
    RunLengthHuffman,
    SampleHuffman,
    SampleHuffmanSparsity,
    codec,
    codecs,
    compress,
    compress_into,
)
from gradwire.compressor import Compressor
from gradwire.entropy import shannon_entropy
from gradwire.factory import compressor_from_params
from gradwire.frames import (
    FrameInfo,
    decompress,
    decompress_into,
    inspect,
    max_compressed_size,
)
from gradwire.gradient_frames import (
    GradientInfo,
    decompress_gradient,
    decompress_sum,
    inspect_gradient,
)
from gradwire.memory import DGCMomentum, EFSign, Memory, NoMemory, Residual, SignMomentum
from gradwire.quantized import compress_levels, compress_selected
from gradwire.quantizers import (
    QSGD,
    EFSignSGD,
    Lossless,
    Natural,
    OneBit,
    SignSGD,
    Signum,
    TernGrad,
    Uniform,
)
from gradwire.runtime import build_info, set_threads
from gradwire.sparsifiers import (
    DGC,
    GaussianK,
    RandomK,
    RedSync,
    RedSyncTrimmed,
    SIDCoExponential,
    SIDCoGammaPareto,
    SIDCoPareto,
    Sparsifier,
    Threshold,
    TopK,
)

if TYPE_CHECKING:
    from gradwire import horovod, jax, mpi, tensorflow, torch  # noqa: F401

__version__ = _version()

_ADAPTERS = ("horovod", "jax", "mpi", "tensorflow", "torch")


def __getattr__(name: str) -> Any:
    """Imports an adapter when it is first used, so that gradwire alone needs only NumPy."""
    if name in _ADAPTERS:
        return importlib.import_module(f"gradwire.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All names, those of adapters included."""
    return sorted({*globals(), *_ADAPTERS})


__all__ = [
    "DGC",
    "QSGD",
    "Advice",
    "BufferTooSmallError",
    "Codec",
    "Compressor",
    "CorruptFrameError",
    "DGCMomentum",
    "EFSign",
    "EFSignSGD",
    "EliasOmega",
    "Entropy",
    "Error",
    "FrameInfo",
    "GaussianK",
    "GradientInfo",
    "Huffman",
    "Lossless",
    "Memory",
    "MissingCodeBookError",
    "Natural",
    "NoMemory",
    "OneBit",
    "Quantizer",
    "RandomK",
    "RedSync",
    "RedSyncTrimmed",
    "Residual",
    "RunLength",
    "RunLengthHuffman",
    "SIDCoExponential",
    "SIDCoGammaPareto",
    "SIDCoPareto",
    "SampleHuffman",
    "SampleHuffmanSparsity",
    "SignMomentum",
    "SignSGD",
    "Signum",
    "Sparsifier",
    "TernGrad",
    "Threshold",
    "TopK",
    "TruncatedFrameError",
    "Uniform",
    "UnsupportedFormatError",
    "__version__",
    "advise",
    "build_info",
    "codec",
    "codecs",
    "compress",
    "compress_into",
    "compress_levels",
    "compress_selected",
    "compressor_from_params",
    "decompress",
    "decompress_gradient",
    "decompress_into",
    "decompress_sum",
    "inspect",
    "inspect_gradient",
    "max_compressed_size",
    "set_threads",
    "shannon_entropy",
]
