"""A thread that does work in the order of submission."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Stage:
    """A thread of a pipeline, from the first :meth:`submit` to :meth:`end`. Work must not raise."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], None]) -> None:
        """Queues ``work``, which runs after all work submitted before."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=_run, args=(self._work,), name=self._name, daemon=True
            )
            self._thread.start()
        self._work.put(work)

    def end(self, then: Callable[[], None] | None = None) -> None:
        """Ends the thread once all work is done, and calls ``then`` last; does not wait for it."""
        if then is not None:
            if self._thread is None:
                then()
            else:
                self._work.put(then)
        self._work.put(None)

    def join(self) -> None:
        """Waits until the thread has ended."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()


def _run(queued: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := queued.get()) is not None:
        work()
        del work  # it may hold the last reference to the state
