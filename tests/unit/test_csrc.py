"""The C tests: here under ASan and UBSan, the kernels' also as AArch64 programs under an emulator.

They need a C compiler, as building the extension does. The first one builds what all share.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
PROGRAMS = sorted(path.stem.removeprefix("test_") for path in (CSRC / "tests").glob("test_*.c"))
CROSS = ("aarch64-linux-gnu-gcc", "qemu-aarch64")


def make(goal: str) -> str:
    done = subprocess.run(
        ["make", "-j2", "-C", str(CSRC), goal, f"PYTHON={sys.executable}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    return done.stdout


@pytest.mark.timeout_s(900)
@pytest.mark.parametrize("program", PROGRAMS)
def test_it_passes_under_sanitizers(program: str) -> None:
    assert f"test_{program}:" in make(f"check-{program}"), "it said nothing: it did not run"


@pytest.mark.timeout_s(900)
def test_a_c_program_uses_the_kernels_without_python() -> None:
    assert "program_kernels: ok" in make("program-kernels")
    library = CSRC.parent / "build" / "csrc" / "libganglion_kernels.so"
    missing = subprocess.run(
        ["nm", "-D", "--undefined-only", str(library)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not [name for name in missing if name.startswith(("Py", "_Py"))]


@pytest.mark.timeout_s(900)
@pytest.mark.skipif(
    not all(map(shutil.which, CROSS)), reason=f"needs {' and '.join(CROSS)} (qemu-user)"
)
@pytest.mark.parametrize("program", [name for name in PROGRAMS if name.startswith("kernels_")])
def test_it_passes_on_neon(program: str) -> None:
    assert f"test_{program}:" in make(f"neon-{program}")
