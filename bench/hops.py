"""The data plane alone: client, coordinator and echo agent in C, four queue hops, no Python on the path.

    python bench/hops.py [--seconds 1] [--rounds 3] [--size 32] [--window 1000]

Microseconds of a round trip with one task in flight (p50, p99, nearest-rank), tasks per second with a window
of them. JSON lines on stdout. bench/roundtrip.py less this is what the Python of client and agent costs.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

from targets.base import (
    BENCH,
    BUILD,
    TargetError,
    find_compiler,
    measure,
    parse_roundtrips,
    parse_throughput,
)

ROOT = BENCH.parent


def build() -> Path:
    """Compile bench/c/hops.c with all of csrc/src unless the program is newer than both."""
    program = BUILD / "hops"
    sources = [BENCH / "c" / "hops.c", *sorted((ROOT / "csrc" / "src").glob("*/*.c"))]
    inputs = [*sources, *(ROOT / "csrc").glob("**/*.h")]
    newest = max(path.stat().st_mtime for path in inputs)
    if program.exists() and program.stat().st_mtime > newest:
        return program
    BUILD.mkdir(parents=True, exist_ok=True)
    includes = [f"-I{ROOT / 'csrc' / name}" for name in ("include", "src")]
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", *includes]
    command = [find_compiler(), *flags, *map(str, sources), "-o", str(program)]
    done = subprocess.run(
        [*command, "-lrt", "-lpthread", "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise TargetError(f"hops.c does not compile:\n{done.stderr}")
    return program


def rank(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of sorted samples."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Round trips through the C data plane alone.")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured per round and metric")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=32, help="payload bytes, at most 1500")
    parser.add_argument("--window", type=int, default=1000, help="tasks in flight")
    options = parser.parse_args()
    program, size, seconds = build(), str(options.size), str(options.seconds)
    rates: list[float] = []
    samples: list[float] = []
    for _ in range(options.rounds):
        samples += parse_roundtrips(measure(options.seconds, program, "roundtrip", seconds, size))
        text = measure(options.seconds, program, "throughput", seconds, size, str(options.window))
        rates.append(parse_throughput(text))
    samples.sort()
    common = {"bench": "hops", "record": "summary", "target": "data_plane", "size": options.size}
    roundtrip = {"p50": rank(samples, 0.5), "p99": rank(samples, 0.99), "samples": len(samples)}
    print(json.dumps({**common, "metric": "roundtrip", "unit": "us", **roundtrip}))
    value = statistics.median(rates)
    print(json.dumps({**common, "metric": "throughput", "unit": "tasks/s", "value": value}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
