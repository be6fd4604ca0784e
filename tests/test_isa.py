"""Every instruction set gives the same frames and decodes them alike."""

from __future__ import annotations

import ast

import pytest
from cases import KEYS

import gradwire as gw

SCRIPT = """
import hashlib, sys
import numpy as np
import gradwire as gw
from cases import CORNER_CASES
assert gw.build_info()["isa"] == sys.argv[1]
for name, case in CORNER_CASES.items():
    for key in sys.argv[2:]:
        frame = gw.compress(case, codec=key)
        assert np.array_equal(gw.decompress(frame), case), (name, key)
        print(name, key, hashlib.sha256(frame).hexdigest())
"""


def test_same_bytes_on_every_instruction_set(run_python) -> None:
    outputs = {
        isa: run_python(SCRIPT, isa, *KEYS, GRADWIRE_ISA=isa)
        for isa in gw.build_info()["available_isas"]
    }
    assert len(set(outputs.values())) == 1
    assert "scalar" in outputs


def test_kernels_are_those_of_an_instruction_set_or_of_slower_ones(run_python) -> None:
    script = "import gradwire as gw; print(gw.build_info()['kernels'])"
    served = {
        isa: ast.literal_eval(run_python(script, GRADWIRE_ISA=isa))
        for isa in gw.build_info()["available_isas"]
    }
    # No function of the scalar file is used by another, because each compiles all kernels anew.
    allowed = {"scalar": {"scalar"}, "avx2": {"avx2"}, "avx512": {"avx2", "avx512"}}
    for isa, kernels in served.items():
        assert set(kernels.values()) == allowed[isa]
        assert list(kernels) == list(served["scalar"])
    assert {"bytes.crc32c", "floats.wide_levels.quantize"} <= set(served["scalar"])
    if "avx512" in served:
        assert served["avx512"]["tokens.tokenize"] == "avx512"


def test_unknown_instruction_set(run_python) -> None:
    script = "import gradwire as gw\ntry: gw.compress([1])\nexcept ValueError as e: print(e)"
    told = run_python(script, GRADWIRE_ISA="z80")
    assert "GRADWIRE_ISA=z80 is not an instruction set of this machine" in told
    assert "scalar" in told


def test_environment_is_read_once() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADWIRE_ISA", "z80")
        assert gw.build_info()["isa"] != "z80"
