"""Converts integers and bytes from callers to the contiguous NumPy arrays that the core takes."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from gradwire._core import DTYPES, BufferTooSmallError
from gradwire._tensors import is_tensor, name_of_type, plain_tensor

IntegerArray = npt.NDArray[Any]
ByteArray = npt.NDArray[np.uint8]

# Each dtype is at the index that is its number in the frame (FORMAT.md, section 2).
_NUMBER_OF = {dtype: number for number, dtype in enumerate(DTYPES)}
_NUMBER_OF_NUM = {dtype.num: number for number, dtype in enumerate(DTYPES)}
_UINT8 = np.dtype(np.uint8)


def to_numpy(data: Any, to_write: bool = False) -> npt.NDArray[Any]:
    """``data`` as a NumPy array, which shares its memory where NumPy can view it.

    Args:
        data: an array, tensor, buffer or array-like that a caller has passed.
        to_write: whether the array will be written to, so that it must not be a copy of a tensor.

    Raises:
        TypeError: NumPy cannot view ``data``, or only a copy of it if ``to_write``.
    """
    if isinstance(data, np.ndarray):
        if isinstance(data, np.ma.MaskedArray):
            raise TypeError(
                "masked arrays are not supported because their mask would be lost; pass "
                "array.filled(0), or array.data to write into the array"
            )
        return data
    if isinstance(data, np.generic):
        return np.asarray(data)
    if is_tensor(data):
        return _from_dlpack(plain_tensor(data, to_write))
    if hasattr(data, "__dlpack__"):
        return _from_dlpack(data)
    try:
        return np.asarray(memoryview(data))
    except TypeError:
        pass
    array = np.asarray(data)
    if array.size == 0 and array.dtype == np.float64:
        return array.astype(np.int64)  # NumPy turns an empty list into float64
    return array


def _from_dlpack(data: Any) -> npt.NDArray[Any]:
    if getattr(getattr(data, "device", None), "type", "cpu") != "cpu":
        raise TypeError(
            f"gradwire takes arrays in host memory, got one on {data.device}; move it there first"
        )
    try:
        return np.from_dlpack(data)
    except (BufferError, RuntimeError, TypeError) as error:
        dtype = getattr(data, "dtype", type(data).__name__)
        raise TypeError(
            f"gradwire takes arrays that NumPy can view, got {dtype} ({error}); convert it first"
        ) from error


def dtype_number(dtype: np.dtype[Any]) -> int:
    """The number of an integer dtype in the frame; raises TypeError for any other dtype."""
    number = _NUMBER_OF.get(dtype.newbyteorder("="))
    if number is not None:
        return number
    if dtype.kind in "fc" or dtype.name.startswith(("bfloat", "float")):
        _refuse_floats(dtype.name)
    known = ", ".join(d.name for d in DTYPES)
    raise TypeError(f"gradwire codes arrays of {known}, got {dtype}")


def _refuse_floats(name: str) -> NoReturn:
    raise TypeError(
        f"the codecs take integers, got {name}; quantize the gradient first, or use "
        "gradwire.Compressor(gradwire.QSGD(4)).compress(gradient), which does both"
    )


def as_integers(data: Any) -> tuple[IntegerArray, int]:
    """``data`` as a C-contiguous array in native byte order (a copy if need be), and its number."""
    if type(data) is np.ndarray and data.dtype.isnative and data.flags.c_contiguous:
        number = _NUMBER_OF_NUM.get(data.dtype.num)  # fast path for nearly all calls
        if number is not None:
            return data, number
    if is_tensor(data):
        data = plain_tensor(data, to_write=False)
        if data.is_floating_point():
            _refuse_floats(name_of_type(data))  # NumPy lacks some of these types
        array = _from_dlpack(data)
    else:
        array = to_numpy(data)
    number = dtype_number(array.dtype)
    return np.asarray(array, dtype=DTYPES[number], order="C"), number


def as_bytes(frame: Any, what: str = "frame") -> ByteArray:
    """``frame`` as a flat array of bytes, copied only if it is not contiguous."""
    if type(frame) is np.ndarray and frame.dtype is _UINT8 and frame.ndim == 1:
        return np.ascontiguousarray(frame)
    array = to_numpy(frame)
    if array.dtype.itemsize != 1 or array.dtype.kind not in "iuSVb":
        raise TypeError(f"{what} must be bytes or a uint8 array, got {array.dtype}")
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def as_writable_bytes(buffer: Any, what: str) -> ByteArray:
    """``buffer`` as a flat writable array of bytes that shares its memory."""
    array = to_numpy(buffer, to_write=True)
    if isinstance(buffer, (list, tuple, np.generic)):
        raise TypeError(f"{what} must be an array or a buffer, got {type(buffer).__name__}")
    if not array.flags.c_contiguous or not array.flags.writeable:
        raise ValueError(f"{what} must be writable and C-contiguous")
    return array.reshape(-1).view(np.uint8)


def integers_to_add_to(buffer: Any) -> int:
    """The dtype number of a buffer; raises TypeError if integers cannot be added to it."""
    array = to_numpy(buffer, to_write=True)
    number = dtype_number(array.dtype)
    if array.dtype == np.bool_ or not array.dtype.isnative:
        raise TypeError(f"out must hold integers in native byte order, got {array.dtype}")
    return number


def check_count(out: npt.NDArray[Any], count: int, source: str) -> None:
    """Raises BufferTooSmallError or ValueError unless ``out`` has ``count`` elements."""
    if out.size != count:
        wrong = BufferTooSmallError if out.size < count else ValueError
        raise wrong(f"out has {out.size} elements, {source} has {count}")


def check_apart(target: npt.NDArray[Any], what: str, source: npt.NDArray[Any], other: str) -> None:
    """Raises ValueError if ``target``, to be written, overlaps ``source``; both are contiguous."""
    if np.may_share_memory(target, source):
        raise ValueError(f"{what} overlaps {other}; pass a separate buffer")
