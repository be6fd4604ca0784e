"""Types of torch that NumPy lacks: errors name them, and say what to pass."""

from __future__ import annotations

import numpy as np
import pytest

import gradwire as gw

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install gradwire[torch]")

EVERY_TYPE = pytest.mark.parametrize(
    "name", [name for name in ("float8_e4m3fn", "float8_e5m2") if hasattr(torch, name)]
)
KNOWN = "must hold float32, float16, bfloat16, float64, got"


@EVERY_TYPE
def test_float8_is_no_type_of_gradients(name: str) -> None:
    x = torch.ones(9).to(getattr(torch, name))
    levels = np.ones(9, np.int8)
    frame = gw.Compressor(gw.Lossless()).compress(np.ones(9, np.float32))
    for call, message in (
        (lambda: gw.Compressor(gw.QSGD(4)).compress(x), f"a gradient {KNOWN} {name}; convert it"),
        (lambda: gw.QSGD(4).quantize(x), f"a gradient {KNOWN} {name}; convert it first"),
        (lambda: gw.TopK(0.1).sparsify(x), f"a gradient {KNOWN} {name}; convert it first"),
        (lambda: gw.compress_levels(levels, x, 1), f"scales {KNOWN} {name}; convert it first"),
        (lambda: gw.compress_selected(levels[:1], x[:1], 9), f"values {KNOWN} {name}"),
        (lambda: gw.decompress_gradient(frame, out=x), f"out {KNOWN} {name}$"),
        (lambda: gw.compress(x), f"the codecs take integers, got {name}; quantize the gradient"),
        (lambda: gw.compress_levels(x, 1.0), f"the codecs take integers, got {name}; quantize"),
    ):
        with pytest.raises(TypeError, match=message):
            call()
    frame = gw.Compressor(gw.Lossless()).compress(x.float())
    assert np.array_equal(gw.decompress_gradient(frame), np.ones(9))


HOOK = """
import os, sys
import torch
import torch.distributed as dist
import gradwire as gw

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(5000).to(torch.float8_e4m3fn))

    def forward(self, x):
        return (x * self.weight.float()).sum()

dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
ddp = torch.nn.parallel.DistributedDataParallel(Model(), init_sync=False)
state = gw.torch.CompressionState(compressor=gw.Compressor(gw.QSGD(4)), fallback=False)
ddp.register_comm_hook(state, gw.torch.compressed_allreduce)
try:
    ddp(torch.ones(5000)).backward()
except TypeError as error:
    print(error, flush=True)
os._exit(0)
"""


def test_float8_buckets_of_ddp(run_python) -> None:
    assert f"a gradient {KNOWN} float8_e4m3fn; convert it first" in run_python(HOOK)


def test_bfloat16_is_no_integer() -> None:
    with pytest.raises(TypeError, match="the codecs take integers, got bfloat16; quantize the"):
        gw.compress(torch.zeros(3, dtype=torch.bfloat16))
