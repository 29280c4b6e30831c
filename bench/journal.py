"""What the journal costs: tasks per second and round trips under each policy, bytes and syncs, a restart.

    python bench/journal.py --targets none,memory,group,sync [--check] [--rounds 5] [--seconds 1]

The four coordinators run side by side and every round measures each of them (harness.py), so the ratios hold on a
noisy machine; `none` keeps tasks in memory only. Per policy besides: `bytes_per_task` (what the coordinator gave to
write(2) during the throughput rounds) and `syncs_per_s`. Then, under `group`: 100,000 waiting tasks,
SIGKILL, and the time from the start of the next coordinator to the first task in an agent's hands (`restart`);
every one of the tasks has to be run. Record `disk`: one write of 4 KiB and fdatasync there, us. Gates, with --check:
throughput of group at least half of none's in the same round, the restart under 2 s.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack

from harness import (
    DECIMALS,
    Run,
    complain,
    describe_machine,
    measure_rounds,
    parse_options,
    percentile,
    report,
    signals_unwind,
    start_targets,
    times_as_fast,
)
from targets.base import Target, TargetError
from targets.journalled import TARGETS, Counts, Journalled
from targets.restart import TASKS, measure_restart

POLICIES = ",".join(target.name for target in TARGETS)
GROUP_RATIO_MIN = 0.5
RESTART_S_MAX = 2.0
DISK_SAMPLES = 100


def emit_disk(run: Run) -> None:
    """What one small synchronous write costs on the disk that the journals are on."""
    samples = []
    with tempfile.TemporaryFile() as file:
        for _ in range(DISK_SAMPLES):
            start = time.perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - start) * 1e6)
    samples.sort()
    figures = {"p50": percentile(samples, 50), "p99": percentile(samples, 99), "min": samples[0]}
    rounded = {name: round(value, DECIMALS) for name, value in figures.items()}
    run.emit("disk", metric="write_4096_fdatasync", unit="us", samples=DISK_SAMPLES, **rounded)


class Counter:
    """A target whose throughput rounds are counted: bytes and syncs between their beginning and end."""

    def __init__(self, target: Journalled) -> None:
        self.target = target
        self.bytes_per_task: list[float] = []
        self.syncs_per_s: list[float] = []
        self._throughput = target.throughput
        target.throughput = self.throughput  # type: ignore[method-assign]

    def throughput(self, seconds: float, window: int) -> float:
        before, start = self.target.counts(), time.perf_counter()
        rate = self._throughput(seconds, window)
        spent, after = time.perf_counter() - start, self.target.counts()
        self._note(before, after, rate * spent, spent)
        return rate

    def _note(self, before: Counts, after: Counts, tasks: float, spent: float) -> None:
        if tasks > 0:
            self.bytes_per_task.append((after.written - before.written) / tasks)
        self.syncs_per_s.append((after.syncs - before.syncs) / spent)


def report_counts(run: Run, counters: list[Counter]) -> None:
    for one in counters:
        for metric, unit, values in (
            ("bytes_per_task", "bytes", one.bytes_per_task),
            ("syncs_per_s", "1/s", one.syncs_per_s),
        ):
            if values:
                value = round(statistics.median(values), 1)
                run.emit("summary", target=one.target.name, metric=metric, unit=unit, value=value)
                run.say(f"{one.target.name:<12}{metric:>28}{value:>12,.1f}")


def restart(run: Run) -> float | None:
    """The restart with many waiting tasks, in seconds; None when it went wrong."""
    try:
        found = measure_restart(run.say)
    except (TargetError, OSError) as why:
        complain(f"restart: failed: {why}")
        run.emit("error", target="group", reason=str(why))
        run.broken.append("restart")
        return None
    run.emit("measurement", target="group", metric="restart", unit="s", tasks=TASKS, **found)
    return found["value"]


def gate(run: Run, metric: str, value: float | None, limit: float, at_least: bool) -> bool:
    """Hold one figure against its limit."""
    passed = value is not None and (value >= limit if at_least else value < limit)
    shown = None if value is None else round(value, DECIMALS)
    words = {"target": "group", "metric": metric, "limit": limit, "at_least": at_least}
    run.emit("gate", **words, value=shown, passed=passed)
    bound = f"{'at least' if at_least else 'under'} {limit:g}"
    complain(f"gate group {metric} {bound}: {shown}: {'passed' if passed else 'FAILED'}")
    return passed


def main() -> int:
    options = parse_options(sys.argv[1:], "What each policy of the journal costs.", POLICIES)
    run = Run("journal", options)
    run.emit("machine", **describe_machine())
    emit_disk(run)
    known = {target.name: target for target in TARGETS}
    wanted: list[Target] = [known[name]() for name in options.targets if name in known]
    counters: list[Counter] = []
    with signals_unwind(), ExitStack() as stack:
        started = start_targets(run, wanted, stack)
        counters = [Counter(one) for one in started if isinstance(one, Journalled)]
        measure_rounds(run, started)
    report(run, ())
    report_counts(run, counters)
    seconds = restart(run)
    passed = True
    if options.check:
        ratio = times_as_fast(run.measurements, "group", "none", "throughput")
        passed = gate(run, "throughput / none", ratio, GROUP_RATIO_MIN, at_least=True)
        passed = gate(run, "restart", seconds, RESTART_S_MAX, at_least=False) and passed
    return 0 if passed and not run.broken else 1


if __name__ == "__main__":
    sys.exit(main())
