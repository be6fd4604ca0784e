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
    """Version, OpenMP support, default number of threads and instruction sets of this build.

    The environment variable ``GRADWIRE_ISA`` forces one of ``available_isas``.
    """
    openmp = _core.has_openmp()
    return {
        "version": _core.version(),
        "openmp": openmp,
        "threads": _core.get_threads(),
        "parallel": "OpenMP" if openmp else "serial: built without OpenMP",
        "isa": _core.isa(),
        "available_isas": _core.available_isas(),
    }
