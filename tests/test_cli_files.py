"""Files and streams on the command line: what cannot be read, and what is never overwritten."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import ternary
from command_line import COMMAND, GRADIENT, fails, work_in

import gradwire as gw
from gradwire.tools import frame_commands
from gradwire.tools.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work_in(tmp_path, monkeypatch)
    return tmp_path


def npy_header(shape: str) -> bytes:
    text = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; pass a .npy"),
        (b"hello world", "pass a .npy, .npz, .safetensors or .pt file"),
        (npy_header("(9,)") + bytes(5), "is truncated: the array has 9 bytes, the file 5"),
        (npy_header("(1000000000000000000,)"), "--max-size allows"),
        (npy_header("(-1,)") + bytes(5), "its shape is (-1,)"),
        (npy_header("(((("), "cannot be read as .npy file"),
        (npy_header("(9,)")[:20], "cannot be read as .npy file"),
        (b"\x93NUMPY\x07\x00", "cannot be read as .npy file"),
        (zipped(), "holds no arrays"),
        (zipped(a=b""), "cannot be read as .npy file"),
        (zipped(a=npy_header("(9,)") + bytes(5)), "is truncated"),
        (zipped(a=npy_header("(9,)") + bytes(9))[:60], "cannot be read as .npz file"),
    ],
)
def test_inputs_that_are_no_arrays(
    data: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.npy").write_bytes(data)
    found = fails(["compress", "x.npy"], 4, capsys)
    assert "x.npy: " in found and message in found
    assert message in fails(["bench", "x.npy"], 4, capsys)


@pytest.mark.parametrize("data", [b"", b"G", b"GF", b"hello world" * 9, bytes(99)])
@pytest.mark.parametrize("command", ["info", "decompress"])
def test_inputs_that_are_no_frames(
    data: bytes, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.gw").write_bytes(data)
    assert "x.gw: " in fails([command, "x.gw"], 5, capsys)


def test_short_frames_of_huge_arrays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = gw.Compressor(gw.TopK(1e-5)).compress(np.ones(1_000_000, np.float32))
    Path("sparse.gw").write_bytes(frame)
    for limit in (["--max-size", "1000"], []):
        monkeypatch.setattr(frame_commands, "memory_of_machine", lambda: 1000)
        assert "max_size allows 1000" in fails(["decompress", "sparse.gw", *limit], 4, capsys)

    def no_memory(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(frame_commands, "decompress_gradient", no_memory)
    message = fails(["decompress", "sparse.gw"], 4, capsys)
    assert "sparse.gw: there is not enough memory" in message


def test_existing_files_are_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "levels.npy", "-o", "out.bin"]) == 0
    frame = Path("out.bin").read_bytes()
    Path("out.bin").write_bytes(b"mine")
    message = fails(["compress", "levels.npy", "-o", "out.bin"], 3, capsys)
    assert "out.bin: exists already; pass --force" in message
    Path("out.bin").chmod(0o600)
    Path("link").symlink_to("out.bin")
    assert main(["compress", "levels.npy", "-o", "link", "--force"]) == 0
    assert Path("link").is_symlink() and Path("out.bin").read_bytes() == frame
    assert Path("out.bin").stat().st_mode & 0o777 == 0o600
    assert main(["decompress", "out.bin", "-o", "array.bin"]) == 0
    assert np.array_equal(np.load("array.bin"), np.load("levels.npy"))
    assert "is a folder" in fails(["compress", "levels.npy", "-o", ".", "--force"], 3, capsys)
    assert "no/x: No such file" in fails(["compress", "levels.npy", "-o", "no/x"], 3, capsys)
    assert not list(folder.glob("*.tmp")) and not list(folder.glob(".gradwire*"))


def test_the_input_is_never_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("soft").symlink_to("levels.npy")
    os.link("levels.npy", "hard")
    for name in ("levels.npy", "./levels.npy", "soft", "hard"):
        message = fails(["compress", "levels.npy", "--force", "-o", name], 3, capsys)
        assert "is the input" in message
    before = Path("levels.npy").read_bytes()
    for arguments, mode in ((["-o", "levels.npy"], "rb"), (["-o", "-"], "r+b")):
        with open("levels.npy", mode) as file:
            command = [*COMMAND, "compress", "--force", *arguments, "-"]
            result = subprocess.run(
                command, stdin=file, stdout=file if mode == "r+b" else None, stderr=-1, check=False
            )
        assert result.returncode == 3 and b"is the input" in result.stderr
    assert Path("levels.npy").read_bytes() == before


def test_streams() -> None:
    arguments = ["compress", "-", "--pipeline", "QSGD(4)"]
    data = Path("grad.npy").read_bytes()
    result = subprocess.run([*COMMAND, *arguments], input=data, capture_output=True, check=True)
    frame = result.stdout
    assert frame == gw.Compressor(gw.QSGD(4)).compress(GRADIENT).tobytes()
    assert b"times smaller" in result.stderr
    for more in ([], ["--json"]):
        command = [*COMMAND, "decompress", "-", *more]
        back = subprocess.run(command, input=frame, capture_output=True, check=True)
        assert np.array_equal(np.load(io.BytesIO(back.stdout)), gw.decompress_gradient(frame))
    assert json.loads(back.stderr)["output_bytes"] == GRADIENT.nbytes
    shown = subprocess.run([*COMMAND, "info", "-"], input=frame, capture_output=True, check=True)
    assert b"gradient" in shown.stdout
    wrong = subprocess.run([*COMMAND, "info", "-"], input=b"text", capture_output=True, check=False)
    assert wrong.returncode == 5 and wrong.stderr.startswith(b"gradwire: standard input: ")


FEW_BYTES = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (500, 500)); "
RUN = "import sys; from gradwire.tools.cli import main; sys.exit(main(sys.argv[1:]))"


def test_a_full_disk() -> None:
    Path("old.npy").write_bytes(b"old")
    Path("x.gw").write_bytes(gw.compress(ternary(50_000)))
    before = sorted(Path().iterdir())
    for output in ("new.npy", "old.npy"):
        command = [sys.executable, "-c", FEW_BYTES + RUN, "decompress", "x.gw", "--force"]
        result = subprocess.run([*command, "-o", output], capture_output=True, check=False)
        assert result.returncode == 3 and f"{output}: File too large".encode() in result.stderr
        assert b"Traceback" not in result.stderr
    assert sorted(Path().iterdir()) == before and Path("old.npy").read_bytes() == b"old"
    with open("/dev/full", "wb") as full:
        for arguments in (["decompress", "x.gw", "-o", "-"], ["info", "x.gw"]):
            result = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=-1, check=False)
            assert result.returncode == 3 and b"No space left" in result.stderr, result.stderr
            assert b"Traceback" not in result.stderr and b"ignored" not in result.stderr
    assert main(["decompress", "x.gw", "-o", "/dev/full"]) == 3


def test_interruption(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ready = (  # a background job ignores SIGINT, and so do its children unless they say otherwise
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gradwire.tools.cli import main; print('on', flush=True); "
    )
    command = [sys.executable, "-c", ready + "sys.exit(main(sys.argv[1:]))", "compress", "-"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1) as running:
        assert running.stdout and running.stderr and running.stdout.read(2) == b"on"
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.5)  # it waits for input
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert running.stderr.read() == b"gradwire: interrupted\n"
