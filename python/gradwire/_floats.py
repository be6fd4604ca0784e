"""Converts gradients from callers to the contiguous NumPy arrays that the core takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire._arrays import check_count, to_numpy
from gradwire._core import FloatType
from gradwire._tensors import is_tensor, plain_tensor

FloatArray = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]

FLOAT_TYPES = {name.lower(): kind for name, kind in FloatType.__members__.items()}
_TYPE_OF = {np.dtype(name): kind for name, kind in FLOAT_TYPES.items() if name != "bfloat16"}


def _host_array(data: Any, to_write: bool = False) -> tuple[npt.NDArray[Any], str]:
    """``data`` as an array in host memory, and its type's name; bfloat16 is viewed as uint16."""
    if is_tensor(data):
        data = plain_tensor(data, to_write)
        if str(data.dtype) == "torch.bfloat16":
            int16 = __import__("torch").int16
            return to_numpy(data.view(int16)).view(np.uint16), "bfloat16"
    array = to_numpy(data)
    if array.dtype.name == "bfloat16":
        return array.view(np.uint16), "bfloat16"
    return array, array.dtype.name


def as_floats(data: Any) -> tuple[FloatArray, FloatType]:
    """``data`` as a C-contiguous array in native byte order (a copy if need be), and its type."""
    if type(data) is np.ndarray and data.flags.c_contiguous and data.flags.aligned:
        kind = _TYPE_OF.get(data.dtype)  # fast path for nearly all calls
        if kind is not None:
            return data, kind
    array, name = _host_array(data)
    if name not in FLOAT_TYPES:
        raise TypeError(f"a gradient must hold {', '.join(FLOAT_TYPES)}, got {array.dtype}")
    native = array.dtype.newbyteorder("=")
    return np.require(array, native, ["C", "A"]), FLOAT_TYPES[name]


def to_float32(array: FloatArray, kind: FloatType) -> Float32Array:
    """The result of :func:`as_floats` as a flat float32 array, copied only if of another type."""
    flat = array.reshape(-1)
    if kind == FloatType.BFLOAT16:
        return (flat.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return flat.astype(np.float32, copy=False)


def as_output(out: Any, count: int) -> tuple[FloatArray, FloatType]:
    """``out`` as a flat array of ``count`` elements that shares its memory, and its type."""
    array, name = _host_array(out, to_write=True)
    if isinstance(out, (list, tuple, np.generic)) or name not in FLOAT_TYPES:
        raise TypeError(f"out must be an array or tensor of floats, got {type(out).__name__}")
    if not (array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative):
        raise ValueError("out must be writable, C-contiguous and in native byte order")
    check_count(array, count, "the gradient")
    return array.reshape(-1), FLOAT_TYPES[name]
