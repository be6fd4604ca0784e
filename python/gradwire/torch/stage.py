"""A thread that does one kind of work, in the order in which it is given."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Stage:
    """One thread of a pipeline. Work must not raise."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Callable[[], None]) -> None:
        """Does ``work`` after all work before it."""
        self._work.put(work)

    def _run(self) -> None:
        while True:
            self._work.get()()
