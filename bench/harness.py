"""The measuring frame: interleaved rounds over targets, JSON lines out, medians, ratios, gates.

On a shared machine the noise of a minute is larger than most differences between two programs. So
all targets are up at the same time, each round measures every target once, one after the other, and
the starting target moves on by one each round. Medians are over rounds; a ratio is the median of
the ratios within each round, so that a slow minute hits both sides of it.

stdout: one JSON object per line, in this order: `machine`, the measurements as they happen
(`measurement`, `unavailable`, `error`), then `summary`, `ratio`, `gate` (the key is `record`).
stderr: progress and a table for people. Exit: 0, or 1 when a target broke or a gate failed,
64 wrong use, 130 after Ctrl-C (143 after SIGTERM; what was measured until then is summed up).

Knows nothing about any target beyond targets/base.py.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import math
import os
import platform
import signal
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from targets.base import Target, TargetError, UnavailableError

DECIMALS = 3  # of a JSON figure: nanoseconds of a microsecond figure


@dataclass(frozen=True)
class Stats:
    """A set of samples in four figures, all in the unit of the samples."""

    samples: int
    p50: float
    p99: float
    min: float


@dataclass(frozen=True)
class Measurement:
    """One metric of one target in one round. `value` is the figure rounds are compared by."""

    target: str
    metric: str
    unit: str
    round: int
    window: int  # the tasks in flight
    value: float
    stats: Stats


@dataclass(frozen=True)
class Summary:
    """One metric of one target over all rounds: medians of the rounds' figures."""

    target: str
    metric: str
    unit: str
    rounds: int
    window: int
    value: float
    stats: Stats


@dataclass(frozen=True)
class Gate:
    """A bound on a summary's value, judged only with --check."""

    target: str
    metric: str
    limit: float
    at_least: bool  # True: value >= limit; False: value < limit

    def passes(self, value: float) -> bool:
        """Whether `value`, in the metric's unit, is on the right side of the limit."""
        return value >= self.limit if self.at_least else value < self.limit


@dataclass
class Options:
    """What the command line said."""

    targets: list[str]
    rounds: int
    seconds: float
    size: int
    window: int
    json_only: bool
    check: bool
    install: bool


@dataclass
class Run:
    """What one run of a bench gathers."""

    bench: str
    options: Options
    measurements: list[Measurement] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def emit(self, record: str, **values: object) -> None:
        """One JSON line on stdout."""
        print(json.dumps({"bench": self.bench, "record": record, **values}), flush=True)

    def say(self, words: str) -> None:
        """A line of progress on stderr, unless only JSON is wanted."""
        if not self.options.json_only:
            complain(words)


def complain(words: str) -> None:
    """A line on stderr that is always shown."""
    print(words, file=sys.stderr, flush=True)


