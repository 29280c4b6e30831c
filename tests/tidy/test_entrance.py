"""./run: what it says and how it ends when there is nothing to set up, or nothing to set up with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.tree import ROOT, plant

STAMP = ROOT / ".venv" / "ganglion.stamp"
# What ./run itself is made of; everything else it must find.
GROUND = (
    *(
        "bash",
        "env",
        "readlink",
        "dirname",
        "basename",
        "mktemp",
        "rm",
        "mv",
        "sed",
        "cut",
        "cat",
        "find",
    ),
    *("sort", "xargs", "sha256sum", "paste", "flock", "id", "grep"),
)


def run(
    *arguments: str, path: Path | None = None, script: Path = ROOT / "run", **settings: str
) -> subprocess.CompletedProcess[str]:
    """``./run`` from another folder, without a terminal."""
    env = {**os.environ, **settings}
    if path is not None:
        env["PATH"] = str(path)
    bash = shutil.which("bash") or "bash"
    return subprocess.run(
        [bash, script, *arguments],
        cwd="/",
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def bare_path(folder: Path, *more: str) -> Path:
    """A PATH that holds the ground and these programs, and nothing else."""
    folder.mkdir()
    for name in (*GROUND, *more):
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def clone(folder: Path) -> Path:
    """The entrance of a clone that was never set up."""
    files = ("run", "pyproject.toml", "build_ext.py")
    plant(folder, {name: (ROOT / name).read_text() for name in files})
    return folder / "run"


def test_help_is_on_stdout() -> None:
    done = run("help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ./run")


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["setup", "more"], ["bench", "no-such-bench"]], ids=" ".join
)
def test_wrong_use_is_64(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr


def test_benches_are_listed_without_a_setup(tmp_path: Path) -> None:
    script = clone(tmp_path / "a clone")
    plant(
        script.parent, {"bench/a.py": '"""How fast.\n\nMore."""\nif __name__ == "__main__": ...\n'}
    )
    plant(script.parent, {"bench/frame.py": '"""No program."""\n'})
    done = run("bench", script=script)
    assert (done.returncode, done.stdout.split()) == (0, ["a", "How", "fast."])


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    """No apt-get on this PATH either, so nothing is installed and 69 says what to install."""
    python = Path(
        sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"
    )
    path = bare_path(tmp_path / "bin")
    done = run("setup", script=clone(tmp_path / "a clone"), path=path, PYTHON=str(python), CC="")
    assert (done.returncode, done.stdout) == (69, "")
    assert "a C compiler" in done.stderr
    assert "gcc libc6-dev make" in done.stderr


def test_a_missing_python_is_named(tmp_path: Path) -> None:
    done = run(
        "setup", script=clone(tmp_path / "a clone"), PYTHON=str(tmp_path / "no" / "python3.10")
    )
    assert done.returncode == 69
    assert "is not a Python 3.10 or newer" in done.stderr


@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv" or not STAMP.exists(),
    reason="these tests do not run in a .venv that ./run made",
)
def test_a_second_setup_does_nothing() -> None:
    before = STAMP.stat().st_mtime_ns
    done = run("setup")
    assert (done.returncode, done.stdout) == (0, "")
    assert STAMP.stat().st_mtime_ns == before
    assert done.stderr.count("\n") == 1
