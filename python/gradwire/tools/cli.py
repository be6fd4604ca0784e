"""The command line: ``gradwire`` or ``python -m gradwire``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gradwire import _core
from gradwire.codecs import codec, codecs
from gradwire.entropy import shannon_entropy
from gradwire.frames import decompress, inspect
from gradwire.tools.bench import bench_files
from gradwire.tools.demo import run_demo
from gradwire.tools.gradient_bench import bench_sparsifiers

EXIT_USAGE = 2
EXIT_FILE = 3
EXIT_INPUT = 4
EXIT_DAMAGED = 5
SUFFIX = ".gw"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradwire",
        description="Compresses quantized gradients into few bytes, quickly.",
        epilog=f"exit codes: {EXIT_USAGE} usage, {EXIT_FILE} a file cannot be read or written, "
        f"{EXIT_INPUT} the input cannot be used, {EXIT_DAMAGED} a frame is damaged",
    )
    parser.add_argument("--version", action="version", version=_core.version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    keys = list(codecs())

    demo = commands.add_parser("demo", help="run all codecs on sample gradients")
    bench = commands.add_parser("bench", help="run all codecs on .npy files, floats quantized")
    bench.add_argument("files", nargs="*", type=Path, metavar="FILE.npy")
    bench.add_argument("--sparsify", action="store_true", help="measure sparsifiers instead")
    bench.add_argument("--ratio", type=float, default=0.01, help="wanted density (default 0.01)")
    bench.add_argument("--size", type=int, metavar="MB", help="use this many MiB of random floats")
    bench.add_argument("--levels", type=int, default=4, help="QSGD levels for floats (default 4)")
    bench.add_argument("--json", action="store_true", help="print the figures as JSON")
    for command in (demo, bench):
        command.add_argument("--codecs", nargs="+", choices=keys, default=keys, metavar="KEY")
        command.add_argument("--threads", type=int, default=1, help="default 1")

    pack = commands.add_parser("compress", help="compress an integer .npy file to a frame")
    pack.add_argument("file", type=Path, metavar="FILE.npy")
    pack.add_argument("-o", "--output", type=Path, help=f"default: FILE{SUFFIX}")
    pack.add_argument("--codec", choices=keys, default="entropy")
    pack.add_argument("--threads", type=int)

    unpack = commands.add_parser("decompress", help="decode a frame to a .npy file")
    unpack.add_argument("file", type=Path, metavar=f"FILE{SUFFIX}")
    unpack.add_argument("-o", "--output", type=Path, help="default: FILE.npy")
    unpack.add_argument("--max-size", type=int, help="refuse frames that decode to more bytes")

    info = commands.add_parser("info", help="print a frame's header and check its checksum")
    info.add_argument("file", type=Path, metavar=f"FILE{SUFFIX}")
    info.add_argument("--json", action="store_true", help="print the fields as JSON")
    return parser


def _compress(options: argparse.Namespace) -> None:
    array = np.load(options.file, allow_pickle=False)
    frame = codec(options.codec, threads=options.threads).compress(array)
    output = options.output or options.file.with_suffix(SUFFIX)
    frame.tofile(output)
    times = array.nbytes / frame.nbytes
    entropy = shannon_entropy(array)
    print(
        f"{output}: {array.nbytes} -> {frame.nbytes} bytes, {times:.2f} times smaller, "
        f"{8 * frame.nbytes / max(1, array.size):.3f} bits/element (entropy {entropy:.3f})"
    )


def _decompress(options: argparse.Namespace) -> None:
    frame = np.fromfile(options.file, np.uint8)
    array = decompress(frame, max_size=options.max_size)
    output = options.output or options.file.with_suffix(".npy")
    np.save(output, array)
    print(f"{output}: {array.dtype} {array.shape}, {array.nbytes} bytes")


def _info(options: argparse.Namespace) -> None:
    fields = asdict(inspect(np.fromfile(options.file, np.uint8)))
    if options.json:
        print(json.dumps({**fields, "dtype": fields["dtype"].name}))
        return
    for name, value in fields.items():
        print(f"{name.replace('_', ' '):16} {value}")


def _run(options: argparse.Namespace) -> None:
    if options.command == "demo":
        run_demo(options.codecs, options.threads)
    elif options.command == "bench" and options.sparsify:
        if options.json:
            raise ValueError("--json cannot be combined with --sparsify; omit one of them")
        bench_sparsifiers(options.files, options.size, options.ratio, options.threads)
    elif options.command == "bench":
        if not options.files:
            raise ValueError("bench needs FILE.npy, or --sparsify with --size MB")
        report = bench_files(
            options.files, options.codecs, options.threads, options.levels, options.json
        )
        if options.json:
            print(json.dumps(report, indent=1))
    else:
        {"compress": _compress, "decompress": _decompress, "info": _info}[options.command](options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except BrokenPipeError:  # the reader of the output has closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(reason, EXIT_FILE)
    except _core.CorruptFrameError as error:
        return _fail(f"{options.file}: {error}", EXIT_DAMAGED)
    except (TypeError, ValueError) as error:
        return _fail(f"{_named(options)}{error}", EXIT_INPUT)
    return 0


def _named(options: argparse.Namespace) -> str:
    return f"{options.file}: " if hasattr(options, "file") else ""


def _fail(message: str, code: int) -> int:
    print(f"gradwire: {message}", file=sys.stderr)
    return code