# -- statistics --------------------------------------------------------------------------------


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of ascending samples: always a value that was measured."""
    if not ordered:
        raise ValueError("no samples")
    if not 0 <= percent <= 100:
        raise ValueError(f"a percentile is 0 to 100, not {percent}")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def describe(samples: Sequence[float]) -> Stats:
    """Count, p50, p99 and minimum of samples in any order."""
    ordered = sorted(samples)
    return Stats(len(ordered), percentile(ordered, 50), percentile(ordered, 99), ordered[0])


def summarize(measurements: Sequence[Measurement]) -> list[Summary]:
    """One summary per target and metric, in the order they first appear.

    Medians over rounds of value, p50 and p99; the sum of the samples; the smallest minimum.
    """
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for one in measurements:
        groups.setdefault((one.target, one.metric), []).append(one)
    summaries = []
    for (target, metric), group in groups.items():
        stats = Stats(
            samples=sum(one.stats.samples for one in group),
            p50=statistics.median(one.stats.p50 for one in group),
            p99=statistics.median(one.stats.p99 for one in group),
            min=min(one.stats.min for one in group),
        )
        value = statistics.median(one.value for one in group)
        first = group[0]
        one_line = Summary(target, metric, first.unit, len(group), first.window, value, stats)
        summaries.append(one_line)
    return summaries


def times_as_fast(
    measurements: Sequence[Measurement], target: str, peer: str, metric: str
) -> float | None:
    """How many times as fast `target` is as `peer`: the median of the ratios within each round.

    Times (us) divide peer by target and rates divide target by peer, so more than 1 is always
    faster. None when no round measured both.
    """
    values = {
        (one.target, one.round): (one.value, one.unit)
        for one in measurements
        if one.metric == metric
    }
    ratios = []
    for (name, number), (mine, unit) in values.items():
        other = values.get((peer, number))
        if name == target and other is not None:
            ratios.append(other[0] / mine if unit == "us" else mine / other[0])
    return statistics.median(ratios) if ratios else None


# -- the machine -------------------------------------------------------------------------------


def describe_machine() -> dict[str, object]:
    """What a reader needs to compare the figures with another machine's."""
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "governor": governor.read_text().strip() if governor.exists() else None,
        "load_1min": round(os.getloadavg()[0], 2),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def cpu_model() -> str:
    """The first `model name` of /proc/cpuinfo; the architecture where there is none (Arm)."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


# -- measuring ---------------------------------------------------------------------------------


def load_targets(names: Sequence[str]) -> list[Target]:
    """An instance of each target whose module imports; a line on stderr for each that does not."""
    targets = []
    for name in names:
        try:
            module: Any = importlib.import_module(f"targets.{name}")
        except ImportError as error:
            complain(f"{name}: skipped, its module does not import: {error}")
            continue
        target: Target = module.TARGET()
        targets.append(target)
    return targets


def start_targets(run: Run, targets: Sequence[Target], stack: ExitStack) -> list[Target]:
    """Start each target; the ones that run. The stack stops every one that began to start."""
    started = []
    for target in targets:
        run.say(f"{target.name}: starting")
        try:
            if run.options.install:
                target.install()
            stack.enter_context(target)
            target.start(run.options.size)
        except UnavailableError as why:
            complain(f"{target.name}: unavailable: {why}")
            run.emit("unavailable", target=target.name, reason=str(why))
        except (TargetError, OSError) as why:
            report_broken(run, target, why)
        else:
            started.append(target)
    return started


def report_broken(run: Run, target: Target, why: Exception) -> None:
    """A target that started and failed: it leaves the run, and the run fails."""
    complain(f"{target.name}: failed: {why}")
    run.emit("error", target=target.name, reason=str(why))
    run.broken.append(target.name)


def measure_roundtrip(run: Run, target: Target, number: int) -> Measurement:
    """One in flight; the round's figure is its p50."""
    stats = describe(target.roundtrip(run.options.seconds))
    return Measurement(target.name, "roundtrip", "us", number, 1, stats.p50, stats)


def measure_throughput(run: Run, target: Target, number: int) -> Measurement:
    """The window full; a round gives one figure."""
    window = min(run.options.window, target.max_window or run.options.window)
    rate = target.throughput(run.options.seconds, window)
    return Measurement(target.name, "throughput", "tasks/s", number, window, rate, describe([rate]))


METRICS: tuple[Callable[[Run, Target, int], Measurement], ...] = (
    measure_roundtrip,
    measure_throughput,
)


def measure_rounds(run: Run, targets: list[Target]) -> None:
    """All rounds: within a round, one metric of every target before the next metric."""
    for number in range(run.options.rounds):
        turn = number % max(1, len(targets))
        order = targets[turn:] + targets[:turn]
        for metric in METRICS:
            for target in [one for one in order if one.name not in run.broken]:
                try:
                    one = metric(run, target, number)
                except (TargetError, OSError, ValueError) as why:
                    report_broken(run, target, why)
                    continue
                run.measurements.append(one)
                run.emit("measurement", **as_json(run.options, one))
                say_measurement(run, one)


def as_json(options: Options, one: Measurement | Summary) -> dict[str, object]:
    """The JSON members of a measurement or a summary."""
    stats = {key: round(value, DECIMALS) for key, value in vars(one.stats).items()}
    plain = {key: value for key, value in vars(one).items() if key != "stats"}
    return {**plain, "value": round(one.value, DECIMALS), **stats, "size": options.size}


def say_measurement(run: Run, one: Measurement) -> None:
    """The measurement as a line of progress."""
    where = f"round {one.round + 1}/{run.options.rounds}"
    run.say(f"{where}  {one.target:<12} {one.metric:<11} {one.value:>12,.1f} {one.unit}")


# -- reporting ---------------------------------------------------------------------------------


def pairs(summaries: Sequence[Summary]) -> Iterator[tuple[str, str, str]]:
    """(target, peer, metric): each target against every target named before it."""
    for i, one in enumerate(summaries):
        for peer in summaries[:i]:
            if one.metric == peer.metric:
                yield one.target, peer.target, one.metric


def ordered_summaries(run: Run) -> list[Summary]:
    """The summaries in the order of --targets (rounds start with different targets)."""
    return sorted(summarize(run.measurements), key=lambda s: run.options.targets.index(s.target))


