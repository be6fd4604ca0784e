"""Threads and instruction set of this build."""

from __future__ import annotations

from typing import Any

from gradwire import _core


def set_threads(n: int) -> None:
    """Sets the default number of threads; 0 leaves it to OpenMP (``OMP_NUM_THREADS``).

    Raises:
        ValueError: ``n`` is negative.
    """
    _core.set_threads(n)


def build_info() -> dict[str, Any]:
    """What this build is and does; a report of a problem or of a speed should have it.

    The environment variable ``GRADWIRE_ISA`` forces one of ``available_isas``.

    Returns:
        ``version``, ``openmp`` (whether it was built with OpenMP), ``threads`` (the default number)
        and ``parallel`` (the same in words); ``isa``, the instruction set in use (``"scalar"``,
        ``"avx2"`` or ``"avx512"``), and ``available_isas``, those that this processor can run,
        slowest first; ``kernels``, a dict from each kernel (an inner loop, such as
        ``"tokens.tokenize"``) to the instruction set whose function runs: ``isa``, or a slower one
        where ``isa`` has no faster function.
    """
    openmp = _core.has_openmp()
    return {
        "version": _core.version(),
        "openmp": openmp,
        "threads": _core.get_threads(),
        "parallel": "OpenMP" if openmp else "serial: built without OpenMP",
        "isa": _core.isa(),
        "available_isas": _core.available_isas(),
        "kernels": _core.kernel_isas(),
    }
