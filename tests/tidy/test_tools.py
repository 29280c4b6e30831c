"""ruff, mypy and shellcheck find nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.tree import ROOT, plant

MYPY = ["mypy", "--config-file", str(ROOT / "pyproject.toml")]
SCRIPTS = [ROOT / "run", ROOT / ".ci" / "run"]


def tool(*words: str, cwd: Path = ROOT) -> tuple[int, str]:
    """Run a Python tool of this environment; its status and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def clean(outcome: tuple[int, str]) -> None:
    assert outcome[0] == 0, outcome[1]


def test_ruff() -> None:
    clean(tool("ruff", "check", "--quiet", "."))


@pytest.mark.timeout_s(300)
def test_mypy() -> None:
    clean(tool(*MYPY))


@pytest.mark.timeout_s(300)
def test_mypy_of_the_tests_ground() -> None:
    """The rest of the tests is not typed strictly; what they all stand on is."""
    clean(tool(*MYPY, "tests/support", "tests/tidy", "tests/conftest.py"))


def test_ruff_finds_a_fault(tmp_path: Path) -> None:
    plant(tmp_path, {"a.py": "import os\n"})
    status, words = tool("ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(tmp_path))
    assert (status, "F401" in words) == (1, True)


def test_mypy_finds_a_fault(tmp_path: Path) -> None:
    plant(tmp_path, {"a.py": "def f(x):\n    return x\n\ny: int = 'a'\n"})
    status, words = tool(*MYPY, str(tmp_path / "a.py"))
    assert status == 1
    assert "[no-untyped-def]" in words
    assert "[assignment]" in words


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_scripts_parse(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_shellcheck() -> None:
    beside = Path(sys.executable).parent
    program = shutil.which("shellcheck") or shutil.which("shellcheck", path=beside)
    if program is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([program, *SCRIPTS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
