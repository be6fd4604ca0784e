"""Reads quantities with units, such as ``1Gbit``, ``0.2ms`` and ``350M``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_RATES = {
    f"{prefix}bit{end}": factor
    for prefix, factor in {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.items()
    for end in ("", "/s")
}
_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "B": 1e9}


def parse_rate(text: str) -> float:
    """Bits per second of a link.

    Raises:
        ValueError: ``text`` is not a positive number with a unit of bits per second.

    >>> parse_rate("100 Mbit/s")
    100000000.0
    """
    rate = _parse(text, _RATES, 'a link speed in bits per second, such as "1Gbit" or "100 Mbit/s"')
    if rate == 0:
        raise ValueError(f"a link speed must be more than 0, got {text!r}")
    return rate


def parse_time(text: str) -> float:
    """Seconds.

    Raises:
        ValueError: ``text`` is not a number with a unit of time.

    >>> parse_time("180ms")
    0.18
    """
    return _parse(text, _TIMES, 'a time with its unit (s, ms or us), such as "0.2ms"')


def parse_count(text: str) -> int:
    """A number of parameters.

    Raises:
        ValueError: ``text`` is not a number of at least 1, with k, M or B for its thousands,
            millions or billions.

    >>> parse_count("350M")
    350000000
    """
    wanted = 'a number of parameters, such as "350M" (k, M or B; at least 1)'
    count = round(_parse(text, _COUNTS, wanted))
    if count < 1:
        raise ValueError(f"expected {wanted}, got {text!r}")
    return count


def _parse(text: str, units: Mapping[str, float], wanted: str) -> float:
    """A number times its unit. Case does not matter where that leaves one meaning."""
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([A-Za-z/]*)\s*", text, re.ASCII)
    unit = match.group(2) if match else ""
    found = [u for u in units if u == unit] or [u for u in units if u.lower() == unit.lower()]
    if match is None or not found or not math.isfinite(float(match.group(1))):
        bytes_meant = re.fullmatch(r"[kMGT]i?B(/s)?|[kMGT]Bps", unit)
        hint = "; one byte has 8 bits" if bytes_meant and units is _RATES else ""
        raise ValueError(f"expected {wanted}, got {text!r}{hint}")
    # Rounded, because 180 * 1e-3 is not the number nearest to 0.18.
    return float(f"{float(match.group(1)) * units[found[0]]:.15g}")
