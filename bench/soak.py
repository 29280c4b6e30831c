"""One million tasks through one coordinator: does its memory stay flat, is its journal bounded?

    python bench/soak.py [--tasks 1000000] [--policy group] [--check]

A Python client keeps a window of tasks in flight over queues; twice a second RSS of the coordinator and the journal's
bytes on disk are read. A quarter of the tasks is a quarter of the run. RSS has a plateau that is reached early: the
coordinator keeps the last `results_max` (131,072) delivered results for whoever asks again, so the first quarter of
a million fills that and the table grows no more. On disk the journal is a saw: it grows until a checkpoint is due (more
than compact_bytes, or twice the last checkpoint, since the one before), then by that one, then all before it goes.
Records: `sample`, `quarter` (medians and peaks), `gate`. Gates, with --check: RSS of the last quarter within 5 % of the
second's; the journal's peak under three times compact_bytes, and reached again and again: less than half of
what was written. Exit: 0, 1 a gate failed, 64 wrong use.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganglion.protocol.config import BY_KEY
from harness import describe_machine
from targets.journalled import TARGETS, Journalled

SAMPLE_S = 0.5
RSS_SHARE_MAX = 0.05
PEAK_MAX = 3 * int(BY_KEY["journal.compact_bytes"].default)
WRITTEN_SHARE_MAX = 0.5
KNOWN = {target.name: target for target in TARGETS}


@dataclass(frozen=True, slots=True)
class Sample:
    """The coordinator at one moment."""

    tasks: int  # done until then
    seconds: float
    rss: int  # bytes
    disk: int  # bytes of the journal on disk
    written: int  # bytes given to write(2) since the start


def emit(record: str, **values: object) -> None:
    print(json.dumps({"bench": "soak", "record": record, **values}), flush=True)


def rss_of(pid: int) -> int:
    """Resident bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def disk_of(folder: Path) -> int:
    """Bytes that the files of the journal hold on disk, reserved room included."""
    total = 0
    for path in folder.rglob("*.journal"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:  # compacted away just now
            continue
    return total


class Soak:
    """Tasks through one target, sampled on the way."""

    def __init__(self, target: Journalled, tasks: int) -> None:
        self.target = target
        self.tasks = tasks
        self.done = 0
        self.samples: list[Sample] = []
        self._over = threading.Event()
        self._start = time.monotonic()

    def run(self, size: int, window: int) -> float:
        """Put all tasks through; seconds."""
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        payload = b"x" * size

        def source() -> Iterator[bytes]:
            for _ in range(self.tasks):
                yield payload

        for _ in self.target.client.map("UPPER", source(), window=window):
            self.done += 1
        self._over.set()
        watcher.join()
        self.sample()
        return time.monotonic() - self._start

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.sample()

    def sample(self) -> None:
        pid = self.target.coordinator_pid
        io = Path(f"/proc/{pid}/io").read_text().splitlines()
        written = next(int(line[6:]) for line in io if line.startswith("wchar:"))
        now = round(time.monotonic() - self._start, 2)
        one = Sample(self.done, now, rss_of(pid), disk_of(self.target.folder), written)
        self.samples.append(one)
        emit("sample", **{name: getattr(one, name) for name in Sample.__slots__})

    def quarter(self, number: int) -> list[Sample]:
        """The samples of a quarter of the tasks, 0 to 3."""
        low, high = self.tasks * number // 4, self.tasks * (number + 1) // 4
        return [one for one in self.samples if low < one.tasks <= high]


def report(soak: Soak, check: bool) -> bool:
    """Emit the quarters, judge them; whether all gates passed."""
    rss, peaks = [], []
    for number in range(4):
        found = soak.quarter(number)
        if not found:
            print("soak: too few samples for quarters: more --tasks", file=sys.stderr)
            return False
        rss.append(statistics.median(one.rss for one in found))
        peaks.append(max(one.disk for one in found))
        figures = {
            "rss_p50": rss[-1],
            "rss_max": max(one.rss for one in found),
            "disk_max": peaks[-1],
        }
        emit("quarter", number=number + 1, samples=len(found), **figures)
    written = soak.samples[-1].written
    emit("summary", metric="bytes_per_task", unit="bytes", value=round(written / soak.tasks, 1))
    growth = rss[3] / rss[1] - 1
    gates = [("rss_growth", growth, RSS_SHARE_MAX, abs(growth) <= RSS_SHARE_MAX)]
    if soak.target.name != "none":
        peak = max(peaks)
        gates.append(("journal_peak", peak, PEAK_MAX, 0 < peak <= PEAK_MAX))
        share = peak / max(1, written)
        gates.append(
            ("journal_peak / written", share, WRITTEN_SHARE_MAX, share <= WRITTEN_SHARE_MAX)
        )
    for metric, value, limit, passed in gates:
        emit("gate", metric=metric, value=round(value, 4), limit=limit, passed=passed)
        words = f"gate {metric} at most {limit:g}: {value:.3f}: {'passed' if passed else 'FAILED'}"
        print(words, file=sys.stderr)
    return not check or all(passed for *_, passed in gates)


def main() -> int:
    parser = argparse.ArgumentParser(description="Many tasks through one coordinator.")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="how many (1000000)")
    parser.add_argument(
        "--policy", choices=list(KNOWN), default="group", help="of the journal (group)"
    )
    parser.add_argument("--size", type=int, default=32, help="payload bytes (32)")
    parser.add_argument("--window", type=int, default=1000, help="tasks in flight (1000)")
    parser.add_argument("--check", action="store_true", help="exit 1 when a gate fails")
    try:
        options = parser.parse_args()
    except SystemExit as end:
        return 64 if end.code else 0
    emit("machine", **describe_machine())
    with KNOWN[options.policy]() as target:
        target.start(options.size)
        soak = Soak(target, options.tasks)
        seconds = soak.run(options.size, options.window)
        emit(
            "summary", metric="throughput", unit="tasks/s", value=round(options.tasks / seconds, 1)
        )
        return 0 if report(soak, options.check) else 1


if __name__ == "__main__":
    sys.exit(main())
