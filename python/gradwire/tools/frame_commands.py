"""The commands that make, decode and describe frames. Each returns its report."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gradwire._arrays import ByteArray
from gradwire._tensors import is_tensor
from gradwire.codecs import codec
from gradwire.compressor import Compressor
from gradwire.entropy import shannon_entropy
from gradwire.frames import decompress, inspect
from gradwire.gradient_frames import decompress_gradient, inspect_gradient
from gradwire.tools.progress import Progress
from gradwire.tools.read_array import dtype_name, is_float, read_array
from gradwire.tools.read_file import memory_of_machine, read_bytes
from gradwire.tools.write_file import check_output, is_stream, write_file

SUFFIX = ".gw"
_GRADIENT = b"GF"  # begins gradient frames (FORMAT.md, section 9.1)


def _output(options: Namespace, suffix: str) -> Path:
    if options.output or is_stream(options.file):
        output = options.output or options.file
    else:
        output = options.file.with_suffix(suffix)
    check_output(output, options.file, options.force)
    return Path(output)


def _say(options: Namespace, output: Path, text: str) -> None:
    if not options.json:
        print(f"{output}: {text}", file=sys.stderr if is_stream(output) else sys.stdout)


def _frame_of(array: Any, options: Namespace) -> ByteArray:
    """A frame of integers or, with ``--pipeline``, of a gradient."""
    dtype, pipeline = dtype_name(array), options.pipeline
    if is_float(array) and pipeline is None:
        raise ValueError(
            f"the codecs take integers, got {dtype}; to compress it as a gradient, pass "
            '--pipeline "QSGD(4)", or --pipeline "Lossless()" to keep all bits'
        )
    if pipeline is None:
        return codec(options.codec, threads=options.threads).compress(array)
    if not is_float(array):
        raise ValueError(f"the array holds {dtype}, and pipelines take floats; omit --pipeline")
    compressor = Compressor(
        pipeline, codec=options.codec, nonfinite=options.nonfinite, threads=options.threads
    )
    return compressor.compress(array)


def compress(options: Namespace) -> dict[str, Any]:
    """Compresses an array to a frame."""
    output = _output(options, SUFFIX)
    with Progress("compressing", 3) as progress:
        array = read_array(options.file, options.key, options.max_size)
        progress.step("read")
        frame = _frame_of(array, options)
        progress.step("compressed")
        write_file(output, [frame])
    elements = array.numel() if is_tensor(array) else array.size
    report = {
        "file": str(options.file),
        "output": str(output),
        "dtype": dtype_name(array),
        "shape": list(array.shape),
        "elements": elements,
        "input_bytes": array.nbytes,
        "frame_bytes": frame.nbytes,
        "bits_per_element": 8 * frame.nbytes / max(1, elements),
        "times_smaller": array.nbytes / frame.nbytes,
    }
    note = repr(options.pipeline)
    if options.pipeline is None:
        report["entropy_bits"] = shannon_entropy(array)
        note = f"entropy {report['entropy_bits']:.3f}"
    _say(
        options,
        output,
        f"{array.nbytes} -> {frame.nbytes} bytes, {report['times_smaller']:.2f} times smaller, "
        f"{report['bits_per_element']:.3f} bits/element ({note})",
    )
    return report


def decompress_file(options: Namespace) -> dict[str, Any]:
    """Decodes a frame to a .npy file."""
    output = _output(options, ".npy")
    limit = memory_of_machine() if options.max_size is None else options.max_size
    with Progress("decompressing", 3) as progress:
        frame = read_bytes(options.file)
        progress.step("read")
        decode = decompress_gradient if _is_gradient(frame) else decompress
        array = decode(frame, max_size=limit, threads=options.threads)
        progress.step("decompressed")
        write_file(output, [_npy_header(array), array.reshape(-1).view(np.uint8)])
    _say(options, output, f"{array.dtype} {array.shape}, {array.nbytes} bytes")
    return {
        "file": str(options.file),
        "output": str(output),
        "dtype": array.dtype.name,
        "shape": array.shape,
        "elements": array.size,
        "frame_bytes": frame.nbytes,
        "output_bytes": array.nbytes,
    }


def _is_gradient(frame: ByteArray) -> bool:
    return frame[:2].tobytes() == _GRADIENT


def _npy_header(array: Any) -> ByteArray:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return np.frombuffer(header.getvalue(), np.uint8)


def info(options: Namespace) -> dict[str, Any]:
    """Describes a frame of either kind by its header."""
    frame = read_bytes(options.file)
    if _is_gradient(frame):
        fields = {"kind": "gradient", **asdict(inspect_gradient(frame))}
    else:
        fields = {"kind": "integers", **asdict(inspect(frame))}
        fields["dtype"] = fields["dtype"].name
    fields["bits_per_element"] = 8 * frame.nbytes / max(1, fields["count"])
    if not options.json:
        for name, value in fields.items():
            shown = f"{value:.3f}" if isinstance(value, float) else value
            print(f"{name.replace('_', ' '):16} {shown}")
    return fields
