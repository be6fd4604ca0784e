"""Converts gradients from callers to the contiguous NumPy arrays that the core takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._arrays import check_count, to_numpy
from gradwire._core import FloatType
from gradwire._tensors import is_tensor, name_of_type, plain_tensor

FloatArray = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]

FLOAT_TYPES = {name.lower(): kind for name, kind in FloatType.__members__.items()}
_TYPE_OF = {np.dtype(name): kind for name, kind in FLOAT_TYPES.items() if name != "bfloat16"}


def _host_array(data: Any, what: str, to_write: bool = False) -> tuple[npt.NDArray[Any], FloatType]:
    """``data`` as an array in host memory, and its type; bfloat16 is viewed as uint16."""
    if is_tensor(data):
        data = plain_tensor(data, to_write)
        _check_type(data, what, to_write)  # NumPy lacks some types of torch
        if name_of_type(data) == "bfloat16":
            data = data.view(__import__("torch").int16)
            return to_numpy(data).view(np.uint16), FloatType.BFLOAT16
    array = to_numpy(data)
    _check_type(array, what, to_write)
    kind = FLOAT_TYPES[array.dtype.name]
    return (array.view(np.uint16) if kind == FloatType.BFLOAT16 else array), kind


def _check_type(data: Any, what: str, to_write: bool) -> None:
    name = name_of_type(data)
    if name not in FLOAT_TYPES:
        hint = "" if to_write else "; convert it first"
        raise TypeError(f"{what} must hold {', '.join(FLOAT_TYPES)}, got {name}{hint}")


def as_floats(data: Any, what: str = "a gradient") -> tuple[FloatArray, FloatType]:
    """``data`` as a C-contiguous array in native byte order (a copy if need be), and its type.

    Args:
        data: an array, tensor, buffer or array-like that a caller has passed.
        what: its name in an error message.

    Raises:
        TypeError: it holds no floats of a known type.
    """
    if type(data) is np.ndarray and data.flags.c_contiguous and data.flags.aligned:
        kind = _TYPE_OF.get(data.dtype)  # fast path for nearly all calls
        if kind is not None:
            return data, kind
    array, kind = _host_array(data, what)
    native = array.dtype.newbyteorder("=")
    return np.require(array, native, ["C", "A"]), kind


def to_float32(array: FloatArray, kind: FloatType) -> Float32Array:
    """The result of :func:`as_floats` as a flat float32 array, copied only if of another type."""
    flat = array.reshape(-1)
    if kind == FloatType.BFLOAT16:
        return (flat.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return flat.astype(np.float32, copy=False)


def to_finite(flat: Float32Array, zero: bool, threads: int) -> Float32Array:
    """The array, whose elements are all finite; if ``zero``, a copy with 0 for those that are not.

    Raises:
        ValueError: an element is not finite, and ``zero`` is False.
    """
    if np.isfinite(_core.magnitude_sums(flat, threads)[3]):
        return flat
    finite = np.isfinite(flat)
    if not zero:
        raise ValueError(
            f"the gradient is not finite as float32 at flat index {int(np.argmin(finite))}; "
            'pass nonfinite="zero" to send such elements as 0'
        )
    zeroed: Float32Array = np.where(finite, flat, np.float32(0))
    return zeroed


def as_output(out: Any, count: int | None = None) -> tuple[FloatArray, FloatType]:
    """``out`` as a flat array of ``count`` elements (None: any number) that shares its memory, and
    its type."""
    if isinstance(out, (list, tuple, np.generic)):
        raise TypeError(f"out must be an array or tensor of floats, got {type(out).__name__}")
    array, kind = _host_array(out, "out", to_write=True)
    if not (array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative):
        raise ValueError("out must be writable, C-contiguous and in native byte order")
    if count is not None:
        check_count(array, count, "the gradient")
    return array.reshape(-1), kind
