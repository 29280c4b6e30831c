"""The C tests, under ASan and UBSan. They need a C compiler, as building the extension does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CSRC = Path(__file__).resolve().parents[2] / "csrc"


def test_the_c_tests_pass_under_sanitizers() -> None:
    done = subprocess.run(
        ["make", "-C", str(CSRC), "check", f"PYTHON={sys.executable}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    for test in (CSRC / "tests").glob("test_*.c"):
        assert f"{test.stem}:" in done.stdout, f"{test.name} said nothing: it did not run"
