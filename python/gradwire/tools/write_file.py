"""Writes files so that each appears complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from gradwire._arrays import ByteArray
from gradwire.tools.progress import Progress

PIECE = 1 << 24  # bytes between two steps of the progress line


def is_stream(path: Path) -> bool:
    """Whether ``path`` stands for standard input or output."""
    return str(path) == "-"


def check_output(output: Path, source: Path, force: bool) -> None:
    """Raises OSError if a command must not write to ``output``.

    Args:
        output: where the command will write.
        source: what it reads. It is never written to, even through a link.
        force: whether another existing file may be overwritten.
    """
    found = _status(output, sys.stdout)
    read = _status(source, sys.stdin)
    if found and read and stat.S_ISREG(found.st_mode) and os.path.samestat(found, read):
        raise OSError(errno.EEXIST, "is the input; pass -o with another name", str(output))
    if is_stream(output):
        return
    if found and stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "is a folder; pass -o with the name of a file", str(output))
    regular = found is None or stat.S_ISREG(found.st_mode)
    if regular and not force and os.path.lexists(output):
        what_to_do = "pass --force to overwrite it, or -o with another name"
        raise OSError(errno.EEXIST, f"exists already; {what_to_do}", str(output))


def _status(path: Path, stream: Any) -> os.stat_result | None:
    with suppress(OSError):
        return os.fstat(stream.fileno()) if is_stream(path) else path.stat()
    return None


def write_file(output: Path, parts: Sequence[ByteArray]) -> None:
    """Writes bytes to a file or, for ``-``, to standard output.

    A regular file is first written under another name in its folder and then renamed, so that an
    error leaves neither an incomplete file nor a changed one. Links stay links.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """
    target = Path(os.path.realpath(output))
    try:
        if is_stream(output):
            _write(sys.stdout.buffer, parts)
        elif target.exists() and not target.is_file():  # a device or a pipe
            with open(target, "wb") as file:
                _write(file, parts)
        else:
            _write_and_rename(target, parts)
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if is_stream(output) else str(output)
        raise OSError(error.errno, error.strerror, name) from error


def _write_and_rename(target: Path, parts: Sequence[ByteArray]) -> None:
    temporary = target.with_name(f".gradwire-{secrets.token_hex(8)}.tmp")
    file = open(temporary, "xb")  # noqa: SIM115
    try:
        with file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            _write(file, parts)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(file: IO[bytes], parts: Sequence[ByteArray]) -> None:
    pieces = [part[at : at + PIECE] for part in parts for at in range(0, part.size, PIECE)]
    with Progress("writing", len(pieces)) as progress:
        for piece in pieces:
            file.write(piece.data)
            progress.step()
    file.flush()
