"""The C++ library outside Python: installed, found and used; and its kernels' object files."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "cpp" / "src" / "kernels"
FEATURES = {
    isa.lower(): features.split()
    for isa, features in re.findall(
        r"set\(GRADWIRE_(\w+)_FEATURES ([^)]+)\)",
        (ROOT / "cpp" / "cmake" / "kernels.cmake").read_text(),
    )
}
KERNEL_FLAGS: dict[str, list[str]] = {"scalar": []}
if platform.machine() in ("x86_64", "AMD64"):  # others have scalar kernels alone
    for isa, features in FEATURES.items():
        last = list(KERNEL_FLAGS.values())[-1]
        KERNEL_FLAGS[isa] = [*last, *(f"-m{feature}" for feature in features)]


def need(*programs: str) -> None:
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        pytest.skip(
            f"the C++ library outside Python is tested with {', '.join(missing)}, which pip does "
            "not bring: install it with the system's package manager"
        )


def run(*command: str | Path) -> str:
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("openmp", ["ON", "OFF"])
def test_find_package(openmp: str, tmp_path: Path) -> None:
    need("cmake", "c++")
    run("cmake", "-S", ROOT, "-B", tmp_path / "build", f"-DGRADWIRE_OPENMP={openmp}")
    run("cmake", "--build", tmp_path / "build", "--parallel", "2")
    run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "prefix")
    consumer = ROOT / "tests" / "consumer"
    run(
        "cmake",
        "-S",
        consumer,
        "-B",
        tmp_path / "use",
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}",
    )
    run("cmake", "--build", tmp_path / "use")
    assert run(tmp_path / "use" / "consumer").endswith("lossless\n")


@pytest.mark.parametrize(("name", "flags"), KERNEL_FLAGS.items(), ids=KERNEL_FLAGS)
def test_kernels_share_no_functions(name: str, flags: list[str], tmp_path: Path) -> None:
    """A weak symbol built for one instruction set could replace the one of another."""
    need("g++", "nm")
    compiled = tmp_path / f"{name}.o"
    run("g++", "-std=c++20", "-O0", *flags, "-c", KERNELS / f"{name}.cpp", "-o", compiled)
    symbols = [line.split()[-2:] for line in run("nm", "-C", compiled).splitlines()]
    defined = [name for kind, name in symbols if kind.isupper() and kind != "U"]
    assert not [name for kind, name in symbols if kind in "WVu"]
    assert len(defined) == 1 and defined[0].lower().rstrip("()").endswith("kernels"), defined


def test_kernel_headers_stand_alone() -> None:
    """An editor can parse each of them, and so can whoever reads it."""
    need("g++")
    flags = KERNEL_FLAGS[list(KERNEL_FLAGS)[-1]]
    for header in KERNELS.rglob("*.hpp"):
        if header.parent.name != "x86" or len(KERNEL_FLAGS) > 1:
            run("g++", "-std=c++20", "-fsyntax-only", "-x", "c++", *flags, header)


def test_the_processor_is_asked_for_every_feature() -> None:
    assert list(FEATURES) == ["avx2", "avx512"]
    dispatch = (KERNELS / "dispatch.cpp").read_text()
    for features in FEATURES.values():
        for feature in features:
            asked = f'__builtin_cpu_supports("{feature}")'
            assert asked in dispatch or f"has_{feature}()" in dispatch, feature
