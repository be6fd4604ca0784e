"""A progress line for long work at a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

PATIENCE = 1.0  # seconds before the line appears


class Progress:
    """Counts steps on one line of stderr, once the work has taken a second."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._begin = time.monotonic()
        self._shown = False

    def step(self, detail: str = "") -> None:
        """Counts one more step; ``detail`` is shown after the count."""
        self._done += 1
        if sys.stderr.isatty() and time.monotonic() - self._begin > PATIENCE:
            self._shown = True
            line = f"{self._what}: {self._done}/{self._total} {detail}"
            print(f"\r{line[:78]:78}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Removes the line, so that something else can be printed; the next step shows it again."""
        if self._shown:
            print(f"\r{'':78}\r", end="", file=sys.stderr, flush=True)
            self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
