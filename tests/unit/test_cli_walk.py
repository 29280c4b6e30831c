"""Which files a path means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganglion.clients.walk import walk


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(root: Path, *exclude: str) -> list[str]:
    return [os.path.relpath(one.path, root) for one in walk([str(root)], exclude)]


def test_a_directory_is_opened_up_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b.py", "a/z.md", "a/b/c.txt", ".git/config", "a/.hidden", "__pycache__/b.pyc",
         "x.pyc", "node_modules/y.js", "a/note~")  # fmt: skip
    assert names(tmp_path) == ["b.py", "a/z.md", "a/b/c.txt"]
    assert names(tmp_path, "*.md", "b") == ["b.py"]


def test_what_is_named_is_never_left_out(tmp_path: Path) -> None:
    make(tmp_path, ".hidden", ".dir/a.txt")
    found = list(walk([str(tmp_path / ".hidden"), str(tmp_path / ".dir")], ["*"]))
    assert [one.path for one in found] == [str(tmp_path / ".hidden")]
    assert found[0].named
    assert len(list(walk([str(tmp_path / ".dir")]))) == 1


def test_each_file_once(tmp_path: Path) -> None:
    make(tmp_path, "a.txt")
    assert len(list(walk([str(tmp_path), str(tmp_path / "a.txt"), str(tmp_path)]))) == 1


def test_what_cannot_be_had_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    missing, pipe = walk([str(tmp_path / "no"), str(tmp_path / "pipe")])
    assert (missing.reason, missing.named) == ("no such file or directory", True)
    assert pipe.reason == "not a regular file"
    (bad,) = walk(["a\0b"])
    assert bad.reason


def test_links_do_not_run_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "d/a.txt")
    (tmp_path / "d" / "up").symlink_to(tmp_path)
    (tmp_path / "d" / "self").symlink_to("self")
    (tmp_path / "d" / "file").symlink_to("a.txt")
    (tmp_path / "d" / "gone").symlink_to("nowhere")
    found = {os.path.basename(one.path): one.reason for one in walk([str(tmp_path)])}
    assert found.pop("self", "circle")
    assert found == {"a.txt": "", "file": ""}


def test_an_unreadable_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "open/a.txt", "shut/b.txt")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("shut"):  # root may read everything: what others get
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = [(os.path.basename(one.path), one.reason) for one in walk([str(tmp_path)])]
    assert found == [("a.txt", ""), ("shut", "permission denied")]


def test_a_very_deep_tree(tmp_path: Path) -> None:
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(60):
            os.mkdir("d")
            os.chdir("d")
        Path("a.txt").write_text("x")
    finally:
        os.chdir(here)
    assert len(list(walk([str(tmp_path)]))) == 1
