"""The command line: ``gradwire`` or ``python -m gradwire``."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gradwire import _core
from gradwire.runtime import build_info
from gradwire.tools import frame_commands
from gradwire.tools.advice import give_advice
from gradwire.tools.bench import bench_files, describe_kernels
from gradwire.tools.demo import run_demo
from gradwire.tools.gradient_bench import bench_sparsifiers
from gradwire.tools.options import (
    EXIT_DAMAGED,
    EXIT_FILE,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    parse,
)
from gradwire.tools.write_file import is_stream

_COMMANDS = {
    "advise": give_advice,
    "compress": frame_commands.compress,
    "decompress": frame_commands.decompress_file,
    "info": frame_commands.info,
}


def _report(options: Namespace) -> Any:
    """Runs one command. Unless ``--json`` is passed, it prints its results."""
    if options.command == "demo":
        return run_demo(options.codecs, options.threads, options.json)
    if options.command != "bench":
        return _COMMANDS[options.command](options)
    build = build_info()
    report = [{**figures, "build": build} for figures in _bench(options)]
    if not options.json:
        print(describe_kernels(build["kernels"]))
    return report


def _bench(options: Namespace) -> list[dict[str, Any]]:
    files = [*options.files, *options.more_files]
    if options.sparsify:
        return bench_sparsifiers(files, options.size, options.ratio, options.threads, options.json)
    if not files:
        raise ValueError("bench needs FILE.npy, or --sparsify with --size MB")
    return bench_files(files, options.codecs, options.threads, options.levels, options.json)


def _run(options: Namespace) -> None:
    report = _report(options)
    if options.json:
        to_stdout = is_stream(report.get("output", "")) if isinstance(report, dict) else False
        print(json.dumps(report, indent=1), file=sys.stderr if to_stdout else sys.stdout)
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    options = parse(arguments)
    try:
        _run(options)
    except BrokenPipeError:  # the reader of the output has closed it
        _discard_output()
        return 0
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except OSError as error:
        _discard_output()
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(reason, EXIT_FILE)
    except MemoryError:
        return _fail(f"{_named(options)}there is not enough memory", EXIT_INPUT)
    except _core.CorruptFrameError as error:
        return _fail(f"{_named(options)}{error}", EXIT_DAMAGED)
    except (TypeError, ValueError) as error:
        return _fail(f"{_named(options)}{error}", EXIT_INPUT)
    return 0


def _discard_output() -> None:
    """If stdout cannot be written, drops its buffer, which Python would write again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _named(options: Namespace) -> str:
    if not hasattr(options, "file"):
        return ""
    return f"{'standard input' if is_stream(options.file) else options.file}: "


def _fail(message: str, code: int) -> int:
    print(f"gradwire: {message}", file=sys.stderr)
    return code
