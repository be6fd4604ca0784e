"""What goes together in a compressor, and what its objects are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gradwire as gw
from gradwire._pairs import missing_memory


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: gw.QSGD(4.5), TypeError, "levels must be an integer, got 4.5"),
        (lambda: gw.QSGD("4"), TypeError, "levels must be an integer, got '4'"),
        (lambda: gw.QSGD(4, bucket_size=1.5), TypeError, "must be an integer, got 1.5"),
        (lambda: gw.QSGD(4, norm="L2"), ValueError, "unknown norm 'L2' (did you mean 'l2'?)"),
        (lambda: gw.TernGrad(clip=None), TypeError, "clip must be a number, got None"),
        (lambda: gw.TopK("0.1"), TypeError, "density must be a number, got '0.1'"),
        (lambda: gw.Threshold(None), TypeError, "density must be a number, got None"),
        (lambda: gw.Residual("1"), TypeError, "beta must be a number, got '1'"),
        (lambda: gw.Compressor(gw.QSGD(), loss_scale=64.0), TypeError, "such as scaler.get_scale"),
        (lambda: gw.codec("hufman"), ValueError, "(did you mean 'huffman'?)"),
        (lambda: gw.Compressor(gw.QSGD(), codec=None), ValueError, "take one of: rle, huffman"),
        (
            lambda: gw.compressor_from_params({"compressor": "topk", "compres_ratio": 0.1}),
            ValueError,
            "unknown setting 'compres_ratio' (did you mean 'compress_ratio'?)",
        ),
        (
            lambda: gw.compressor_from_params({"compressor": "topkk"}),
            ValueError,
            "unknown compressor 'topkk' (did you mean 'topk'?)",
        ),
        (lambda: gw.Compressor(gw.QSGD), TypeError, "the class QSGD; write QSGD()"),
        (lambda: gw.Compressor("topk"), TypeError, "such as gw.QSGD(4), got 'topk'"),
        (lambda: gw.Compressor(gw.QSGD(), memory=gw.Residual), TypeError, "write Residual()"),
        (lambda: gw.Compressor(gw.QSGD(), memory="residual"), TypeError, "got 'residual'"),
    ],
)
def test_wrong_parts(make: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "one",
    [
        gw.NoMemory(),
        gw.Residual(),
        gw.Residual(beta=0.5),
        gw.EFSign(0.25),
        gw.DGCMomentum(0.5),
        gw.Compressor(gw.QSGD(16)),
        gw.Compressor(gw.TopK(0.05, values=gw.QSGD(4)), "huffman", gw.Residual(), seed=3),
        gw.Compressor(gw.Signum(0.8), nonfinite="zero"),
    ],
    ids=repr,
)
def test_representations_can_be_pasted(one: Any) -> None:
    assert repr(eval(repr(one), vars(gw))) == repr(one)


@pytest.mark.parametrize(
    ("pipeline", "memory", "line"),
    [
        (gw.TopK(0.01), None, "gw.TopK(density=0.01, values='float32'), memory=gw.Residual()"),
        (gw.RandomK(0.01), None, "memory=gw.Residual()"),
        (gw.OneBit(), None, "memory=gw.Residual()"),
        (gw.EFSignSGD(), None, "memory=gw.Residual()"),
        (gw.Uniform(4), None, "memory=gw.Residual()"),
        (gw.SignSGD(), None, "gw.EFSignSGD(), memory=gw.EFSign(learning_rate)"),
        (gw.TopK(0.01), gw.Residual(), None),
        (gw.Uniform(4, stochastic=True), None, None),
        (gw.QSGD(4), None, None),
        (gw.TernGrad(), None, None),
        (gw.Natural(), None, None),
        (gw.Lossless(), None, None),
        (gw.Signum(), None, None),
    ],
)
def test_what_needs_a_memory(pipeline: Any, memory: Any, line: str | None) -> None:
    compressor = gw.Compressor(pipeline, memory=memory)
    told = missing_memory(compressor.pipeline, compressor.memory)
    assert told is None if line is None else line in str(told)
