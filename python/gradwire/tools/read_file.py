"""Reads files and standard input into memory, up to a limit."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gradwire._arrays import ByteArray
from gradwire.tools.progress import Progress
from gradwire.tools.write_file import PIECE, is_stream


def memory_of_machine() -> int:
    """Bytes of physical memory: more can never be read or decoded."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def open_seekable(source: Path) -> BinaryIO:
    """A file to read from; standard input (``-``) and pipes are first read to their end."""
    if is_stream(source):
        return io.BytesIO(_read_all(sys.stdin.buffer, 0))
    file = open(source, "rb")  # noqa: SIM115
    if file.seekable():
        return file
    with file:
        return io.BytesIO(_read_all(file, 0))


def read_bytes(source: Path) -> ByteArray:
    """All bytes of a file or, for ``-``, of standard input."""
    with open_seekable(source) as file:
        return np.frombuffer(_read_all(file, size_of(file)), np.uint8)


def size_of(file: BinaryIO) -> int:
    """Bytes of a file that can be read from any position; the next is its first one."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _read_all(file: BinaryIO, size: int) -> bytearray:
    """All bytes of a file of this size; 0 if it is not known."""
    limit = memory_of_machine()
    data = bytearray()
    with Progress("reading", -(-size // PIECE)) as progress:
        while piece := file.read(PIECE):
            if max(len(data) + len(piece), size) > limit:
                raise ValueError(f"there are more than {limit} bytes, the memory of this machine")
            data += piece
            progress.step()
    return data
