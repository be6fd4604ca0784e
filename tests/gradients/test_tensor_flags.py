"""Tensors whose memory does not hold their elements: taken as what they are, or refused."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradwire as gw

torch = pytest.importorskip("torch")


class Plain(torch.Tensor):
    pass


class Wrapper(torch.Tensor):
    """Stands for a tensor that it holds, as DTensor does."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Wrapper:
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} was called: a wrapper must be refused before")


def fake(x: torch.Tensor) -> torch.Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.empty(x.shape, dtype=x.dtype)


def negated(x: torch.Tensor) -> torch.Tensor:
    """-x, lazily."""
    as_complex = torch.complex(torch.zeros(x.shape), x.float()).conj()
    return as_complex.imag


def batched(x: torch.Tensor) -> torch.Tensor:
    caught = []
    torch.func.vmap(lambda row: caught.append(row) or row)(x.reshape(3, 3))
    return caught[0]


def within_vmap(call: Callable[[torch.Tensor], Any], x: torch.Tensor) -> None:
    torch.func.vmap(lambda row: call(row) and row)(x.reshape(3, 3))


KINDS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "complex": (lambda x: torch.complex(x.float(), x.float()), "view_as_real"),
    "conjugated": (lambda x: torch.complex(x.float(), x.float()).conj(), "resolve_conj"),
    "quantized": (
        lambda x: torch.quantize_per_tensor(x.float(), 0.1, 0, torch.qint8),
        "quantized tensor",
    ),
    "COO": (lambda x: x.reshape(3, 3).to_sparse(), "sparse_coo is not supported; pass .*to_dense"),
    "CSR": (lambda x: x.reshape(3, 3).to_sparse_csr(), "sparse_csr is not supported"),
    "nested": (lambda x: torch.nested.nested_tensor([x[:4].float(), x[4:].float()]), "unbind"),
    "jagged": (
        lambda x: torch.nested.nested_tensor([x[:4], x[4:]], layout=torch.jagged),
        "not supported; pass",
    ),
    "meta": (lambda x: x.to("meta"), "device meta"),
    "zeros": (lambda x: torch._efficientzerotensor(x.shape, dtype=x.dtype), "without memory"),
    "fake": (fake, "a FakeTensor, which stands for other tensors"),
    "functional": (torch._to_functional_tensor, "functional transform"),
    "wrapper": (Wrapper, "a Wrapper, which stands for other tensors"),
    "batched": (batched, "functional transform"),
    "lazy": (lambda x: torch.nn.parameter.UninitializedBuffer(), "has run once"),
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, x: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return KINDS[kind][0](x)


@EVERY_KIND
def test_refused_as_gradients_and_as_out(kind: str) -> None:
    tensor = made(kind, torch.arange(9.0))
    frame = gw.Compressor(gw.Lossless()).compress(np.ones(9, np.float32))
    for call in (
        lambda: gw.Compressor(gw.QSGD(4)).compress(tensor),
        lambda: gw.QSGD(4).quantize(tensor),
        lambda: gw.decompress_gradient(frame, out=tensor),
        lambda: gw.decompress_sum([frame], out=tensor),
    ):
        with pytest.raises(TypeError, match=KINDS[kind][1]):
            call()


@EVERY_KIND
def test_refused_as_integers_frames_and_buffers(kind: str) -> None:
    tensor = made(kind, torch.arange(9, dtype=torch.uint8))
    frame = gw.compress(np.ones(9, np.uint8))
    for call in (
        lambda: gw.compress(tensor),
        lambda: gw.compress_into(np.ones(9, np.uint8), tensor),
        lambda: gw.decompress(tensor),
        lambda: gw.decompress_gradient(tensor),
        lambda: gw.decompress_into(frame, tensor),
        lambda: gw.decompress_into(frame, tensor, accumulate=True),
    ):
        with pytest.raises(TypeError, match=KINDS[kind][1]):
            call()


def test_inside_of_vmap() -> None:
    with pytest.raises(TypeError, match="functional transform"):
        within_vmap(gw.Compressor(gw.QSGD(4)).compress, torch.arange(9.0))


def test_lazily_negated_gradients() -> None:
    x = torch.randn(9)
    tensor = negated(x)
    assert tensor.is_neg()
    compressor = gw.Compressor(gw.Lossless())
    assert np.array_equal(gw.decompress_gradient(compressor.compress(tensor)), -x.numpy())
    double = negated(x).double()
    assert np.array_equal(gw.decompress_gradient(compressor.compress(double)), double.numpy())


def test_lazily_negated_outputs() -> None:
    frame = gw.Compressor(gw.Lossless()).compress(np.ones(9, np.float32))
    tensor = torch.complex(torch.zeros(1), torch.zeros(1)).conj().imag
    one = gw.Compressor(gw.Lossless()).compress(np.ones(1, np.float32))
    for call in (
        lambda: gw.decompress_gradient(one, out=tensor),
        lambda: gw.decompress_gradient(frame, out=negated(torch.zeros(9))),
        lambda: gw.decompress_into(gw.compress(np.ones(4, np.uint8)), tensor),
    ):
        with pytest.raises(TypeError, match="lazily negated tensor as output is not supported"):
            call()


@pytest.mark.parametrize(
    "kind",
    [Plain, torch.nn.Parameter, lambda x: x.requires_grad_(), lambda x: x.as_subclass(Plain)],
    ids=["subclass", "Parameter", "with gradient", "as_subclass"],
)
def test_plain_tensors_are_taken(kind: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.randn(9)
    frame = gw.Compressor(gw.Lossless()).compress(kind(x.clone()))
    assert np.array_equal(gw.decompress_gradient(frame), x.numpy())
    out = kind(torch.zeros(9))
    assert gw.decompress_gradient(frame, out=out) is out
    assert np.array_equal(out.detach().numpy(), x.numpy())
    integers = torch.arange(9, dtype=torch.int32).as_subclass(Plain)
    assert np.array_equal(gw.decompress(gw.compress(integers)), np.arange(9))


def test_torch_is_not_imported_for_arrays() -> None:
    script = (
        "import sys, numpy, gradwire as gw; c = gw.Compressor(gw.SignSGD());"
        "gw.decompress_gradient(c.compress(numpy.ones(3))); gw.compress([1, 2]);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