def report(run: Run, gates: Sequence[Gate]) -> bool:
    """Emit summaries, ratios and gates and print the table; whether all gates passed."""
    summaries = ordered_summaries(run)
    for one in summaries:
        run.emit("summary", **as_json(run.options, one))
    ratios = []
    for target, peer, metric in pairs(summaries):
        ratio = times_as_fast(run.measurements, target, peer, metric)
        if ratio is not None:
            ratios.append((target, peer, metric, ratio))
            names = {"target": target, "peer": peer, "metric": metric}
            run.emit("ratio", **names, unit="times as fast", value=round(ratio, DECIMALS))
    if summaries:
        run.say(table(summaries, ratios))
    return judge(run, summaries, gates) if run.options.check else True


def table(summaries: Sequence[Summary], ratios: Sequence[tuple[str, str, str, float]]) -> str:
    """The result for people: medians over rounds, then the ratios."""
    lines = ["", f"{'target':<14}{'one in flight, us':>28}{'window full, tasks/s':>28}"]
    lines.append(f"{'':<14}{'p50':>10}{'p99':>10}{'min':>8}{'median':>28}")
    for name in dict.fromkeys(one.target for one in summaries):
        row = {one.metric: one for one in summaries if one.target == name}
        line = f"{name:<14}"
        if "roundtrip" in row:
            stats = row["roundtrip"].stats
            line += f"{stats.p50:>10.1f}{stats.p99:>10.1f}{stats.min:>8.1f}"
        else:
            line += f"{'-':>10}{'-':>10}{'-':>8}"
        line += f"{row['throughput'].value:>28,.0f}" if "throughput" in row else f"{'-':>28}"
        lines.append(line)
    for target, peer, metric, ratio in ratios:
        lines.append(f"{target} / {peer}, {metric}: {ratio:.2f} times as fast")
    return "\n".join(lines)


def judge(run: Run, summaries: Sequence[Summary], gates: Sequence[Gate]) -> bool:
    """Hold the gates against the summaries; a gate nothing was measured for fails."""
    values = {(one.target, one.metric): one.value for one in summaries}
    passed_all = True
    for gate in gates:
        value = values.get((gate.target, gate.metric))
        passed = value is not None and gate.passes(value)
        passed_all = passed_all and passed
        shown = None if value is None else round(value, DECIMALS)
        run.emit("gate", **vars(gate), value=shown, passed=passed)
        bound = f"{'at least' if gate.at_least else 'under'} {gate.limit:,g}"
        found = "not measured" if value is None else f"{value:,.1f}"
        words = f"gate {gate.target} {gate.metric} {bound}: {found}"
        complain(f"{words}: {'passed' if passed else 'FAILED'}")
    return passed_all


# -- the command -------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
        raise ValueError
    return names


def parse_options(words: Sequence[str], summary: str, targets: str) -> Options:
    """The options every bench takes; `targets` is the default of --targets. Wrong use exits 64."""
    parser = _Parser(description=summary)
    add = parser.add_argument
    add("--targets", type=_names, default=_names(targets), help=f"comma-separated ({targets})")
    add("--rounds", type=_positive_int, default=5, help="rounds over all targets (5)")
    add("--seconds", type=_positive_float, default=1.0, help="per measurement (1.0)")
    add("--size", type=_positive_int, default=32, help="payload bytes (32)")
    add("--window", type=_positive_int, default=1000, help="tasks in flight for tasks/s (1000)")
    add("--json-only", action="store_true", help="no progress and no table on stderr")
    add("--check", action="store_true", help="exit 1 when a gate fails")
    add("--install", action="store_true", help="install what is missing through apt (root)")
    return Options(**vars(parser.parse_args(words)))


def _on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def signals_unwind() -> Iterator[None]:
    """While inside, SIGTERM unwinds like Ctrl-C does, so that targets are stopped."""
    before = signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_bench(bench: str, options: Options, gates: Sequence[Gate]) -> int:
    """Start the targets, measure all rounds, stop the targets, report; the exit status."""
    run = Run(bench, options)
    run.emit("machine", **describe_machine())
    interrupted = 0
    with signals_unwind():
        try:
            with ExitStack() as stack:
                started = start_targets(run, load_targets(options.targets), stack)
                measure_rounds(run, started)
        except KeyboardInterrupt:
            interrupted = 128 + signal.SIGINT
        except SystemExit as end:
            interrupted = int(end.code or 1)
    if interrupted:
        complain("interrupted; this is what was measured until then")
    passed = report(run, gates)
    return interrupted or (0 if passed and not run.broken else 1)
