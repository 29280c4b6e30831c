"""The files of the project, and the lines of code in them: what the rules about the source look at."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Where no git can be asked (a source archive, a planted tree): what .gitignore names, roughly.
UNTRACKED = {".git", ".venv", "build", "dist", "__pycache__"}
UNTRACKED_SUFFIXES = (".egg-info", "_cache", ".hypothesis")

C_TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def tracked(root: Path) -> list[Path]:
    """Every file that is, or could by `git add` become, a part of the project."""
    words = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (root / ".git").exists():
        listed = subprocess.run(words, capture_output=True, check=False)
        if listed.returncode == 0:
            names = sorted(set(listed.stdout.decode().split("\0")) - {""})
            return [path for name in names if (path := root / name).is_file()]
    return sorted(_walk(root))


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in UNTRACKED and not name.endswith(UNTRACKED_SUFFIXES)
        ]
        yield from (Path(folder, name) for name in files if not name.endswith((".so", ".o")))


def sources(root: Path, *suffixes: str) -> list[Path]:
    """The tracked files with one of these suffixes."""
    return [path for path in tracked(root) if path.suffix in suffixes]


def relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def c_code(text: str) -> str:
    """C source without comments and the insides of literals; every line stays where it is."""

    def blank(match: re.Match[str]) -> str:
        lines = "\n" * match[0].count("\n")
        return lines or (match[0][0] * 2 if match[0][0] in "\"'" else " ")

    return C_TEXT.sub(blank, text)


def expect_none(faults: list[str]) -> None:
    """Fail with every fault on a line of its own."""
    if faults:
        raise AssertionError("\n".join([f"{len(faults)} found:", *faults]))


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a small tree, for the proof that a rule can fail."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
