from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

class Error(ValueError): ...
class CorruptFrameError(Error): ...
class TruncatedFrameError(CorruptFrameError): ...
class UnsupportedFormatError(Error): ...
class MissingCodeBookError(Error): ...
class BufferTooSmallError(Error): ...

class Options:
    def __init__(
        self,
        codec: int,
        threads: int = ...,
        checksum: bool = ...,
        sample_size: int = ...,
        seed: int = ...,
        max_run: int = ...,
        code_book: SharedCodeBook | None = ...,
    ) -> None: ...

class SharedCodeBook:
    @staticmethod
    def fit(sample: npt.NDArray[Any], dtype: int) -> SharedCodeBook: ...
    @staticmethod
    def read(data: bytes) -> SharedCodeBook: ...
    def to_bytes(self) -> bytes: ...

class _Info(TypedDict):
    codec: str
    layout: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    count: int
    decoded_nbytes: int
    code_length: int
    code_book_bytes: int
    chunks: int
    raw_chunks: int
    checksum: bool
    shared_code_book: bool
    version: int

DTYPES: tuple[np.dtype[Any], ...]

def version() -> str: ...
def has_openmp() -> bool: ...
def isa() -> str: ...
def available_isas() -> list[str]: ...
def kernel_isas() -> dict[str, str]: ...
def set_threads(n: int) -> None: ...
def get_threads() -> int: ...
def codecs() -> list[tuple[int, str, str]]: ...
def max_compressed_size(array: npt.NDArray[Any], dtype: int) -> int: ...
def compress(array: npt.NDArray[Any], dtype: int, options: Options) -> npt.NDArray[np.uint8]: ...
def compress_into(
    array: npt.NDArray[Any], dtype: int, options: Options, buffer: npt.NDArray[np.uint8]
) -> int: ...
def decompress(frame: npt.NDArray[np.uint8], max_size: int, threads: int) -> npt.NDArray[Any]: ...
def decompress_into(
    frame: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8], threads: int
) -> None: ...
def decompress_add(
    frame: npt.NDArray[np.uint8], sum: npt.NDArray[np.uint8], dtype: int, threads: int
) -> None: ...
def inspect(frame: npt.NDArray[np.uint8], verify: bool) -> _Info: ...
def code_words(
    frame: npt.NDArray[np.uint8],
) -> list[tuple[int, int, bool, str, int, str, int]]: ...
def run_length_widths(frame: npt.NDArray[np.uint8]) -> tuple[int, int, int]: ...

class _Enum:
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...

class FloatType(_Enum):
    __members__: ClassVar[dict[str, FloatType]]
    FLOAT32: ClassVar[FloatType]
    FLOAT16: ClassVar[FloatType]
    BFLOAT16: ClassVar[FloatType]
    FLOAT64: ClassVar[FloatType]

class Method(_Enum):
    __members__: ClassVar[dict[str, Method]]
    LEVELS: ClassVar[Method]
    SIGNS: ClassVar[Method]
    POWERS: ClassVar[Method]
    PLANES: ClassVar[Method]
    SPARSE: ClassVar[Method]
    RANDOM: ClassVar[Method]
    TERNARY_SIGNS: ClassVar[Method]
    WIDE_LEVELS: ClassVar[Method]

class Norm(_Enum):
    __members__: ClassVar[dict[str, Norm]]
    L2: ClassVar[Norm]
    MAX: ClassVar[Norm]
    DEVIATIONS: ClassVar[Norm]
    ONE: ClassVar[Norm]
    MEAN: ClassVar[Norm]
    TWO_MEANS: ClassVar[Norm]

class ScaleType(_Enum):
    __members__: ClassVar[dict[str, ScaleType]]
    FLOAT32: ClassVar[ScaleType]
    BFLOAT16: ClassVar[ScaleType]
    LOG8: ClassVar[ScaleType]

class TailFit(_Enum):
    __members__: ClassVar[dict[str, TailFit]]
    EXPONENTIAL: ClassVar[TailFit]
    GAMMA_PARETO: ClassVar[TailFit]
    PARETO: ClassVar[TailFit]

class Quantizer:
    def __init__(
        self,
        method: Method,
        norm: Norm = ...,
        levels: int = ...,
        bucket_size: int = ...,
        deviations: float = ...,
        stochastic: bool = ...,
        scale_type: ScaleType = ...,
    ) -> None: ...
    def to_nearest(self) -> Quantizer: ...

def compress_gradient(
    array: npt.NDArray[Any],
    type: FloatType,
    quantizer: Quantizer,
    codec: Options,
    stream: int = ...,
    zero_nonfinite: bool = ...,
    residual: npt.NDArray[np.float32] | None = ...,
    beta: float = ...,
    gamma: float = ...,
    next: npt.NDArray[np.float32] | None = ...,
) -> npt.NDArray[np.uint8]: ...
def compress_levels(
    levels: npt.NDArray[np.int8] | npt.NDArray[np.int16],
    type: FloatType,
    scales: npt.NDArray[np.float32],
    bucket_size: int,
    codec: Options,
) -> npt.NDArray[np.uint8]: ...
def compress_sparse(
    shape: Sequence[int],
    type: FloatType,
    indices: npt.NDArray[np.uint32],
    values: npt.NDArray[np.float32],
    random_stream: int | None,
    value_type: FloatType,
    quantizer: Quantizer,
    codec: Options,
    stream: int,
    sent: npt.NDArray[np.float32] | None,
) -> npt.NDArray[np.uint8]: ...
def quantize(
    array: npt.NDArray[Any],
    type: FloatType,
    quantizer: Quantizer,
    stream: int,
    zero_nonfinite: bool,
) -> tuple[npt.NDArray[np.int8] | npt.NDArray[np.int16], npt.NDArray[np.float32]]: ...
def inspect_gradient(
    frame: npt.NDArray[np.uint8],
) -> tuple[Method, FloatType, tuple[int, ...], int, int]: ...
def decompress_gradient(
    frame: npt.NDArray[np.uint8],
    out: npt.NDArray[np.float32],
    add: bool,
    scale: float,
    threads: int,
) -> None: ...
def decompress_sum(
    frames: Sequence[npt.NDArray[np.uint8]],
    out: npt.NDArray[np.float32],
    scales: Sequence[float],
    threads: int,
) -> None: ...
def decompress_levels(
    frame: npt.NDArray[np.uint8],
    out: npt.NDArray[np.int8] | npt.NDArray[np.int16],
    add: bool,
    scale: float,
    threads: int,
) -> tuple[npt.NDArray[np.float32], int]: ...
def decompress_exactly(
    frame: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8], threads: int
) -> None: ...
def combine(
    x: npt.NDArray[np.float32],
    residual: npt.NDArray[np.float32],
    gamma: float,
    beta: float,
    out: npt.NDArray[np.float32],
) -> None: ...
def select_above(
    x: npt.NDArray[np.float32], threshold: float, threads: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]: ...
def count_above(x: npt.NDArray[np.float32], threshold: float, threads: int) -> int: ...
def top_k(
    x: npt.NDArray[np.float32], k: int, threads: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]: ...
def random_indices(count: int, k: int, stream: int) -> npt.NDArray[np.uint32]: ...
def magnitude_sums(
    x: npt.NDArray[np.float32], threads: int
) -> tuple[float, float, float, float]: ...
def sample_magnitudes(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]: ...
def sidco_threshold(
    x: npt.NDArray[np.float32], density: float, fit: TailFit, stages: int
) -> tuple[float, int]: ...
