"""Says what the figures of the demo mean."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from gradwire.runtime import build_info
from gradwire.tools.bench import FLOAT_BITS, Measurement
from gradwire.tools.gradient_bench import CompressorMeasurement

LEVEL_BITS = 8
# GB/s at which `entropy` encodes levels of QSGD(4) in docs/benchmarks.md (AVX2, one thread). The
# arrays of the demo are small, and processors differ: only far lower speeds need a reason.
DOCUMENTED_GB_PER_S = 1.8
FAR_BELOW = 1 / 4


def verdict(
    codecs: Collection[Sequence[Measurement]],
    compressors: Collection[Sequence[CompressorMeasurement]],
) -> str:
    """One line each: the best codec, when compression pays, and why speeds are low, if they are.

    Args:
        codecs: for each gradient, the figures of all codecs.
        compressors: for each gradient, the figures of all compressors.
    """
    by_codec = [list(of_one) for of_one in zip(*codecs)]
    best = min(by_codec, key=lambda of_one: sum(m.frame_bytes for m in of_one))
    levels = [8 * m.frame_bytes / m.bits_per_element for m in best]  # their bytes, too: int8
    bits = 8 * sum(m.frame_bytes for m in best) / sum(levels)
    encode = sum(levels) / sum(n / m.encode_gb_per_s for n, m in zip(levels, best))
    decode = sum(levels) / sum(n / m.decode_gb_per_s for n, m in zip(levels, best))
    name = best[0].codec
    lines = [
        f"The smallest frames are those of {name}: {LEVEL_BITS / bits:.0f} times smaller than "
        f"int8, {FLOAT_BITS / bits:.0f} times smaller than float32; "
        f"it encodes {encode:.2f} GB/s of int8 and decodes {decode:.2f} GB/s."
    ]
    pays = min((of_one[0] for of_one in compressors), key=lambda m: m.break_even_gbit_per_s)
    lines.append(
        f"{pays.compressor} saves time on all of these gradients if your link is slower than "
        f"{pays.break_even_gbit_per_s:.1f} Gbit/s."
    )
    if name == "entropy" and encode < FAR_BELOW * DOCUMENTED_GB_PER_S:
        lines.append(
            f"docs/benchmarks.md says {DOCUMENTED_GB_PER_S} GB/s for encoding. A likely reason "
            f"for {encode:.2f}: {_reason()}."
        )
    return "\n".join(lines)


def _reason() -> str:
    """The most likely reason for low speeds."""
    info, forced = build_info(), os.environ.get("GRADWIRE_ISA")
    if info["isa"] == "scalar" and forced:
        return f"the environment variable GRADWIRE_ISA is {forced}; unset it"
    if info["isa"] == "scalar":
        return "this processor has no AVX2"
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores:
        return f"other programs use the processors (load {load:.1f}, {cores} cores)"
    return "a debug build, or a much slower processor; pip install . builds the fast version"
