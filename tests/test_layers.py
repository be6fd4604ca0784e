"""The arrows of the architecture: who may use whom, never upward, never sideways between codecs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "cpp" / "src"
KERNEL_INCLUDES = {
    "kernels.hpp",
    "float_kernels.hpp",
    "stdint.h",
    "stddef.h",
    "string.h",
    "immintrin.h",
}
CODECS = {
    "run_length",
    "huffman",
    "elias_omega",
    "sample_huffman",
    "sample_huffman_sparsity",
    "run_length_huffman",
    "entropy",
}
ADAPTERS = {"horovod", "jax", "mpi", "tensorflow"}
BUILT_ON = {"horovod": "torch", "jax": "mpi", "tensorflow": "mpi"}
FRAMES = {
    "chunk_writer",
    "code_words",
    "compress",
    "decompress",
    "frame_header",
    "frame_writer",
    "streaming",
}


def includes(path: Path) -> set[str]:
    return set(re.findall(r'^#include [<"]([^">]+)[">]', path.read_text(), re.MULTILINE))


def local(path: Path) -> set[str]:
    return {Path(name).stem for name in includes(path) if (SOURCE / name).exists()}


def test_kernels_include_nothing_else() -> None:
    files = sorted((SOURCE / "kernels").iterdir())
    assert len(files) >= 5
    for path in files:
        parts = {p.name for p in files if p.suffix == ".inc"}
        assert includes(path) <= KERNEL_INCLUDES | parts, path.name


def test_codecs_know_neither_each_other_nor_frames() -> None:
    for path in SOURCE.glob("*.?pp"):
        if path.stem in CODECS:
            assert not local(path) & ((CODECS | FRAMES) - {path.stem}), path.name
        elif path.stem not in FRAMES:
            assert not local(path) & FRAMES, path.name
        if path.stem not in CODECS | {"codec", "code_words"}:
            assert not local(path) & CODECS, path.name


def test_nothing_below_knows_gradients() -> None:
    gradients = {p.stem for p in (SOURCE / "gradients").iterdir()}
    assert len(gradients) >= 10
    for path in SOURCE.rglob("*.?pp"):
        if path.parent.name != "gradients":
            assert not {Path(name).stem for name in includes(path)} & gradients, path.name


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
