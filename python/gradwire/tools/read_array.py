"""Reads arrays and tensors from .npy, .npz, .safetensors and .pt files.

The kind of a file is told by its first bytes, not by its name.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gradwire._checks import suggestion
from gradwire.tools.read_file import memory_of_machine, open_seekable, size_of
from gradwire.tools.write_file import is_stream

_NPY = b"\x93NUMPY"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the latter begins a zip file without members
_PICKLE = b"\x80"  # begins .pt files of torch before 1.6


def read_array(source: Path, key: str | None = None, max_size: int | None = None) -> Any:
    """Reads one array of integers or floats.

    Args:
        source: a file, or ``-`` for standard input.
        key: name of the array, for files that hold several.
        max_size: largest array in bytes to accept; None for the memory of the machine.

    Returns:
        A NumPy array, or a torch tensor if torch has read the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no such array, is damaged, or the array is too large; or the package
            to read it is not installed.
    """
    limit = memory_of_machine() if max_size is None else max_size
    with open_seekable(source) as file:
        start = file.read(9)
        size = size_of(file)
        if start.startswith(_NPY):
            if key is not None:
                raise ValueError("a .npy file holds one array without a name; omit --key")
            return _read_npy(file, size, limit)
        if start.startswith(_ZIP):
            return _read_zip(file, key, limit)
        if start[8:] == b"{":  # after the size of the header, which may begin with any byte
            return _read_safetensors(source, key, limit)
        if start.startswith(_PICKLE):
            return _read_torch(file, key, limit)
    found = "the file is empty" if size == 0 else "this is none"
    raise ValueError(f"{found}; pass a .npy, .npz, .safetensors or .pt file")


def dtype_name(array: Any) -> str:
    """The dtype of an array or tensor, such as "bfloat16"."""
    return str(array.dtype).replace("torch.", "")


def is_float(array: Any) -> bool:
    """Whether an array or tensor holds floats, those of gradwire or others."""
    return dtype_name(array).lstrip("<>=").startswith(("float", "bfloat", "f"))


@contextmanager
def _parsing(kind: str) -> Iterator[None]:
    """Turns whatever a reader of files raises for damaged ones into a ValueError."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"cannot be read as {kind} file: {reason}") from error


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"the array has {size} bytes, --max-size allows {limit}")


def _choose(names: Iterable[str], key: str | None) -> str:
    names = list(names)
    listed = f"pass --key with one of: {', '.join(names)}"
    if not names:
        raise ValueError("holds no arrays")
    if key is None and len(names) > 1:
        raise ValueError(f"holds {len(names)} arrays; {listed}")
    if key is not None and key not in names:
        raise ValueError(f"holds no array {key!r}{suggestion(key, names)}; {listed}")
    return names[0] if key is None else key


def _read_npy(file: Any, size: int, limit: int) -> npt.NDArray[Any]:
    """Reads a .npy file of ``size`` bytes. Its header is checked before memory is taken."""
    with _parsing(".npy"):
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"cannot be read as .npy file: its shape is {shape}")
    declared = math.prod(shape) * dtype.itemsize
    _check_size(declared, limit)
    present = size - file.tell()
    if declared > present:
        raise ValueError(f"is truncated: the array has {declared} bytes, the file {present}")
    file.seek(0)
    with _parsing(".npy"):
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _read_zip(file: BinaryIO, key: str | None, limit: int) -> Any:
    with _parsing(".npz"):
        archive = zipfile.ZipFile(file)
    names = archive.namelist()
    if any(Path(name).name == "data.pkl" for name in names):
        file.seek(0)
        return _read_torch(file, key, limit)
    name = _choose([n[:-4] for n in names if n.endswith(".npy")], key)
    member = f"{name}.npy"
    with _parsing(".npz"), archive.open(member) as opened:
        return _read_npy(opened, archive.getinfo(member).file_size, limit)


def _read_torch(file: BinaryIO, key: str | None, limit: int) -> Any:
    torch = _package("torch", ".pt")
    with _parsing(".pt"):
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except UnpicklingError:
            raise ValueError("it is damaged or holds other objects than tensors") from None
    if isinstance(loaded, torch.Tensor):
        loaded = {"": loaded}
    tensors = {name: t for name, t in _leaves(loaded, "") if isinstance(t, torch.Tensor)}
    tensor = tensors[_choose(tensors, key)]
    _check_size(tensor.numel() * tensor.element_size(), limit)
    return tensor


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """All values of nested dictionaries, with their keys joined by dots."""
    if not isinstance(tree, Mapping):
        yield prefix, tree
        return
    for name, value in tree.items():
        yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))


def _read_safetensors(source: Path, key: str | None, limit: int) -> Any:
    if is_stream(source):
        raise ValueError("a .safetensors file cannot come from standard input; pass its name")
    package = _package("safetensors", ".safetensors")
    framework = "pt" if importlib.util.find_spec("torch") else "numpy"
    with _parsing(".safetensors"):
        opened = package.safe_open(str(source), framework=framework)
    with opened as tensors:
        name = _choose(tensors.keys(), key)
        with _parsing(".safetensors"):
            part = tensors.get_slice(name)
            bits = "".join(filter(str.isdigit, part.get_dtype().split("_")[0]))  # of BF16: 16
            size = math.prod(part.get_shape()) * int(bits or 8) // 8
        _check_size(size, limit)
        if part.get_dtype() == "BF16" and framework == "numpy":
            raise ValueError("bfloat16 tensors need the package torch: pip install torch")
        with _parsing(".safetensors"):
            return tensors.get_tensor(name)


def _package(name: str, suffix: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        install = f"pip install {name}"
        raise ValueError(f"{suffix} files need the package {name}: {install} ({error})") from error
