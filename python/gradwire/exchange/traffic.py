"""What averaging has cost so far."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Traffic:
    """Bytes sent so far, and the seconds that each phase took. Two threads may add to it."""

    bytes_raw: int = 0
    """Bytes that a ring all-reduce of the same gradients would have sent."""
    bytes_sent: int = 0
    """Bytes that this rank has sent."""
    compress: float = 0.0
    exchange: float = 0.0
    decompress: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, what: str, amount: float) -> None:
        """Adds ``amount`` to the field named ``what``."""
        with self._lock:
            setattr(self, what, getattr(self, what) + amount)
