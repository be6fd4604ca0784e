"""Packages that not every user has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(extra: str, package: str | None = None) -> Iterator[None]:
    """Around imports of an optional package: says how to install it where it is missing."""
    try:
        yield
    except ImportError as error:
        name = package or extra
        if error.name is None or error.name.split(".")[0] != name:
            raise
        raise ImportError(
            f"gradwire.{extra} needs the package {name}: pip install 'gradwire[{extra}]'",
            name=error.name,
        ) from error
