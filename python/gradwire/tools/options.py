"""The options of the command line."""

from __future__ import annotations

from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradwire import _core
from gradwire._checks import check_choice
from gradwire.advice.settings import OPTIMIZERS
from gradwire.advice.units import parse_count, parse_rate, parse_time
from gradwire.codecs import codecs
from gradwire.tools.frame_commands import SUFFIX
from gradwire.tools.pipelines import parse_pipeline

EXIT_USAGE = 2
EXIT_FILE = 3
EXIT_INPUT = 4
EXIT_DAMAGED = 5
EXIT_INTERRUPTED = 130  # as of shells: 128 and the number of SIGINT
_KEYS = list(codecs())


class _CommandParser(ArgumentParser):
    """The parser of one command, which takes files and options in any order."""

    _within = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> tuple[Namespace, list[str]]:
        """Like that of ArgumentParser, which takes all files from one place only."""
        if self._within:
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False


class _Codecs(Action):
    """Keys of codecs, separated by spaces or commas. File names after them are files to read."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        """Sorts the values: names of files have a dot or a slash."""
        files = [value for value in values if "." in value or "/" in value]
        keys = [key for value in values if value not in files for key in value.split(",") if key]
        try:
            for key in keys or [""]:
                check_choice("codec", key, _KEYS)
        except ValueError as error:
            parser.error(f"argument --codecs: {error}")
        if files and not hasattr(namespace, "more_files"):
            parser.error(f"argument --codecs: {files[0]!r} is not a codec")
        if files:
            namespace.more_files = [*namespace.more_files, *map(Path, files)]
        namespace.codecs = keys


def _parsed_by(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type of arguments, from a function that raises ValueError for wrong ones."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return parsed


def _size(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"must be a number of bytes, got {text!r}")
    return int(text)


def _add_measuring(commands: Any) -> None:
    demo = commands.add_parser("demo", help="run all codecs on sample gradients")
    bench = commands.add_parser("bench", help="run all codecs on arrays, floats quantized")
    bench.add_argument("files", nargs="*", type=Path, metavar="FILE", help="as for compress")
    bench.add_argument("--sparsify", action="store_true", help="measure sparsifiers instead")
    bench.add_argument("--ratio", type=float, default=0.01, help="wanted density (default 0.01)")
    bench.add_argument("--size", type=int, metavar="MB", help="use this many MiB of random floats")
    bench.add_argument("--levels", type=int, default=4, help="QSGD levels for floats (default 4)")
    bench.set_defaults(more_files=[])
    for command in (demo, bench):
        command.add_argument("--codecs", nargs="+", action=_Codecs, default=_KEYS, metavar="KEY")
        command.add_argument("--threads", type=int, default=1, help="default 1")
        command.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_advice(commands: Any) -> None:
    advise = commands.add_parser("advise", help="say whether to compress, for a model and a link")
    advise.add_argument(
        "gradient", nargs="?", type=Path, metavar="FILE", help="a saved gradient, as for compress"
    )
    advise.add_argument("--key", metavar="NAME", help="array to take, if the file holds several")
    advise.add_argument(
        "--parameters",
        type=_parsed_by(parse_count),
        metavar="N",
        help="of the model, such as 350M (default: the elements of FILE)",
    )
    advise.add_argument(
        "--link",
        type=_parsed_by(parse_rate),
        required=True,
        help="speed of the link of each rank, such as 1Gbit",
    )
    advise.add_argument(
        "--latency",
        type=_parsed_by(parse_time),
        default=0.0,
        metavar="TIME",
        help="of a message, half of what ping shows, such as 0.2ms (default 0)",
    )
    advise.add_argument("--ranks", type=int, required=True, help="number of processes that train")
    advise.add_argument(
        "--backward",
        type=_parsed_by(parse_time),
        required=True,
        metavar="TIME",
        help="of the backward pass alone, such as 180ms",
    )
    advise.add_argument("--optimizer", choices=OPTIMIZERS, default="adamw", help="default adamw")
    advise.add_argument(
        "--cpu-training",
        action="store_true",
        help="the backward pass runs on the cores that compress",
    )
    advise.add_argument("--threads", type=int, help="for compression in each rank")
    advise.add_argument("--refresh", action="store_true", help="measure this machine again")
    advise.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_frames(commands: Any) -> None:
    pack = commands.add_parser("compress", help="compress integers, or with --pipeline floats")
    pack.add_argument(
        "file", type=Path, metavar="FILE", help=".npy, .npz, .safetensors or .pt; - for stdin"
    )
    pack.add_argument("-o", "--output", type=Path, help=f"default: FILE{SUFFIX}; - for stdout")
    pack.add_argument(
        "--pipeline",
        type=_parsed_by(parse_pipeline),
        metavar="CALL",
        help='quantizer or sparsifier for floats, such as "TopK(0.01, values=QSGD(4))"',
    )
    pack.add_argument("--key", metavar="NAME", help="array to take, if the file holds several")
    pack.add_argument("--codec", choices=_KEYS, default="entropy", help="default entropy")
    pack.add_argument(
        "--nonfinite", choices=("error", "zero"), default="error", help="for NaN and infinity"
    )
    unpack = commands.add_parser("decompress", help="decode a frame of either kind to a .npy file")
    unpack.add_argument("file", type=Path, metavar=f"FILE{SUFFIX}", help="- for stdin")
    unpack.add_argument("-o", "--output", type=Path, help="default: FILE.npy; - for stdout")
    info = commands.add_parser("info", help="print a frame's header and check its checksum")
    info.add_argument("file", type=Path, metavar=f"FILE{SUFFIX}", help="- for stdin")
    for command in (pack, unpack):
        command.add_argument("--force", action="store_true", help="overwrite an existing output")
        command.add_argument("--threads", type=int, help="at most this many")
        command.add_argument(
            "--max-size",
            type=_size,
            metavar="BYTES",
            help="refuse larger arrays (default: memory of the machine)",
        )
    for command in (pack, unpack, info):
        command.add_argument("--json", action="store_true", help="print the fields as JSON")


def parse(arguments: Sequence[str] | None) -> Namespace:
    """The options of one command; exits with a message if they are wrong."""
    parser = ArgumentParser(
        prog="gradwire",
        description="Compresses gradients, or integers, into few bytes, quickly.",
        epilog=f"exit codes: {EXIT_USAGE} usage, {EXIT_FILE} a file cannot be read or written, "
        f"{EXIT_INPUT} the input cannot be used, {EXIT_DAMAGED} a frame is damaged, "
        f"{EXIT_INTERRUPTED} interrupted",
    )
    parser.add_argument("--version", action="version", version=_core.version())
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_CommandParser
    )
    _add_advice(commands)
    _add_measuring(commands)
    _add_frames(commands)
    return parser.parse_args(arguments)
