"""The arrows of the architecture: who may use whom, never upward, never sideways between codecs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "cpp" / "src"
TABLE = Path("codecs") / "codec_table.hpp"
LAYERS = ("kernels", "base", "prefix", "codecs", "frame", "gradients")  # each uses those before
ADAPTERS = {"horovod", "jax", "mpi", "tensorflow"}
BUILT_ON = {"horovod": "torch", "jax": "mpi", "tensorflow": "mpi"}


def includes(path: Path) -> list[str]:
    return re.findall(r'^#include [<"]([^">]+)[">]', path.read_text(), re.MULTILINE)


def may_use(user: Path, used: Path) -> bool:
    """By their folders: downward, from a folder to the one it lies in, or within one folder."""
    if user == used:
        return True
    if user.parts[0] == used.parts[0]:
        return used in user.parents
    return len(used.parts) == 1 and LAYERS.index(used.parts[0]) < LAYERS.index(user.parts[0])


def test_includes_point_downward() -> None:
    assert {p.name for p in SOURCE.iterdir()} == set(LAYERS)
    for path in SOURCE.rglob("*.?pp"):
        for name in includes(path):
            if "/" in name and (SOURCE / name).exists():
                user, used = path.parent.relative_to(SOURCE), Path(name).parent
                assert may_use(user, used), f"{path.relative_to(SOURCE)} includes {name}"


def test_no_codec_is_named_outside_its_folder_and_the_table() -> None:
    """So a new codec is a folder, its name in the table, and its number."""
    rows = re.findall(r"extern const Codec k(\w+)Codec", (SOURCE / TABLE).read_text())
    assert len(rows) >= 7
    for path in (ROOT / "cpp").rglob("*.?pp"):
        if path.stem == "codec_table" or path.parent.parent.name == "codecs":
            continue
        named = set(re.findall(r"CodecId::k(\w+)", path.read_text())) & set(rows)
        assert not named or path.parent.name == "gradwire", f"{path.name} names {named}"


def test_kernel_files_include_nothing_but_kernels_and_c() -> None:
    """A function shared with another file could be linked in the version of the wrong processor."""
    standard = {"stdint.h", "stddef.h", "string.h", "immintrin.h"}
    files = [p for p in (SOURCE / "kernels").rglob("*.*") if p.name != "dispatch.cpp"]
    assert len(files) >= 5
    for path in files:
        for name in includes(path):
            assert name in standard or (path.parent / name).exists(), f"{path.name}: {name}"


def test_one_file_has_openmp_and_one_folder_pybind11() -> None:
    text = {p: p.read_text() for p in (ROOT / "cpp").rglob("*.?pp")}
    assert {p.name for p, t in text.items() if "#pragma omp" in t} == {"executor.cpp"}
    assert {p.parent.name for p, t in text.items() if "pybind11" in t} == {"bindings"}
    public = [t for p, t in text.items() if p.parent.name == "gradwire"]
    assert public and not any(re.search("Python.h|omp.h|intrin.h", t) for t in public)


def test_files_stay_readable() -> None:
    folders = (ROOT / "cpp", ROOT / "python", ROOT / "tests", ROOT / "bench")
    files = [
        p for f in folders for p in f.rglob("*") if p.suffix in {".cpp", ".hpp", ".inc", ".py"}
    ]
    long = {p.name: n for p in files if (n := len(p.read_text().splitlines())) > 350}
    assert not long


def test_python_imports_point_downward() -> None:
    order = [
        "_extras",
        "_core",
        "_tensors",
        "_arrays",
        "_floats",
        "frames",
        "encodings",
        "codecs",
        "entropy",
        "runtime",
    ]
    order += [
        "_quantizer",
        "_sparsifier",
        "_sidco",
        "quantizers",
        "sparsifiers",
        "_memory",
        "memory",
        "gradient_frames",
        "compressor",
        "exchange",
        "agreement",
        "averaging",
        "sharded",
        "algorithms",
        "checkpoint",
        "adapter",
        "tuner",
        "factory",
        "tables",
        "progress",
        "bench",
        "gradient_bench",
        "demo",
        "cli",
        "__main__",
    ]
    for path in (ROOT / "python" / "gradwire").glob("*.py"):
        used = re.findall(r"^from gradwire(?:\.(\w+))? import", path.read_text(), re.MULTILINE)
        if path.stem not in ADAPTERS | {"__init__"}:
            rank = order.index(path.stem)
            assert all(order.index(name or "_core") < rank for name in used), path.name


def test_adapters_know_no_other_but_exchanges() -> None:
    package = ROOT / "python" / "gradwire"
    files = [p for p in package.rglob("*.py") if p.parent.name == "torch" or p.stem in ADAPTERS]
    for path in files:
        used = re.findall(r"^ *from gradwire\.(\w+)", path.read_text(), re.MULTILINE)
        own = "torch" if path.parent.name == "torch" else path.stem
        allowed = {own, BUILT_ON.get(own, own)}
        assert not set(used) & ((ADAPTERS | {"torch"}) - allowed), path
    for path in package.glob("*.py"):
        if path.stem not in ADAPTERS:
            assert not re.search(r"^(from|import) (torch|mpi4py)", path.read_text(), re.MULTILINE)


def test_test_files_share_by_way_of_support() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert not re.search(r"^(from|import) test_", path.read_text(), re.MULTILINE), path.name
