"""The kernel bench: what it names as short, what it writes, and one small run of it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.tree import ROOT

BENCH = ROOT / "bench"


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    sys.path.insert(0, str(BENCH))
    try:
        yield importlib.import_module("kernels")
    finally:
        sys.path.remove(str(BENCH))


def result(
    bench: Any,
    us: dict[str, float],
    errors: dict[str, float] | None = None,
    share: float | None = None,
    peak: str = "fma_f32",
    **asked: Any,
) -> Any:
    case = bench.Case("a case", "family", lambda: None, **asked)
    return bench.Result(case, us, errors or {}, share, peak)


@pytest.mark.parametrize(
    ("ours", "reached"),
    [
        (100.0, "below"),
        (50.0, "floor"),
        (25.0, "target"),
        (10.0, "stretch"),
        (52.0, "floor"),
        (53.0, "below"),
    ],
)
def test_what_a_ratio_reaches(bench: Any, ours: float, reached: str) -> None:
    one = result(
        bench, {"ganglion": ours, "slow": 900.0, "fast": 100.0}, floor=2.0, target=4.0, stretch=8.0
    )
    assert one.against == "fast"
    assert one.ratio == pytest.approx(100.0 / ours)
    assert one.reached == reached
    assert bool(list(one.faults())) == (reached == "below")


def test_who_falls_short_is_named(bench: Any) -> None:
    slow = result(bench, {"ganglion": 10.0, "numpy": 10.0}, floor=2.0)
    assert list(slow.faults()) == ["a case: 1.00 times numpy, the floor is 2.0"]
    alone = result(bench, {"ganglion": 10.0}, floor=2.0, against="torch")
    assert list(alone.faults()) == ["a case: nothing to compare with: install torch"]
    share = result(bench, {"ganglion": 10.0}, share=0.5, share_floor=0.6)
    assert list(share.faults()) == ["a case: 50% of peak fma_f32, the floor is 60%"]


def test_at_the_memorys_limit_no_ratio_is_asked(bench: Any) -> None:
    both = {"ganglion": 10.0, "numpy": 10.0}
    assert result(bench, both, share=0.85, peak="load_l3", floor=2.0).reached == "roof"
    assert result(bench, both, share=0.75, peak="load_l3", floor=2.0).reached == "below"
    assert (
        result(bench, both, share=0.95, floor=2.0).reached == "below"
    )  # of arithmetic there can be less
    assert bench.home(1000) == "load_l1"
    assert bench.home(10**12) == "load_dram"


def test_accuracy_is_a_gate_too(bench: Any) -> None:
    both = {"ganglion": 1e-5, "torch": 2e-6}
    wrong = result(bench, {"ganglion": 1.0, "torch": 9.0}, both, error_max=1e-6, error_times=2.0)
    assert [fault.split(": ")[1].split(",")[0] for fault in wrong.faults()] == [
        "error 1.00e-05",
        "error 1.00e-05",
    ]
    nan = result(bench, {"ganglion": 1.0}, {"ganglion": float("nan")}, error_max=1e-6)
    assert len(list(nan.faults())) == 1


def run(*words: str) -> tuple[int, list[dict[str, Any]], str]:
    command = [sys.executable, str(BENCH / "kernels.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_run_gives_records_and_a_page(tmp_path: Path) -> None:
    page = tmp_path / "kernels.md"
    words = ["--family", "elementwise", "--only", "exp", "--rounds", "3", "--write", str(page)]
    status, records, _ = run(*words, "--check-floors")
    assert status == 0
    assert [one["record"] for one in records] == ["machine", "case", "gate"]
    machine, case, gate = records
    assert machine["isa"] in machine["isas"]
    assert machine["peaks"]["fma_f32"] > 0
    assert case["us"]["ganglion"] > 0
    assert case["us"]["numpy"] > 0
    assert 0 < case["errors"]["ganglion"] < 4e-7
    assert gate == {"record": "gate", "passed": True, "faults": []}
    assert "| exp of 4,096<br>" in page.read_text()


def test_numpy_is_not_loaded_before_its_threads_are_set() -> None:
    program = "import sys, kernels; assert 'kernel_cases' in sys.modules; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=BENCH).returncode == 0


def test_wrong_use_is_64() -> None:
    for words in (["--family", "none"], ["--rounds", "2"], ["--rounds", "x"], ["extra"]):
        assert run(*words)[0] == 64


def test_every_family_with_a_face_has_cases() -> None:
    faces = {path.stem for path in (ROOT / "kernels").glob("[a-z]*.py")}
    cases = {path.stem for path in (BENCH / "kernel_cases").glob("[a-z]*.py")} - {"case"}
    assert cases - faces == {"attention16", "ruvector"}  # about attention, too
    assert faces - cases == {"matrix"}  # its cases stand beside those of distances
