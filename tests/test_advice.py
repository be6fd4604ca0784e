"""Advice: what is printed and returned, and the cache of measured speeds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import fails

import gradwire as gw
from gradwire.advice import advise as module
from gradwire.advice import calibration
from gradwire.advice.calibration import Speed, cache_file, calibrate
from gradwire.advice.settings import COMPRESSED, OPTIMIZERS, SETTINGS
from gradwire.tools.cli import main

BITS = {
    **{"Lossless()": 16.0, "QSGD(16)": 1.2, "QSGD(4), Residual": 0.5, "QSGD(4)": 0.4},
    **{"TernGrad()": 0.3, "TopK(0.01), Residual": 0.25},
}
SPEEDS = {name: Speed(bits, 4.0, 5.0, 4.0, 5.0) for name, bits in BITS.items()}


@pytest.fixture
def fixed_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speeds that are the same on all machines."""
    monkeypatch.setattr(module, "calibrate", lambda gradient, threads, refresh: SPEEDS)


COMMON = ["advise", "--parameters", "350M", "--ranks", "8", "--backward", "180ms", "--threads", "4"]
SITUATIONS = [
    (["--link", "1Gbit", "--latency", "0.2ms"], "Compress with QSGD(16)", "gw.QSGD(16), threads=4"),
    (
        ["--link", "100Mbit", "--optimizer", "sgd"],
        "Compress with QSGD(4), Residual",
        "gw.QSGD(4), memory=gw.Residual(), threads=4",
    ),
    (["--link", "400Gbit"], "Do not compress: plain float32", None),
    (["--link", "60Gbit"], "Do not compress with gradwire", "hook(None, bf16_compress_hook)"),
    (
        ["--link", "60Gbit", "--cpu-training"],
        "Do not compress with gradwire",
        "lambda state, bucket",
    ),
]


@pytest.mark.parametrize(("options", "reason", "line"), SITUATIONS)
@pytest.mark.usefixtures("fixed_speeds")
def test_situations(
    options: list[str], reason: str, line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMON, *options]) == 0
    printed = capsys.readouterr().out
    assert reason in printed and "guess" in printed
    assert (line in printed) if line else ("Paste" not in printed)
    table = printed.splitlines()[1 : 2 + len(SETTINGS)]
    assert [row.split()[-1] for row in table].count("no") == (3 if "sgd" in options else 4)
    assert len({len(row) for row in table}) == 1  # columns are aligned
    ms = [float(row[35:].split()[0]) for row in table[1:]]
    assert ms == sorted(ms) and len(ms) == len(SETTINGS)


@pytest.mark.usefixtures("fixed_speeds")
def test_python_and_json_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMON, "--link", "1Gbit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    advice = gw.advise(parameters="350M", link="1Gbit", ranks=8, backward=0.18, threads=4)
    assert told == json.loads(json.dumps(dataclasses.asdict(advice)))
    assert isinstance(advice, gw.Advice) and advice.compress and advice.advised == "QSGD(16)"
    assert len(advice.lines) == 3 and advice.frames_are_a_guess
    choice = next(c for c in advice.choices if c.setting == "plain float32")
    assert choice.times_plain == 1.0 and choice.mb_per_step == pytest.approx(2 * 7 / 8 * 1400)


@pytest.mark.usefixtures("fixed_speeds")
def test_advised_lines_make_the_compressor_that_was_measured() -> None:
    for setting in COMPRESSED:
        assert setting.make is not None
        for threads in (1, 2):
            line = module._lines(setting, "sharded", threads, False)[1]
            call = line.partition("compressor=")[2].partition(", algorithm")[0]
            made = eval(call, {"gw": gw})
            assert repr(made) == repr(setting.make(threads if threads > 1 else None))


def test_settings_suit_optimizers_as_the_readme_says() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert "| Adam, AdamW | `gw.Compressor(gw.QSGD(16))` |" in readme
    assert "`gw.Compressor(gw.QSGD(4), memory=gw.Residual())`" in readme
    suited = {o: {s.name for s in COMPRESSED if o in s.advised} for o in OPTIMIZERS}
    assert suited["adamw"] == {"QSGD(16)", "Lossless()"}
    assert suited["sgd"] == suited["adamw"] | {"QSGD(4), Residual"}


