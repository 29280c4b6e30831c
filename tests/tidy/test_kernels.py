"""The kernels' source: which family may use which, no allocation and no IO in a kernel, a README per family."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.tree import ROOT, c_code, expect_none, plant, relative, sources

# Each family of csrc/kernels/, and the families it may include besides base, simd and itself. A new one comes in here.
FAMILIES = {
    "base": set[str](),
    "simd": set[str](),
    "elementwise": set[str](),
    "matrix": set[str](),
    "hypervectors": set[str](),
    "distances": {"matrix", "hypervectors"},
    "selection": set[str](),
    "predictive": set[str](),
    "attention": {"elementwise"},
    "linear": {"matrix"},
    "hyperbolic": set[str](),
    "scan": {"matrix"},
    "heads": {"attention", "matrix", "hyperbolic", "linear"},
    "hopfield": {"attention", "matrix", "hypervectors"},
    "adaptation": {"matrix", "distances", "hypervectors"},
    "graphs": {"matrix"},
}
# Headers that are two files of one family.
ALIASES = {"attention16": "attention"}
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.MULTILINE)
HEADERS = {
    *(
        "float.h",
        "limits.h",
        "math.h",
        "stdbool.h",
        "stddef.h",
        "stdint.h",
        "stdatomic.h",
        "string.h",
    ),
    *("immintrin.h", "arm_neon.h"),
}
# base asks the processor and the system, and holds the threads.
BASE_HEADERS = HEADERS | {"cpuid.h", "pthread.h", "stdlib.h", "sys/syscall.h", "unistd.h"}
FORBIDDEN_CALLS = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|alloca|mmap|"
    r"printf|fprintf|snprintf|puts|getenv|assert|abort|exit|pthread_\w+|time|clock_gettime|rand|qsort)\s*\("
)


def family_of(name: str) -> str | None:
    parts = Path(name).parts
    if parts[:2] == ("csrc", "kernels") and len(parts) > 3:
        return parts[2]
    if parts[:4] == ("csrc", "include", "ganglion", "kernels"):
        stem = parts[-1].removesuffix(".h")
        return ALIASES.get(stem, stem)
    return None


def included_family(target: str) -> str | None:
    """Of a quoted include: "matrix/ops.h", "ganglion/kernels/matrix.h"; None for a neighbour."""
    head, _, rest = target.removeprefix("ganglion/kernels/").partition("/")
    if target.startswith("ganglion/kernels/"):
        stem = head.removesuffix(".h")
        return ALIASES.get(stem, stem)
    return head if rest else None


def faults(root: Path) -> list[str]:
    found = []
    for path in sources(root, ".c", ".h"):
        name = relative(root, path)
        family = family_of(name)
        if family is None:
            continue
        if family not in FAMILIES:
            found.append(f"{name}: the family {family} is not in the table of families")
            continue
        text = path.read_text()
        allowed = {"base", "simd", family, *FAMILIES[family]}
        headers = BASE_HEADERS if family == "base" else HEADERS
        for quote, target in INCLUDE.findall(text):
            if quote == "<" and target not in headers:
                found.append(f"{name}: a kernel may not include <{target}>")
            other = included_family(target) if quote == '"' else None
            if other is not None and other not in allowed:
                found.append(f"{name}: {family} may not include {target}")
        if family != "base":
            found += [
                f"{name}: {match[1]}() in a kernel"
                for match in FORBIDDEN_CALLS.finditer(c_code(text))
            ]
    return found


def families_without_readme(root: Path) -> list[str]:
    folders = {path.parent for path in sources(root, ".c") if "csrc/kernels/" in path.as_posix()}
    return [
        f"{relative(root, folder)}: no README.md"
        for folder in sorted(folders)
        if folder.name not in {"base", "kernels"} and not (folder / "README.md").exists()
    ]


def test_families_use_each_other_one_way_and_allocate_nothing() -> None:
    expect_none(faults(ROOT))


def test_every_family_has_a_readme() -> None:
    expect_none(families_without_readme(ROOT))


def test_the_table_of_families_is_the_folders() -> None:
    folders = {path.name for path in (ROOT / "csrc" / "kernels").iterdir() if path.is_dir()}
    assert folders == set(FAMILIES)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("csrc/kernels/matrix/a.c", '#include "distances/ops.h"\n'),
        ("csrc/kernels/matrix/a.c", '#include "ganglion/kernels/distances.h"\n'),
        ("csrc/kernels/matrix/a.c", "#include <stdio.h>\n"),
        ("csrc/kernels/matrix/a.c", "static void f(void)\n{\n    g(malloc(4));\n}\n"),
        ("csrc/kernels/new/a.c", "int gn_x;\n"),
    ],
)
def test_a_fault_is_found(tmp_path: Path, path: str, text: str) -> None:
    assert len(faults(plant(tmp_path, {path: text}))) == 1


def test_a_family_without_a_readme_is_found(tmp_path: Path) -> None:
    assert (
        len(families_without_readme(plant(tmp_path, {"csrc/kernels/new/a.c": "int gn_x;\n"}))) == 1
    )
