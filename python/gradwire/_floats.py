"""Converts gradients from callers to the contiguous NumPy arrays that the core takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gradwire import _core
from gradwire._arrays import to_numpy
from gradwire._tensors import is_tensor, plain_tensor

FloatArray = npt.NDArray[Any]
Float32Array = npt.NDArray[np.float32]

FLOAT32, FLOAT16, BFLOAT16, FLOAT64 = range(4)
"""Numbers of the element types in the frame (FORMAT.md, section 9)."""
NAMES = ("float32", "float16", "bfloat16", "float64")
_NUMBERS = {name: number for number, name in enumerate(NAMES)}
_NUMBER_OF = {np.dtype(name): _NUMBERS[name] for name in NAMES if name != "bfloat16"}


def type_number(name: str) -> int:
    """The number of a float type in the frame, by the name of the type.

    Raises:
        ValueError: gradients cannot have this type.
    """
    if name not in _NUMBERS:
        raise ValueError(f"unknown float type {name!r}; take one of: {', '.join(NAMES)}")
    return _NUMBERS[name]


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


def as_floats(data: Any) -> tuple[FloatArray, int]:
    """``data`` as a C-contiguous array in native byte order (a copy if need be), and its number."""
    if type(data) is np.ndarray and data.flags.c_contiguous and data.flags.aligned:
        number = _NUMBER_OF.get(data.dtype)  # fast path for nearly all calls
        if number is not None:
            return data, number
    array, name = _host_array(data)
    if name not in _NUMBERS:
        raise TypeError(f"a gradient must hold {', '.join(NAMES)}, got {array.dtype}")
    native = array.dtype.newbyteorder("=")
    return np.require(array, native, ["C", "A"]), _NUMBERS[name]


def to_float32(array: FloatArray, number: int) -> Float32Array:
    """The result of :func:`as_floats` as a flat float32 array, copied only if of another type."""
    flat = array.reshape(-1)
    if number == BFLOAT16:
        return (flat.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return flat.astype(np.float32, copy=False)


def as_output(out: Any, count: int) -> tuple[FloatArray, int]:
    """``out`` as a flat array of ``count`` elements that shares its memory, and its type number."""
    array, name = _host_array(out, to_write=True)
    if isinstance(out, (list, tuple, np.generic)) or name not in _NUMBERS:
        raise TypeError(f"out must be an array or tensor of floats, got {type(out).__name__}")
    if not (array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative):
        raise ValueError("out must be writable, C-contiguous and in native byte order")
    if array.size != count:
        wrong = _core.BufferTooSmallError if array.size < count else ValueError
        raise wrong(f"out has {array.size} elements, the gradient has {count}")
    return array.reshape(-1), _NUMBERS[name]