def test_losses_are_those_of_the_benchmarks() -> None:
    text = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text()
    text = text.split("## Losses")[1].split("##")[0]
    rows = dict(line.strip("| ").split(" | ", 1) for line in text.splitlines() if "| 2." in line)
    losses = {name.replace("`", ""): [float(x) for x in r.split(" | ")] for name, r in rows.items()}
    for setting in SETTINGS:
        if setting.name in losses:
            for optimizer, loss, plain in zip(
                OPTIMIZERS, losses[setting.name], losses["plain DDP"]
            ):
                assert setting.cost[optimizer] == f"{loss - plain:+.3f}"
    assert {"QSGD(4)", "QSGD(16)", "QSGD(4), Residual"} <= losses.keys()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache file, in a folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_file() == tmp_path / "cache" / "gradwire" / "calibration.json"
    return cache_file()


GRADIENT = np.random.default_rng(0).laplace(size=20_000).astype(np.float32)


def test_calibration_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = calibrate(GRADIENT, 1)
    assert measured.keys() == BITS.keys()
    size = gw.Compressor(gw.QSGD(4)).compress(GRADIENT, name="bucket").nbytes
    assert measured["QSGD(4)"].bits_per_element == pytest.approx(8 * size / GRADIENT.size, rel=0.05)
    assert all(v > 0 for speed in measured.values() for v in dataclasses.astuple(speed))
    (key,) = json.loads(cache.read_text())
    assert gw.__version__ in key and gw.build_info()["isa"] in key and "1 threads" in key
    fixed = {setting: SPEEDS["Lossless()"] for setting in BITS}
    monkeypatch.setattr(calibration, "_measure", lambda *_: SPEEDS["Lossless()"])
    assert calibrate(GRADIENT, 1) == measured
    assert calibrate(GRADIENT, 2) == calibrate(GRADIENT * 2, 1) == fixed
    assert len(json.loads(cache.read_text())) == 3
    assert calibrate(GRADIENT, 1, refresh=True) == calibrate(GRADIENT, 1) == fixed


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "damaged entry"])
def test_a_damaged_cache_is_replaced(
    content: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_measure", lambda *_: SPEEDS["Lossless()"])
    calibrate(GRADIENT, 1)
    (key,) = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: {"QSGD(4)": {}}}) if content == "damaged entry" else content)
    assert calibrate(GRADIENT, 1).keys() == BITS.keys()
    assert set(json.loads(cache.read_text())[key]) == BITS.keys()


def test_without_a_cache_it_measures_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_measure", lambda *_: SPEEDS["Lossless()"])
    cache.parent.parent.write_text("a file where the folder should be")
    assert calibrate(GRADIENT, 1).keys() == BITS.keys()


@pytest.mark.usefixtures("cache")
def test_a_saved_gradient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "grad.npy"
    np.save(path, GRADIENT.reshape(100, 200))
    command = ["advise", str(path), "--link", "1Mbit", "--ranks", "2", "--backward", "1ms"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("20,000 parameters, 2 ranks, 1 Mbit/s") and "guess" not in printed
    assert main([*command, "--parameters", "1M", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["setup"]["parameters"] == 10**6 and not told["frames_are_a_guess"]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 4, "advise needs FILE with a gradient, or --parameters such as 350M"),
        (["nowhere.npy"], 3, "nowhere.npy: No such file"),
        (["text.npy"], 4, "text.npy: this is none; pass a .npy"),
        (["nan.npy"], 4, "nan.npy: the gradient has NaN or infinity"),
        (["ints.npy"], 4, "ints.npy: a gradient must hold float32"),
        (["--parameters", "1M", "--ranks", "1"], 4, "ranks must be at least 2, got 1"),
        (["--parameters", "1M", "--threads", "0"], 4, "threads must be at least 1, got 0"),
        (["--parameters", "1M", "--link", "1GB"], 2, "one byte has 8 bits"),
        (["--parameters", "many"], 2, 'a number of parameters, such as "350M"'),
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
    np.save("nan.npy", np.full(9, np.nan, np.float32))
    np.save("ints.npy", np.arange(9))
    Path("text.npy").write_text("this is no array")
    command = ["advise", "--link", "1Gbit", "--ranks", "2", "--backward", "1s", *arguments]
    if code != 2:
        assert message in fails(command, code, capsys)
        return
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
