"""The arrows of the architecture: who may use whom, never upward, never sideways between codecs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "cpp" / "src"
TABLE = Path("codecs") / "codec_table.hpp"
LAYERS = ("kernels", "base", "prefix", "codecs", "frame", "gradients")  # each uses those before
ADAPTERS = {"horovod", "jax", "mpi", "tensorflow", "torch"}
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
    others = {"dispatch.cpp", "kernel_list.cpp", "kernel_list.hpp"}
    files = [p for p in (SOURCE / "kernels").rglob("*.*") if p.name not in others]
    assert len(files) >= 5
    for path in files:
        for name in includes(path):
            of_kernels = (path.parent / name).exists() and name not in others
            assert name in standard or of_kernels, f"{path.name}: {name}"


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


def python_imports() -> dict[str, set[str]]:
    """What each module of the package imports of it, by names such as exchange.averaging."""
    package = ROOT / "python" / "gradwire"
    names = {
        ".".join(p.relative_to(package).with_suffix("").parts): p for p in package.rglob("*.py")
    }
    found = {}
    for name, path in names.items():
        pattern = r"^ *from gradwire(?:\.([\w.]+))? import (.+)$"
        lines = re.findall(pattern, path.read_text().replace("(\n", ""), re.MULTILINE)
        whole = {f"{m}.{n}".strip(".") for m, many in lines for n in re.findall(r"\w+", many)}
        found[name] = {n for n in whole | {m for m, _ in lines} if n in names} - {name}
    return found


def kind_of(module: str) -> str:
    """The layer of a Python module: "modules", "exchange", "tools" or "adapters"."""
    first = module.split(".")[0]
    if first in ADAPTERS:
        return "adapters"
    return first if first in ("exchange", "tools") else "modules"


def test_python_imports_point_downward() -> None:
    below = {
        "modules": {"modules"},
        "exchange": {"modules", "exchange"},
        "tools": {"modules", "tools"},
        "adapters": {"modules", "exchange", "adapters"},
    }
    imports = python_imports()
    assert len(imports) > 40 and "exchange.algorithms" in imports["mpi"]
    for module, used in imports.items():
        if module not in ("__init__", "__main__"):
            wrong = {name for name in used if kind_of(name) not in below[kind_of(module)]}
            assert not wrong, f"{module} imports {wrong}"


def test_python_modules_form_no_circle() -> None:
    imports = {m: set(used) for m, used in python_imports().items() if m != "__init__"}
    while leaves := {m for m, used in imports.items() if not used & imports.keys()}:
        imports = {m: used for m, used in imports.items() if m not in leaves}
    assert not imports


def test_adapters_know_no_other_but_exchanges() -> None:
    for module, used in python_imports().items():
        own = module.split(".")[0]
        if own in ADAPTERS:
            others = {name.split(".")[0] for name in used} & ADAPTERS
            assert others <= {own, BUILT_ON.get(own, own)}, module
    package = ROOT / "python" / "gradwire"
    for path in package.rglob("*.py"):
        if path.parent.name != "torch" and path.stem not in ADAPTERS:
            assert not re.search(r"^(from|import) (torch|mpi4py)", path.read_text(), re.MULTILINE)


def test_test_files_share_by_way_of_support() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert not re.search(r"^(from|import) test_", path.read_text(), re.MULTILINE), path.name
