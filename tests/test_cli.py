"""The command line, as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import KEYS, ternary

import gradwire as gw
from gradwire.tools.bench import describe_kernels
from gradwire.tools.cli import main
from gradwire.tools.demo import sample_gradients


@pytest.fixture
def levels(tmp_path: Path) -> Path:
    path = tmp_path / "levels.npy"
    np.save(path, ternary(50_000).reshape(500, 100))
    return path


def test_there_and_back(levels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", str(levels), "--codec", "shs"]) == 0
    frame = tmp_path / "levels.gw"
    assert "times smaller" in capsys.readouterr().out
    assert main(["decompress", str(frame), "-o", str(tmp_path / "back.npy")]) == 0
    assert np.array_equal(np.load(tmp_path / "back.npy"), np.load(levels))
    capsys.readouterr()
    assert main(["info", str(frame), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["codec"], info["shape"], info["dtype"]) == ("shs", [500, 100], "int8")
    assert main(["info", str(frame)]) == 0
    assert "code length" in capsys.readouterr().out


def test_bench(levels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floats = tmp_path / "floats.npy"
    np.save(floats, np.random.default_rng(0).laplace(size=20_000).astype(np.float32))
    arguments = ["bench", str(levels), str(floats), "--codecs", "rlh", "huffman"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "quantized by QSGD(4, 512), stochastic rounding" in printed
    lengths = {len(line) for line in printed.splitlines() if line.startswith("  ")}
    assert len(lengths) == 1, "columns are aligned"
    assert printed.splitlines()[-1] == describe_kernels(gw.build_info()["kernels"])
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [r["build"] for r in report] == [gw.build_info()] * 2
    assert [r["codec"] for r in report[0]["results"]] == ["rlh", "huffman"]
    frame = gw.compress(np.load(levels), codec="rlh")
    assert report[0]["results"][0]["frame_bytes"] == frame.nbytes


def test_bench_counts_the_kernels_of_each_instruction_set() -> None:
    kernels = {"bytes.crc32c": "avx512", "tokens.expand": "avx2", "tokens.tokenize": "avx512"}
    used = "Kernels used: 2 of avx512, 1 of avx2 (--json names them)."
    assert describe_kernels(kernels) == used


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    for word in (*KEYS, *sample_gradients(), "% of entropy", "encode GB/s", "x elias"):
        assert word in printed


def test_sparsifiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "g.npy", np.random.default_rng(0).normal(size=20_000))
    assert main(["bench", "--sparsify", str(tmp_path / "g.npy"), "--ratio", "0.05"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "g.npy: 20000 elements, wanted ratio 0.05"
    ratios = {line.split()[0]: float(line.split()[1]) for line in lines[2:-1] if line}
    assert ratios["TopK"] == ratios["RandomK"] == 0.05 and len(ratios) == 9
    assert 0.04 <= ratios["SIDCoExponential"] <= 0.06
    assert main(["bench", "--sparsify", "--size", "1"]) == 0
    assert "normal: 262144 elements" in capsys.readouterr().out
    for arguments in (["bench"], ["bench", "--sparsify"]):
        assert main(arguments) == 4
        assert "--size MB" in capsys.readouterr().err


def test_sample_is_real_and_small() -> None:
    gradients = sample_gradients()
    assert len(gradients) >= 6
    assert sum(g.nbytes for g in gradients.values()) < 1_500_000
    for gradient in gradients.values():
        assert gradient.dtype == np.float16 and np.isfinite(gradient).all()
        q, _ = gw.QSGD(4).quantize(gradient)
        bits = {key: gw.compress(q, codec=key).nbytes * 8 / q.size for key in KEYS}
        assert bits["rlh"] < bits["elias"] < 32 / 15
        assert bits["rlh"] < bits["huffman"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["info", "nowhere.gw"], 3, "nowhere.gw: No such file"),
        (["compress", "floats.npy"], 4, "floats.npy: the codecs take integers, got float32"),
        (["compress", "text.npy"], 4, "text.npy: "),
        (["bench", "empty.npy"], 4, "empty.npy holds an empty array"),
        (["info", "damaged.gw"], 5, "damaged.gw: frame is damaged"),
        (["decompress", "damaged.gw"], 5, "damaged.gw: "),
        (["decompress", "short.gw"], 5, "short.gw: frame is truncated"),
        (["decompress", "good.gw", "--max-size", "10"], 4, "max_size allows 10"),
    ],
)
def test_errors(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("floats.npy", np.zeros(3, np.float32))
    np.save("empty.npy", np.zeros(0, np.int8))
    Path("text.npy").write_text("this is no array")
    frame = bytearray(gw.compress(ternary(500)))
    Path("good.gw").write_bytes(frame)
    Path("short.gw").write_bytes(frame[:-9])
    frame[-6] ^= 16
    Path("damaged.gw").write_bytes(frame)
    assert main(arguments) == code
    assert message in capsys.readouterr().err


def test_usage() -> None:
    script = Path(sys.executable).with_name("gradwire")
    for command in ([sys.executable, "-m", "gradwire"], [script]):
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert result.stdout.strip() == gw.__version__
    result = subprocess.run(
        [sys.executable, "-m", "gradwire", "zip"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "invalid choice: 'zip'" in result.stderr
