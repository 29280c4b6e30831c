"""What the tree holds: the packages listed, folders that say what they own, nothing big or private."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from support.tree import ROOT, expect_none, plant, relative, sources, tracked

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_BYTES_MAX = 256 * 1024
PACKAGE_ROOTS = ("protocol", "kernels", "daemons", "clients", "sim")
# Put together from pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(
    r"(?<![\w.~$}])/(?:"
    + "|".join(["work/", "root/", "home/[a-z]", "Users/", "tmp/w/", r"tmp/hub\b"])
    + ")"
)
PRIVATE_INDEX = re.compile(
    "|".join(
        [
            "--(?:extra-)?index" + "-url",
            "--trusted" + "-host",
            "--find" + "-links",
            r"://[^\s/\"']+/simp" + r"le\b",
        ]
    )
)


def packages_listed(root: Path) -> set[str]:
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    return set(settings["tool"]["setuptools"]["packages"])


def packages_found(root: Path) -> set[str]:
    """Every folder with Python in it, below the folders that are installed."""
    folders = {path.parent.relative_to(root).parts for path in sources(root, ".py")}
    return {
        ".".join(("ganglion", *parts)) for parts in folders if parts and parts[0] in PACKAGE_ROOTS
    }


def package_faults(root: Path) -> list[str]:
    listed, found = packages_listed(root), packages_found(root)
    return [
        *(
            f"{name}: listed in pyproject.toml, and no such folder"
            for name in sorted(listed - found)
        ),
        *(
            f"{name}: not in the list of packages in pyproject.toml"
            for name in sorted(found - listed)
        ),
    ]


def nameless_folders(root: Path) -> list[str]:
    """Folders that nothing explains: neither a README nor a docstring of their own, nor a README above."""
    folders = {
        parent
        for path in tracked(root)
        for parent in path.relative_to(root).parents
        if parent.parts and not any(part.startswith(".") for part in parent.parts)
    }
    return [f"{folder.as_posix()}/" for folder in sorted(folders) if not _explained(root, folder)]


def _explained(root: Path, folder: Path) -> bool:
    if (root / folder / "README.md").exists():
        return True
    init = root / folder / "__init__.py"
    if init.exists() and ast.get_docstring(ast.parse(init.read_text())):
        return True
    # A README above may explain it by its path from there: `src/wire/`, or src/wire in a table.
    for above in folder.parents:
        readme = root / above / "README.md"
        if above.parts and readme.exists():
            name = re.escape(folder.relative_to(above).as_posix())
            return bool(re.search(rf"(?<![\w/]){name}(?![\w-])", readme.read_text()))
    return False


def private_places(root: Path) -> list[str]:
    """Paths and package indexes of the machine somebody happened to work on."""
    faults = []
    for path in tracked(root):
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for pattern in (MACHINE_PATHS, PRIVATE_INDEX):
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                faults.append(f"{relative(root, path)}:{line}: {match[0]}")
    return faults


def big_files(root: Path) -> list[str]:
    return [
        f"{relative(root, path)}: {path.stat().st_size} bytes"
        for path in tracked(root)
        if path.stat().st_size > FILE_BYTES_MAX
    ]


def test_packages_are_the_folders() -> None:
    expect_none(package_faults(ROOT))


def test_every_folder_says_what_it_owns() -> None:
    expect_none(nameless_folders(ROOT))


def test_no_place_of_one_machine() -> None:
    expect_none(private_places(ROOT))


def test_no_big_file() -> None:
    expect_none(big_files(ROOT))


def test_a_package_amiss_is_found(tmp_path: Path) -> None:
    settings = '[tool.setuptools]\npackages = ["ganglion.clients", "ganglion.gone"]\n'
    root = plant(
        tmp_path,
        {
            "pyproject.toml": settings,
            "clients/a.py": "",
            "clients/cli/b.py": "",
            "clients/c/x.c": "",
        },
    )
    assert [fault.split(":")[0] for fault in package_faults(root)] == [
        "ganglion.gone",
        "ganglion.clients.cli",
    ]


def test_a_nameless_folder_is_found(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {
            "csrc/README.md": "`src/wire/` holds the codec",
            "csrc/src/wire/a.c": "",
            "csrc/src/core/a.c": "",
            "daemons/__init__.py": '"""The daemons."""',
            "daemons/agents/__init__.py": "x = 1",
            ".ci/run": "",
        },
    )
    assert nameless_folders(root) == ["csrc/src/core/", "daemons/agents/"]


@pytest.mark.parametrize(
    "text",
    [
        "cd /" + "work/main",
        "see /" + "home/somebody/x",
        'open("/' + 'root/x")',
        "pip --index" + "-url x",
    ],
)
def test_a_private_place_is_found(tmp_path: Path, text: str) -> None:
    assert len(private_places(plant(tmp_path, {"a.md": text}))) == 1


def test_a_public_place_is_not(tmp_path: Path) -> None:
    text = "https://example.org/work/x, $HOME/work/x, /var/lib/ganglion, homework/x"
    assert private_places(plant(tmp_path, {"a.md": text})) == []


def test_a_big_file_is_found(tmp_path: Path) -> None:
    root = plant(tmp_path, {"a": "x" * (FILE_BYTES_MAX + 1), "b": "x" * FILE_BYTES_MAX})
    assert [fault.split(":")[0] for fault in big_files(root)] == ["a"]
