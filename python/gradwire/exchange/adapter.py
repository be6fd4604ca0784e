"""The base of the adapters that wrap an averager for a framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

from gradwire.exchange import checkpoint
from gradwire.exchange.averaging import Averager

Result = TypeVar("Result")
Self = TypeVar("Self", bound="Closing")


class Closing(ABC):
    """Something with :meth:`close`, which the end of a ``with`` block calls."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Releases its resources."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Pending(Generic[Result]):
    """Averages that may not have arrived yet."""

    def __init__(self, finish: Callable[[], Result]) -> None:
        self._finish: Callable[[], Result] | None = finish
        self._result: Result
        self._error: Exception | None = None

    def wait(self) -> Result:
        """Waits for what was started, and returns it or raises its error; the same each time."""
        if self._finish is not None:
            try:
                self._result = self._finish()
            except Exception as error:
                self._error = error
            self._finish = None  # not after an interruption
        if self._error is not None:
            raise self._error
        return self._result


class NamedTensors(Closing):
    """An averager whose tensors have names that the program chooses.

    Args:
        averager: not shared with any other user.
    """

    def __init__(self, averager: Averager) -> None:
        self.averager = averager

    def skip_step(self, names: Iterable[str]) -> None:
        """Undoes the last step of these tensors in memory, because its averages are not applied.

        Args:
            names: exactly those of the tensors that were averaged in that step.

        Raises:
            TypeError: ``names`` is one string.
            RuntimeError: this was closed.
        """
        if isinstance(names, str):
            raise TypeError(f"names must be a sequence of names, got one string; pass [{names!r}]")
        self._take_back(names)

    def _take_back(self, names: Iterable[str]) -> None:
        self.averager.take_back(names)

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to continue, for this rank's checkpoint: NumPy arrays by tensor name."""
        return checkpoint.state_dict(self.averager)

    def load_state_dict(self, state: Any, strict: bool = True) -> None:
        """Continues from a :meth:`state_dict`, bit for bit if ``strict``.

        Args:
            state: that of this rank; with ``strict=False`` a list of those of all ranks of the
                earlier run, or of some of them if other ranks pass the rest.
            strict: whether the algorithm, world size and rank must be those of the earlier run. If
                not, all ranks must call this; they redistribute what the ranks of that run held,
                so that nothing is lost.

        Raises:
            ValueError: the pipeline or memory differs, or (if ``strict``) the algorithm, rank or
                world size; or a rank's checkpoint is missing.
        """
        checkpoint.load_state_dict(self.averager, state, strict)

    def close(self) -> None:
        """Releases the compressor and discards its state; save :meth:`state_dict` first."""
        self.averager.close()
