"""Gradients on the command line, and what all commands have in common."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import ternary
from command_line import GRADIENT, fails, work_in

import gradwire as gw
from gradwire.tools import progress as progress_module
from gradwire.tools.cli import main
from gradwire.tools.pipelines import parse_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_in(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "text",
    ["QSGD(4)", "gw.TopK(0.01, values=gw.QSGD(4))", "TopK(0.01, warm_up=100)", "Lossless()"],
)
def test_a_gradient_there_and_back(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "grad.npy", "--pipeline", text]) == 0
    assert "times smaller" in capsys.readouterr().out
    frame = gw.Compressor(parse_pipeline(text)).compress(GRADIENT)
    assert Path("grad.gw").read_bytes() == frame.tobytes()
    assert main(["decompress", "grad.gw", "-o", "back.npy"]) == 0
    assert np.array_equal(np.load("back.npy"), gw.decompress_gradient(frame))
    capsys.readouterr()
    assert main(["info", "grad.gw"]) == 0
    printed = capsys.readouterr().out
    assert main(["info", "grad.gw", "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    header = gw.inspect_gradient(frame)
    assert (fields["kind"], fields["method"]) == ("gradient", header.method)
    assert (fields["shape"], fields["sent"]) == ([300, 50], header.sent)
    assert header.method in printed and "bits per element" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qsgd(4)", "unknown pipeline 'qsgd' (did you mean 'QSGD'?); take one of: DGC, EFSignSGD"),
        ("QSGD", 'write "QSGD()"'),
        ("QSGD(4", 'write one call such as "QSGD(4)"'),
        ("QSGD(levls=4)", "write QSGD(levels=4, bucket_size=512, norm='l2', scale_dtype='log8')"),
        ("QSGD(40000)", "QSGD: levels must be 1 to 32767, got 40000"),
        ("TopK(0.01, values=os)", "arguments must be numbers, strings"),
        ("TopK(0.01, values=eval('1'))", "unknown pipeline 'eval'"),
        ("Quantizer()", "unknown pipeline 'Quantizer'"),
        ("os.QSGD(4)", "unknown pipeline 'os.QSGD'"),
        ("QSGD(*[4])", "arguments must be"),
        ("(" * 500, "is not a call"),
    ],
)
def test_wrong_pipelines(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["compress", "grad.npy", "--pipeline", text])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_floats_need_a_pipeline_and_integers_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert '--pipeline "QSGD(4)"' in fails(["compress", "grad.npy"], 4, capsys)
    message = fails(["compress", "levels.npy", "--pipeline", "QSGD(4)"], 4, capsys)
    assert "holds int8" in message and "omit --pipeline" in message
    np.save("nan.npy", np.array([1, np.nan], np.float32))
    fails(["compress", "nan.npy", "--pipeline", "QSGD(4)"], 4, capsys)
    assert main(["compress", "nan.npy", "--pipeline", "QSGD(4)", "--nonfinite", "zero"]) == 0


def test_arrays_of_npz(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("one.npz", weight=GRADIENT)
    np.savez_compressed("two.npz", weight=GRADIENT, bias=ternary(100))
    assert main(["compress", "one.npz", "--pipeline", "QSGD(4)"]) == 0
    assert main(["compress", "--key", "bias", "two.npz"]) == 0
    assert np.array_equal(gw.decompress(Path("two.gw").read_bytes()), ternary(100))
    message = fails(["compress", "two.npz", "-o", "x.gw"], 4, capsys)
    assert "holds 2 arrays; pass --key with one of: weight, bias" in message
    message = fails(["compress", "two.npz", "-o", "x.gw", "--key", "wieght"], 4, capsys)
    assert "no array 'wieght' (did you mean 'weight'?)" in message
    assert "omit --key" in fails(["compress", "levels.npy", "--key", "bias"], 4, capsys)


def test_tensors_of_torch(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")
    weight = torch.from_numpy(GRADIENT).bfloat16().requires_grad_()
    levels = torch.arange(9, dtype=torch.int16)
    torch.save({"epoch": 3, "model": {"weight": weight, "levels": levels}}, "model.pt")
    torch.save(weight, "weight.pt", _use_new_zipfile_serialization=False)
    message = fails(["compress", "model.pt"], 4, capsys)
    assert "pass --key with one of: model.weight, model.levels" in message
    for arguments in (["model.pt", "--key", "model.weight"], ["weight.pt"]):
        assert main(["compress", *arguments, "--pipeline", "Lossless()", "--force"]) == 0
        frame = Path(arguments[0]).with_suffix(".gw").read_bytes()
        assert gw.inspect_gradient(frame).dtype == "bfloat16"
        assert np.array_equal(gw.decompress_gradient(frame), weight.detach().float().numpy())
    assert main(["compress", "model.pt", "--key", "model.levels", "-o", "levels.gw"]) == 0
    assert gw.decompress(Path("levels.gw").read_bytes()).tolist() == list(range(9))
    torch.save(torch.zeros(1).expand(2**40), "huge.pt")
    assert "--max-size" in fails(["compress", "huge.pt", "--max-size", "1000"], 4, capsys)
    torch.save(pytest.raises, "code.pt")
    assert "other objects than tensors" in fails(["compress", "code.pt"], 4, capsys)
    Path("short.pt").write_bytes(Path("model.pt").read_bytes()[:500])
    fails(["compress", "short.pt"], 4, capsys)


def test_tensors_of_safetensors(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("safetensors", reason="needs safetensors")
    header = {
        "a": {"dtype": "F32", "shape": [300, 50], "data_offsets": [0, 60_000]},
        "b": {"dtype": "I8", "shape": [50], "data_offsets": [60_000, 60_050]},
    }
    size = 0x180  # the file begins with 0x80, like .pt files of old versions of torch
    data = size.to_bytes(8, "little") + json.dumps(header).encode().ljust(size)
    Path("model.safetensors").write_bytes(data + GRADIENT.tobytes() + ternary(50).tobytes())
    arguments = ["compress", "model.safetensors"]
    assert "--key with one of: a, b" in fails(arguments, 4, capsys)
    assert main([*arguments, "--key", "a", "--pipeline", "Lossless()"]) == 0
    frame = Path("model.gw").read_bytes()
    assert np.array_equal(gw.decompress_gradient(frame), GRADIENT)
    large = [*arguments, "--key", "a", "--max-size", "100", "-o", "x.gw"]
    assert "has 60000 bytes" in fails(large, 4, capsys)


@pytest.mark.parametrize(("package", "suffix"), [("torch", ".pt"), ("safetensors", ".safetensors")])
def test_packages_that_are_missing(
    package: str, suffix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with zipfile.ZipFile("model.pt", "w") as file:
        file.writestr("model/data.pkl", b"")
    Path("model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    assert f"pip install {package}" in fails(["compress", f"model{suffix}"], 4, capsys)


def test_every_command_has_json(capsys: pytest.CaptureFixture[str]) -> None:
    def report(*arguments: str) -> Any:
        assert main([*arguments, "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return json.loads(captured.out)

    packed = report("compress", "levels.npy")
    assert packed["frame_bytes"] == Path("levels.gw").stat().st_size
    assert packed["bits_per_element"] == 8 * packed["frame_bytes"] / 50_000
    assert report("info", "levels.gw")["bits_per_element"] == packed["bits_per_element"]
    assert report("decompress", "levels.gw", "-o", "x.npy")["output_bytes"] == 50_000
    demo = report("demo", "--codecs", "entropy,sh")
    assert [r["codec"] for r in demo["codecs"]["cnn-step5"]] == ["entropy", "sh"]
    assert demo["compressors"]["gpt-step5"][0]["compress_gb_per_s"] > 0
    np.save("same.npy", np.zeros(1000, np.int8))
    assert report("bench", "same.npy")[0]["results"][0]["share_of_entropy"] is None
    sparse = report("bench", "--sparsify", "grad.npy")
    assert sparse[0]["elements"] == GRADIENT.size
    assert {r["method"] for r in sparse[0]["results"]} >= {"TopK", "DGC"}


def test_order_does_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["levels.npy", "grad.npy", "--codecs", "rlh", "sh"],
        ["--codecs", "rlh", "sh", "levels.npy", "--json", "grad.npy"],
        ["levels.npy", "--json", "grad.npy", "--codecs", "rlh,sh"],
        ["--codecs", "rlh", "sh", "--", "levels.npy", "grad.npy"],
    ):
        assert main(["bench", *({*["--json"]} - {*arguments}), *arguments]) == 0
        report = json.loads(capsys.readouterr().out)
        assert {r["file"] for r in report} == {"levels.npy", "grad.npy"}
        assert [r["codec"] for r in report[0]["results"]] == ["rlh", "sh"]
    for wrong in (["bench", "--codecs", "hufman", "levels.npy"], ["demo", "--codecs", "x.npy"]):
        with pytest.raises(SystemExit):
            main(wrong)
    assert "did you mean 'huffman'?" in capsys.readouterr().err


def test_the_demo_says_what_it_means(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradwire.tools.verdict.DOCUMENTED_GB_PER_S", 1e9)
    assert main(["demo", "--codecs", "entropy", "huffman"]) == 0
    best, pays, reason = capsys.readouterr().out.splitlines()[-3:]
    assert best.startswith("The smallest frames are those of entropy: ")
    assert "times smaller than float32" in best and "GB/s" in best
    assert pays.startswith("QSGD(4) saves time") and "Gbit/s" in pays
    assert "A likely reason" in reason


def test_progress_is_shown_on_terminals_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "PATIENCE", -1.0)
    assert main(["compress", "levels.npy"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["decompress", "levels.gw", "-o", "x.npy"]) == 0
    shown = capsys.readouterr().err
    assert "reading: 1/1" in shown and "writing: 2/2" in shown
