"""The kernels beside numpy, torch, NumKong, usearch, faiss and networkx: interleaved medians, accuracy, floors.

Each case (kernel_cases/) is our call and those of others on the same inputs. A sample is as many calls as take about
two milliseconds; samples of all sides alternate, the side that begins moves on by one each round, and the ratio is the
ratio of the medians. Figures of one run are comparable, those of two runs are not.

stdout: one JSON object per line (`record` is machine, case, absent, gate). stderr: a line per case for people.
Exit: 0; 1 with --check-floors when a floor or an error bound is not met, or nothing is there to compare with; 64 wrong
use; 69 --install failed; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.metadata
import json
import math
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from harness import complain, describe_machine, signals_unwind
from kernel_cases.case import Call, Case, Timed, present
from kernel_report import write_page
from targets.base import TargetError, UnavailableError, compile_c, measure

FAMILIES = sorted(
    path.stem
    for path in (Path(__file__).parent / "kernel_cases").glob("[a-z]*.py")
    if path.stem != "case"
)
LIBRARIES = ("numpy", "torch", "numkong", "faiss-cpu", "usearch", "networkx", "scipy")
SLACK = 0.95  # a floor is met when the ratio is within the noise of two medians
ROOF = 0.8  # of a measured load bandwidth, Python included: the machine is the limit, and no ratio can be asked
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
CACHES_USUAL = {1: 32 << 10, 2: 1 << 20, 3: 16 << 20}
SAMPLE_S = 0.002
PEAK_SECONDS = 30.0


@dataclass(frozen=True)
class Result:
    """A case as it was measured: medians in microseconds by name, ours is "ganglion"."""

    case: Case
    us: dict[str, float]
    errors: dict[str, float]
    share: float | None
    peak: str

    @property
    def against(self) -> str | None:
        """Whom the ratio is taken against; None when nobody is there."""
        others = {name: us for name, us in self.us.items() if name != "ganglion"}
        if self.case.against != "best":
            return self.case.against if self.case.against in others else None
        return min(others, key=lambda name: others[name]) if others else None

    @property
    def ratio(self) -> float | None:
        """How many times faster than `against`."""
        against = self.against
        return self.us[against] / self.us["ganglion"] if against else None

    @property
    def reached(self) -> str:
        """stretch, target, floor, roof (short of it, at the memory's limit), below, or "" where nothing is asked."""
        ratio = self.ratio
        if self.case.floor is None or ratio is None:
            return ""
        for name in ("stretch", "target", "floor"):
            goal = getattr(self.case, name)
            if goal is not None and ratio >= goal * (SLACK if name == "floor" else 1.0):
                return name
        at_roof = self.peak.startswith("load_") and (self.share or 0) >= ROOF
        return "roof" if at_roof else "below"

    def faults(self) -> Iterator[str]:
        """What --check-floors names."""
        case = self.case
        if case.floor is not None:
            if self.ratio is None:
                yield f"{case.name}: nothing to compare with: install {_wanted(case)}"
            elif self.reached == "below":
                yield f"{case.name}: {self.ratio:.2f} times {self.against}, the floor is {case.floor}"
        if case.share_floor is not None and (self.share or 0) < case.share_floor * SLACK:
            share = self.share or 0.0
            yield f"{case.name}: {share:.0%} of peak {self.peak}, the floor is {case.share_floor:.0%}"
        yield from self._wrong()

    def _wrong(self) -> Iterator[str]:
        case, ours = self.case, self.errors.get("ganglion")
        if ours is None:
            return
        if case.error_max is not None and not ours <= case.error_max:
            yield f"{case.name}: error {ours:.2e}, the bound is {case.error_max:.2e}"
        theirs = self.errors.get(self.against or "")
        if (
            case.error_times is not None
            and theirs is not None
            and not ours <= case.error_times * theirs
        ):
            yield f"{case.name}: error {ours:.2e}, over {case.error_times} times {self.against}'s {theirs:.2e}"

    def record(self) -> dict[str, Any]:
        case = self.case
        return {
            "record": "case",
            "family": case.family,
            "case": case.name,
            "us": {name: _short(us) for name, us in self.us.items()},
            "against": self.against,
            "ratio": _short(self.ratio),
            "floor": case.floor,
            "target": case.target,
            "stretch": case.stretch,
            "reached": self.reached,
            "peak": self.peak if self.share is not None else None,
            "share": _short(self.share),
            "errors": {name: _short(error) for name, error in self.errors.items()},
            "budget_us": case.budget_us,
            "note": case.note,
        }


def _short(figure: float | None) -> float | None:
    return None if figure is None or not math.isfinite(figure) else float(f"{figure:.4g}")


def _wanted(case: Case) -> str:
    return (
        "what it is compared with (numkong, faiss-cpu, ...)"
        if case.against == "best"
        else case.against
    )


@cache
def caches() -> dict[int, int]:
    """Bytes of the first core's data cache of each level, as the system tells; the usual sizes where it does not."""
    found = dict(CACHES_USUAL)
    for index in CACHES.glob("index*"):
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()
            found[int((index / "level").read_text())] = int(size.removesuffix("K")) << 10
    return found


def home(size: float) -> str:
    """The peak that holds for so many bytes read again and again: that of the nearest memory they fit in."""
    for level, room in sorted(caches().items()):
        if size <= room:
            return f"load_l{level}"
    return "load_dram"


def peaks() -> dict[str, float]:
    """What one core can do at most, from bench/c/peaks.c; empty without a compiler."""
    try:
        flags = ["-O3", "-march=native", "-ffp-contract=fast"]
        told: dict[str, float] = json.loads(measure(PEAK_SECONDS, compile_c("peaks", flags=flags)))
    except (TargetError, UnavailableError) as fault:
        complain(f"no peaks: {fault}")
        return {}
    return told


def sample(call: Call | Timed, loops: int) -> float:
    """Seconds a call, over `loops` calls in a row."""
    if isinstance(call, Timed):
        return call.seconds(loops)
    begin = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - begin) / loops


