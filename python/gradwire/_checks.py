"""Checks of arguments. The errors say what was found, and what to pass instead."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any


def check_integer(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Checks that an argument is an integer in a range.

    Raises:
        TypeError: it is no integer.
        ValueError: it is below ``least``, or above ``most``.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{name} must be {allowed}, got {value}")


def check_number(name: str, value: Any, may_be_infinite: bool = False) -> None:
    """Checks that an argument is a finite number.

    Raises:
        TypeError: it is no number.
        ValueError: it is NaN, or infinite unless it may be.
    """
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if math.isnan(value) or (math.isinf(value) and not may_be_infinite):
        raise ValueError(f"{name} must be finite, got {value}")


def check_loss_scale(loss_scale: Any) -> None:
    """Raises TypeError if ``loss_scale`` is neither None nor a function."""
    if loss_scale is not None and not callable(loss_scale):
        raise TypeError(
            "loss_scale must be a function that returns the scale, such as scaler.get_scale, "
            f"got {loss_scale!r}"
        )


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Raises ValueError if ``value`` is not one of the known ones; it lists them all."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        guess = suggestion(value, known)
        raise ValueError(f"unknown {name} {value!r}{guess}; take one of: {', '.join(known)}")


def suggestion(wrong: Any, known: Iterable[str]) -> str:
    """A question about the known word that is most like a wrong one; empty if none is."""
    by_lower_case = {word.lower(): word for word in known}
    close = difflib.get_close_matches(str(wrong).lower(), by_lower_case, n=1)
    return f" (did you mean {by_lower_case[close[0]]!r}?)" if close else ""
