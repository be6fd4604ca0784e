"""Measures how fast this machine compresses, and how large frames are; keeps it in a file."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradwire._floats import Float32Array
from gradwire.advice.settings import COMPRESSED, Setting
from gradwire.advice.step_model import BUCKET, FLOAT_BYTES
from gradwire.gradient_frames import decompress_gradient
from gradwire.runtime import build_info

ROUNDS = 5
WARM_UP = 3
"""Rounds before those that count, in which memories and buffers fill; fewer on slow machines."""
PATIENCE = 0.6
"""Seconds for one setting and number of threads, after which no further round begins. Six settings
with one thread and with several take at most 7.2 s and 12 rounds."""
FILE = "calibration.json"


@dataclass(frozen=True)
class Speed:
    """One compressor on one gradient, by median times. A GB is 1e9 bytes of float32.

    ``one_thread_*`` are the speeds with one thread, the others those with the threads in use.
    """

    bits_per_element: float
    compress_gb_per_s: float
    decompress_gb_per_s: float
    one_thread_compress_gb_per_s: float
    one_thread_decompress_gb_per_s: float

    def seconds_per_element(self) -> tuple[float, float]:
        """To compress and to decompress, with the threads in use."""
        return (
            FLOAT_BYTES / self.compress_gb_per_s / 1e9,
            FLOAT_BYTES / self.decompress_gb_per_s / 1e9,
        )


def calibrate(
    gradient: Float32Array | None, threads: int, refresh: bool = False
) -> dict[str, Speed]:
    """The speed of each setting that compresses, by its name; takes a few seconds at first.

    Results are kept in :func:`cache_file`, for this gradient, this machine, this version of
    gradwire, the instruction set in use and the number of threads.

    Args:
        gradient: flat and finite. At most one bucket of it, of 25 MiB, is measured. None for
            random numbers (Laplace), whose frames have another size than those of your gradients.
        threads: in use.
        refresh: whether to measure again.
    """
    sample = gradient if gradient is None else np.ascontiguousarray(gradient[:BUCKET])
    key = _key(sample, threads)
    kept = _read()
    if not refresh and (found := _speeds(kept.get(key))):
        return found
    x = _laplace() if sample is None else sample
    measured = {setting.name: _measure(setting, x, threads) for setting in COMPRESSED}
    _write({**kept, key: {name: asdict(speed) for name, speed in measured.items()}})
    return measured


def cache_file() -> Path:
    """Where results are kept: ``gradwire/calibration.json`` in ``XDG_CACHE_HOME`` or ~/.cache."""
    folder = os.environ.get("XDG_CACHE_HOME", "")  # the standard: only if it is an absolute path
    base = Path(folder) if os.path.isabs(folder) else Path.home() / ".cache"
    return base / "gradwire" / FILE


def _laplace() -> Float32Array:
    return np.random.default_rng(0).laplace(size=BUCKET).astype(np.float32)


def _key(sample: Float32Array | None, threads: int) -> str:
    build = build_info()
    data = "Laplace" if sample is None else hashlib.sha256(sample.tobytes()).hexdigest()[:16]
    return f"{build['version']}, {os.uname().nodename}, {build['isa']}, {threads} threads, {data}"


def _measure(setting: Setting, x: Float32Array, threads: int) -> Speed:
    one = _bits_and_speeds(setting, x, 1)
    several = one if threads == 1 else _bits_and_speeds(setting, x, threads)
    return Speed(*several, *one[1:])


def _bits_and_speeds(setting: Setting, x: Float32Array, threads: int) -> tuple[float, float, float]:
    assert setting.make is not None
    compressor = setting.make(threads)
    out = np.zeros_like(x)
    compress: list[float] = []
    decompress: list[float] = []
    begin = time.perf_counter()
    for turn in range(WARM_UP + ROUNDS):
        if turn > 0 and time.perf_counter() - begin > PATIENCE:
            break
        taken, frame = _timed(lambda: compressor.compress(x, name="bucket"))
        compress.append(taken)
        taken, _ = _timed(
            lambda: decompress_gradient(frame, out, accumulate=True, threads=threads)  # noqa: B023
        )
        decompress.append(taken)
    first = min(WARM_UP, len(compress) - 1)
    to_frame, back = (float(np.median(times[first:])) for times in (compress, decompress))
    return 8 * frame.nbytes / x.size, x.nbytes / to_frame / 1e9, x.nbytes / back / 1e9


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def _speeds(kept: Any) -> dict[str, Speed] | None:
    """What an entry of the file says; None if it lacks a setting, or is no such entry."""
    try:
        return {s.name: Speed(**kept[s.name]) for s in COMPRESSED}
    except (TypeError, KeyError):
        return None


def _read() -> dict[str, Any]:
    """All entries; none if there is no such file, or it is damaged: then it is written anew."""
    with suppress(OSError, ValueError):
        kept = json.loads(cache_file().read_text(encoding="utf-8"))
        if isinstance(kept, dict):
            return kept
    return {}


def _write(entries: dict[str, Any]) -> None:
    """Replaces the file. If that fails, the next call measures again."""
    with suppress(OSError):
        target = cache_file()
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}-{secrets.token_hex(8)}.tmp")
        temporary.write_text(json.dumps(entries, indent=1), encoding="utf-8")
        os.replace(temporary, target)
