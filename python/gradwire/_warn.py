"""Warnings that point to the line of the user's program, however deep in gradwire they arise."""

from __future__ import annotations

import sys
import warnings


def warn_user(message: str) -> None:
    """Issues a UserWarning for the innermost caller outside this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == "gradwire"
