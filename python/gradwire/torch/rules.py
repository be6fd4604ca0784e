"""Which parameters of a model are sent uncompressed, and which with another pipeline."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import torch

from gradwire._checks import suggestion
from gradwire._warn import warn_user
from gradwire.compressor import Compressor
from gradwire.torch.names import ParameterNames
from gradwire.torch.regroup import Bucket

Pattern = Union[str, Callable[[str, torch.Tensor], bool]]
"""A name or a pattern of names as in ``fnmatch``, such as ``"*.bias"``; or a function of the name
and the parameter that says whether it is meant."""

EXCLUDED = -1
"""The place of parameters that are sent uncompressed. That of the others is a number: 0 for the
compressor of the state, then one for each rule."""


class Rules:
    """Says for each parameter how it is sent.

    Args:
        exclude: what is sent uncompressed: one pattern or several.
        rules: the compressors of other parameters, by pattern. The first that matches counts.

    Raises:
        TypeError: something is neither a pattern nor a compressor.
    """

    def __init__(
        self,
        exclude: Pattern | Sequence[Pattern] | None,
        rules: Mapping[Pattern, Compressor] | None,
    ) -> None:
        several: list[Pattern]
        exclude = () if exclude is None else exclude
        if isinstance(exclude, str) or not isinstance(exclude, Sequence):
            several = [exclude]
        else:
            several = list(exclude)
        self.given = given = dict(rules or {})
        self.excluded = several
        for compressor in given.values():
            if not isinstance(compressor, Compressor):
                raise TypeError(f"the values of rules must be gw.Compressor, got {compressor!r}")
        self._patterns = [*((pattern, EXCLUDED) for pattern in several)]
        self._patterns += [(pattern, number) for number, pattern in enumerate(given, 1)]
        for pattern, _ in self._patterns:
            _check_pattern(pattern)
        self.compressors = list(given.values())
        self._places: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def in_words(self) -> list[str]:
        """What goes where, as text that is identical on all ranks."""
        places = {EXCLUDED: "exclude"}
        return [f"{places.get(place, place)}: {_told(p)}" for p, place in self._patterns]

    def pattern_of(self, place: int) -> str:
        """The patterns of one place, as text."""
        return ", ".join(_told(pattern) for pattern, one in self._patterns if one == place)

    def learn(self, names: ParameterNames, is_told: bool) -> bool:
        """Assigns the parameters of a model to their places, and returns True; only once.

        Args:
            names: of all its parameters.
            is_told: whether to warn of patterns that match no name.

        Raises:
            ValueError: the names are not known.
        """
        if not self or self._places:
            return False
        if not names.is_complete:
            raise ValueError(
                "exclude and rules need the names of the parameters, which are not known because "
                "the hook was not registered with model.register_comm_hook(state, hook)"
            )
        parameters = names.parameters()
        self._places = {name: self._place_of(name, p) for name, p in parameters.items()}
        for pattern, _ in self._patterns if is_told else ():
            if isinstance(pattern, str) and not fnmatch.filter(parameters, pattern):
                guess = suggestion(pattern, list(parameters))
                warn_user(
                    f"gradwire: pattern {pattern!r} in exclude or rules matches no parameter, so "
                    f"it has no effect{guess}; names are those of model.module.named_parameters()"
                )

        return True

    def outcome(self) -> dict[str, str]:
        """The place of each parameter, as text."""
        return {name: str(place) for name, place in self._places.items()}

    def split(self, bucket: Bucket) -> dict[int, Bucket]:
        """The parts of a bucket, by place: ``bucket`` itself, or copies of its parts."""
        if not self or not bucket.layout:
            return {0: bucket}
        places = [self._places.get(name, 0) for name, _ in bucket.layout]
        if len(set(places)) == 1:
            return {places[0]: bucket}
        pieces = bucket.buffer.split([count for _, count in bucket.layout])
        return {
            place: Bucket(
                bucket.index,
                torch.cat([piece for piece, one in zip(pieces, places) if one == place]),
                [entry for entry, one in zip(bucket.layout, places) if one == place],
            )
            for place in sorted(set(places))
        }

    def join(self, bucket: Bucket, parts: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Copies the averages of the parts of a bucket back into it."""
        left = {
            place: list(part.split(self._counts(bucket, place))) for place, part in parts.items()
        }
        pieces = bucket.buffer.split([count for _, count in bucket.layout])
        for (name, _), piece in zip(bucket.layout, pieces):
            piece.copy_(left[self._places.get(name, 0)].pop(0))
        return bucket.buffer

    def count_excluded(self, names: ParameterNames) -> int:
        """The number of elements that are sent uncompressed."""
        parameters = names.parameters() if EXCLUDED in self._places.values() else {}
        return sum(p.numel() for n, p in parameters.items() if self._places[n] == EXCLUDED)

    def _counts(self, bucket: Bucket, place: int) -> list[int]:
        return [count for name, count in bucket.layout if self._places.get(name, 0) == place]

    def _place_of(self, name: str, parameter: torch.Tensor) -> int:
        for pattern, place in self._patterns:
            if (
                fnmatch.fnmatchcase(name, pattern)
                if isinstance(pattern, str)
                else pattern(name, parameter)
            ):
                return place
        return 0


def _check_pattern(pattern: Any) -> None:
    if isinstance(pattern, str):
        return
    if isinstance(pattern, type) or not callable(pattern):
        got = (
            f"the class {pattern.__name__}" if isinstance(pattern, type) else type(pattern).__name__
        )
        raise TypeError(
            "exclude and rules take patterns of names, such as '*.bias', or functions of name and "
            f"parameter, got {got}"
        )
    try:
        inspect.signature(pattern).bind("name", None)
    except TypeError as error:
        raise TypeError(
            f"a function in exclude or rules must take (name, parameter): {error}"
        ) from error
    except ValueError:  # written in C
        pass


def _told(pattern: Pattern) -> str:
    return pattern if isinstance(pattern, str) else getattr(pattern, "__qualname__", "a function")
