"""Accepts torch tensors whose memory NumPy can view; a TypeError says what to pass instead.

Some tensors are views with a flag (lazily negated ones, for example), some have no memory, and some
wrap other tensors. The memory that they export does not hold their elements. If torch has not been
imported, nothing is a tensor.
"""

from __future__ import annotations

import sys
from typing import Any


def is_tensor(data: Any) -> bool:
    """Whether ``data`` is a torch tensor, subclasses included."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    return tensor is not None and isinstance(data, tensor)


def name_of_type(data: Any) -> str:
    """The name of the type of an array's or tensor's elements, for example "float8_e4m3fn"."""
    return getattr(data.dtype, "name", None) or str(data.dtype).rpartition(".")[2]


def _refuse(found: str, instead: str) -> None:
    raise TypeError(f"{found} is not supported; pass {instead}")


def _check_is_plain(tensor: Any, torch: Any) -> None:
    """Refuses tensors that wrap others or have no memory yet, most of whose methods fail."""
    kind = type(tensor)
    if kind is not torch.Tensor:
        if kind.__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
            _refuse(
                f"a {kind.__name__}, which stands for other tensors,",
                "a plain tensor, for example to_local() of a DTensor",
            )
        if torch.nn.parameter.is_lazy(tensor):
            _refuse(f"an {kind.__name__}", "the parameter after the module has run once")
    is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    if is_wrapped(tensor) or torch._is_functional_tensor(tensor):
        _refuse(
            "a tensor of a functional transform such as torch.func.vmap or torch.compile",
            "the tensor outside the transform",
        )


def _check_memory(tensor: Any, torch: Any) -> None:
    if tensor.is_nested:
        _refuse("a nested tensor", "each of the tensors of tensor.unbind()")
    if tensor.layout is not torch.strided:
        _refuse(
            f"a tensor of layout {tensor.layout}",
            "tensor.to_dense(), or tensor.coalesce().values() for the nonzero elements",
        )
    if tensor.is_meta:
        _refuse("a tensor on device meta, which has no elements,", "one with data")
    if not tensor.is_cpu:
        _refuse(f"a tensor on {tensor.device}, outside host memory,", "tensor.cpu()")
    if tensor.is_quantized:
        _refuse("a quantized tensor", "tensor.dequantize(), or tensor.int_repr() for its integers")
    if tensor.is_complex():
        _refuse(f"a tensor of {tensor.dtype}", "torch.view_as_real(tensor.resolve_conj())")
    if tensor._is_zerotensor():
        _refuse("a tensor of zeros without memory", "torch.zeros(tensor.shape, dtype=tensor.dtype)")


def plain_tensor(tensor: Any, to_write: bool) -> Any:
    """The tensor, detached; a copy if it is lazily negated.

    Args:
        tensor: a torch tensor.
        to_write: whether the result will be written to, so that it must not be a copy.

    Raises:
        TypeError: the memory of ``tensor`` does not hold its elements.
    """
    torch = sys.modules["torch"]
    _check_is_plain(tensor, torch)
    _check_memory(tensor, torch)
    if not tensor.is_neg():
        return tensor.detach()
    if to_write:
        _refuse("a lazily negated tensor as output", "a plain tensor and copy from it")
    return tensor.detach().resolve_neg()
