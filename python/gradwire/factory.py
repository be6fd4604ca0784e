"""Creates compressors from a dictionary of settings, with the names that GRACE uses.

GRACE: Xu et al., "GRACE: A Compressed Communication Framework for Distributed Machine Learning",
ICDCS 2021.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gradwire import memory, quantizers, sparsifiers
from gradwire._checks import check_choice
from gradwire.compressor import Compressor

COMPRESSORS: dict[str, Callable[..., Any]] = {
    "none": quantizers.Lossless,
    "qsgd": quantizers.QSGD,
    "terngrad": quantizers.TernGrad,
    "signsgd": quantizers.SignSGD,
    "signum": quantizers.Signum,
    "efsignsgd": quantizers.EFSignSGD,
    "onebit": quantizers.OneBit,
    "natural": quantizers.Natural,
    "uniform": quantizers.Uniform,
    "topk": sparsifiers.TopK,
    "randomk": sparsifiers.RandomK,
    "threshold": sparsifiers.Threshold,
    "dgc": sparsifiers.DGC,
    "redsync": sparsifiers.RedSync,
    "redsync_trimmed": sparsifiers.RedSyncTrimmed,
    "gaussiank": sparsifiers.GaussianK,
    "sidco": sparsifiers.SIDCoExponential,
    "sidco_gamma_pareto": sparsifiers.SIDCoGammaPareto,
    "sidco_pareto": sparsifiers.SIDCoPareto,
}
MEMORIES: dict[str, Callable[..., Any]] = {
    "none": memory.NoMemory,
    "residual": memory.Residual,
    "dgc": memory.DGCMomentum,
    "efsignsgd": memory.EFSign,
}
_ALIASES = {
    "compress_ratio": "density",
    "quantum_num": "levels",
    "lr": "learning_rate",
    "gradient_clipping": "clip",
}


def compressor_from_params(params: Mapping[str, Any]) -> Compressor:
    """Creates a compressor from settings like those of GRACE's ``grace_from_params``.

    Args:
        params: "compressor" and "memory" by name (default "none"), "codec" (default "entropy"),
            "seed", "rank", "world_size", "threads", "nonfinite", "loss_scale", and the arguments of
            the named classes. GRACE's names compress_ratio, quantum_num, lr and gradient_clipping
            stand for density, levels, learning_rate and clip. "communicator" is ignored.

    Raises:
        ValueError: a name or a setting is unknown; the message lists the known ones.

    >>> import gradwire as gw
    >>> gw.compressor_from_params({"compressor": "topk", "compress_ratio": 0.01}).pipeline
    TopK(density=0.01, values='float32')
    """
    given = {_ALIASES.get(key, key): value for key, value in params.items()}
    given.pop("communicator", None)
    pipeline = _pick(COMPRESSORS, "compressor", given)
    kept = _pick(MEMORIES, "memory", given)
    used: set[str] = set()
    parts = [_build(make, given, used) for make in (pipeline, kept)]
    if isinstance(parts[0], quantizers.Signum) and type(parts[1]) is memory.NoMemory:
        parts[1] = None
    options = {key: value for key, value in given.items() if key not in used}
    known = {"codec", "seed", "rank", "world_size", "nonfinite", "threads", "loss_scale"}
    for name in sorted(set(options) - known):
        check_choice("setting", name, sorted(known | used | _ALIASES.keys()))
    return Compressor(parts[0], memory=parts[1], **options)


def _pick(table: dict[str, Callable[..., Any]], kind: str, given: dict[str, Any]) -> Any:
    name = given.pop(kind, "none")
    check_choice(kind, name, table)
    return table[name]


def _build(make: Callable[..., Any], given: Mapping[str, Any], used: set[str]) -> Any:
    names = set(inspect.signature(make).parameters)
    used |= names
    return make(**{key: value for key, value in given.items() if key in names})
