from collections.abc import Sequence
from typing import Any, TypedDict

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
    codec: int
    layout: int
    dtype: int
    shape: tuple[int, ...]
    count: int
    nbytes: int
    code_length: int
    code_book_bytes: int
    chunks: int
    raw_chunks: int
    checksum: bool
    shared_code_book: bool
    version: int

def version() -> str: ...
def has_openmp() -> bool: ...
def isa() -> str: ...
def available_isas() -> list[str]: ...
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
def code_words(frame: npt.NDArray[np.uint8]) -> list[tuple[int, int, bool, str, int]]: ...
def run_length_widths(frame: npt.NDArray[np.uint8]) -> tuple[int, int, int]: ...

class Quantizer:
    def __init__(
        self,
        method: int,
        norm: int = ...,
        levels: int = ...,
        bucket_size: int = ...,
        deviations: float = ...,
        stochastic: bool = ...,
        scale_type: int = ...,
    ) -> None: ...
    def to_nearest(self) -> Quantizer: ...

def compress_gradient(
    array: npt.NDArray[Any],
    type: int,
    quantizer: Quantizer,
    codec: Options,
    stream: int = ...,
    zero_nonfinite: bool = ...,
    residual: npt.NDArray[np.float32] | None = ...,
    beta: float = ...,
    gamma: float = ...,
    next: npt.NDArray[np.float32] | None = ...,
) -> npt.NDArray[np.uint8]: ...
def compress_sparse(
    shape: Sequence[int],
    type: int,
    indices: npt.NDArray[np.uint32],
    values: npt.NDArray[np.float32],
    random_stream: int | None,
    value_type: int,
    quantizer: Quantizer,
    codec: Options,
    stream: int,
    sent: npt.NDArray[np.float32] | None,
) -> npt.NDArray[np.uint8]: ...
def quantize(
    array: npt.NDArray[Any], type: int, quantizer: Quantizer, stream: int, zero_nonfinite: bool
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]: ...
def inspect_gradient(
    frame: npt.NDArray[np.uint8],
) -> tuple[int, int, tuple[int, ...], int, int]: ...
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
    scale: float,
    threads: int,
) -> None: ...
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
    x: npt.NDArray[np.float32], density: float, fit: int, stages: int
) -> tuple[float, int]: ...
