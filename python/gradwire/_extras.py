"""Optional packages that adapters need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(extra: str, package: str | None = None) -> Iterator[None]:
    """Wraps the import of an optional package: if it is missing, says how to install it."""
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
