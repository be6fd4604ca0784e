"""What the users of an averager in different frameworks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TypeVar

from gradwire import checkpoint
from gradwire.averaging import Averager

Self = TypeVar("Self", bound="Closing")


class Closing(ABC):
    """Ends at the end of a ``with`` block."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Ends it."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class NamedTensors(Closing):
    """The state of an averager whose tensors have names that the program gives.

    Args:
        averager: of its own.
    """

    def __init__(self, averager: Averager) -> None:
        self.averager = averager

    def skip_step(self, names: Iterable[str]) -> None:
        """Says that averages are not applied, so that memories are taken back to before them.

        Args:
            names: of the tensors that were averaged in that step, and of no others.
        """
        if isinstance(names, str):
            raise TypeError(f"names must be several: pass [{names!r}]")
        self.averager.take_back(names)

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to go on, for this rank's checkpoint: NumPy arrays by tensor name."""
        return checkpoint.state_dict(self.averager)

    def load_state_dict(self, state: Any, strict: bool = True) -> None:
        """Goes on from :meth:`state_dict`, bit for bit.

        Args:
            state: of this rank; with ``strict=False`` a list of those of all ranks of the earlier
                run, or of some of them if other ranks have the rest.
            strict: whether the world size and the rank must be the same. Otherwise all ranks must
                call this, and share out what the ranks of that run held, so that nothing is lost.

        Raises:
            ValueError: it had another pipeline, memory, algorithm, rank or world size.
        """
        checkpoint.load_state_dict(self.averager, state, strict)

    def close(self) -> None:
        """Lets go of the compressor. What memory holds is forgotten: save it first."""
        self.averager.close()