def loops_for(call: Call | Timed) -> int:
    """How many calls fill a sample; also the warming up."""
    sample(call, 1)
    took = min(sample(call, 1) for _ in range(3))
    return max(1, min(10_000, int(SAMPLE_S / max(took, 1e-9))))


def measured(case: Case, rounds: int, seconds_max: float, limits: dict[str, float]) -> Result:
    """Interleaved samples of all sides: at least 3 rounds, `rounds` unless they take longer than `seconds_max`."""
    sides: dict[str, Call | Timed] = {"ganglion": case.ours, **case.others}
    loops = {name: loops_for(call) for name, call in sides.items()}
    samples: dict[str, list[float]] = {name: [] for name in sides}
    names, begin = list(sides), time.perf_counter()
    gc.disable()
    try:
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                samples[name].append(sample(sides[name], loops[name]))
            if number >= 2 and time.perf_counter() - begin > seconds_max:
                break
    finally:
        gc.enable()
    us = {name: statistics.median(taken) * 1e6 for name, taken in samples.items()}
    peak = home(case.bytes) if case.bytes else case.peak
    work, limit = case.bytes or case.flops, limits.get(peak)
    share = work / (us["ganglion"] * 1e3) / limit if work and limit else None
    return Result(case, us, case.errors() if case.errors else {}, share, peak)


def chosen(families: Sequence[str], only: Sequence[str]) -> Iterator[Case]:
    for family in families:
        for case in importlib.import_module(f"kernel_cases.{family}").cases():
            if not only or any(part in case.name for part in only):
                yield case


def line(result: Result) -> str:
    """A case for people."""
    times = "  ".join(f"{name} {us:,.2f}" for name, us in result.us.items())
    words = f"{result.case.name:44} us: {times}"
    if result.ratio is not None:
        words += f"  = {result.ratio:.2f} x {result.against}"
    if result.reached:
        words += f" [{result.reached}]"
    if result.case.budget_us is not None:
        words += f"  (published target {result.case.budget_us:g} us)"
    if result.share is not None:
        words += f"  {result.share:.0%} of {result.peak}"
    if result.errors:
        words += "  err " + " ".join(f"{name} {error:.1e}" for name, error in result.errors.items())
    return words


def versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            hint = " (install its build for the CPU into .venv)" if name == "torch" else ""
            complain(f"{name} is not installed{hint}: cases are measured without it")
    return found


def levels() -> tuple[str, list[str]]:
    """The level in use, and all of this machine. Loads numpy, so not before kernel_cases has set its threads."""
    kernels = importlib.import_module("ganglion.kernels")
    return kernels.isa(), kernels.isas()


def run(options: argparse.Namespace) -> tuple[list[Result], dict[str, Any]]:
    """Measure what was chosen; what was measured until Ctrl-C counts."""
    limits = peaks()
    isa, isas = levels()
    machine = {**describe_machine(), "isa": isa, "isas": isas}
    machine |= {"peaks": limits, "libraries": versions()}
    print(json.dumps({"record": "machine", **machine}), flush=True)
    results: list[Result] = []
    for case in chosen(options.family or FAMILIES, options.only):
        if case.needs and case.needs not in isas:
            absent = {
                "record": "absent",
                "family": case.family,
                "case": case.name,
                "needs": case.needs,
            }
            print(json.dumps(absent), flush=True)
            complain(f"{case.name:44} absent: this machine has no {case.needs}")
            continue
        results.append(measured(case, options.rounds, options.seconds, limits))
        print(json.dumps(results[-1].record()), flush=True)
        if not options.json_only:
            complain(line(results[-1]))
    return results, machine


def judge(results: Sequence[Result]) -> bool:
    """Emit the gates; whether all passed."""
    faults = [fault for result in results for fault in result.faults()]
    print(json.dumps({"record": "gate", "passed": not faults, "faults": faults}), flush=True)
    for fault in faults:
        complain(f"short: {fault}")
    return not faults


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="bench kernels", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--family", action="append", choices=FAMILIES, help="only these (all)")
    add(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="only cases with TEXT in their name",
    )
    add("--rounds", type=int, default=15, help="samples of each side (15)")
    add("--seconds", type=float, default=3.0, help="a case's rounds end early after this long (3)")
    add(
        "--check-floors",
        action="store_true",
        help="exit 1 when a floor or an error bound is not met, naming it",
    )
    add("--write", type=Path, metavar="FILE", help="write the table as Markdown (docs/kernels.md)")
    add(
        "--install",
        action="store_true",
        help="first fetch RuVector's package through npm, to compare with",
    )
    add("--json-only", action="store_true", help="no lines for people")
    options = parser.parse_args(words)
    if options.rounds < 3:
        parser.error("--rounds: at least 3")
    return options


def main(words: Sequence[str]) -> int:
    options = parse(words)
    if options.install:
        try:
            importlib.import_module("kernel_cases.ruvector").install()
        except RuntimeError as fault:
            complain(f"--install: {fault}")
            return 69
    if present("torch"):  # chooses its threads at import
        importlib.import_module("kernel_cases.case").library("torch")
    with signals_unwind():
        try:
            results, machine = run(options)
        except KeyboardInterrupt:
            complain("interrupted")
            return 128 + signal.SIGINT
    if options.write:
        write_page(options.write, [result.record() for result in results], machine)
    passed = judge(results)
    return 1 if options.check_floors and not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
