"""How many messages a second one core parses and formats: in C, and through Python.

    python bench/wire.py [--seconds S] [--no-c]

stdout: JSON lines, each with `bench`, `record`, `target` (c or python), `metric`, `batch` (1, 100
or 8KiB: as many lines as fit a datagram), `messages` a batch, `line_bytes`, `messages_per_s`,
`bytes_per_s`. A figure is the best of five rounds: what the code costs when nothing disturbs it.
The C figures come from `make -C csrc bench-wire`. Exit: 0; 1 when that cannot be built or run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ganglion.protocol import Message, StreamParser, format_batch, parse_batch
from harness import describe_machine

ROUNDS = 5
DATAGRAM_BYTES = 8192
CSRC = Path(__file__).resolve().parents[1] / "csrc"
LINES = (  # the same as in csrc/tests/bench_wire.c
    b"DATA:UPPER:t1:hello\n",
    b"DATA:QUERY:task_id_42;prio=9;from=client-1;lease=30000:"
    b'{"query": "Find relevant documents for AI"}\n',
    b'RESPONSE:TASK_COMPLETED:task_id_42;token=18446744073709551615:{"answer": 42}\n',
)


def read_fields(data: bytes) -> None:
    for message in parse_batch(data):
        _ = message.type, message.action, message.task, message.payload


def read_params(data: bytes) -> None:
    for message in parse_batch(data):
        _ = message.params


def stream(data: bytes) -> None:
    StreamParser().feed(data)


def jobs(data: bytes) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is measured over a batch: a name and a call."""
    made = [Message(m.type, m.action, m.task, m.params, m.payload) for m in parse_batch(data)]
    yield "parse", lambda: parse_batch(data)
    yield "parse_and_fields", lambda: read_fields(data)
    yield "parse_and_params", lambda: read_params(data)
    yield "stream", lambda: stream(data)
    yield "format", lambda: format_batch(made)


def best_rate(run: Callable[[], object], seconds: float) -> float:
    """Calls a second, the best of ROUNDS rounds of `seconds` in all."""
    best = 0.0
    for _ in range(ROUNDS):
        calls, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds / ROUNDS:
            for _ in range(16):
                run()
            calls += 16
        best = max(best, calls / spent)
    return best


def measure_python(seconds: float) -> None:
    for line in LINES:
        for name, count in ("1", 1), ("100", 100), ("8KiB", DATAGRAM_BYTES // len(line)):
            for metric, run in jobs(line * count):
                rate = best_rate(run, seconds) * count
                record = {
                    "bench": "wire",
                    "record": "measurement",
                    "target": "python",
                    "metric": metric,
                    "batch": name,
                    "messages": count,
                    "line_bytes": len(line),
                    "messages_per_s": round(rate),
                    "bytes_per_s": round(rate * len(line)),
                }
                print(json.dumps(record), flush=True)


def measure_c() -> int:
    command = ["make", "-s", "-C", str(CSRC), "bench-wire"]
    try:
        return subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        print("make is not installed: no figures for C", file=sys.stderr)
        return 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Parse and format throughput of the wire codec.")
    parser.add_argument("--seconds", type=float, default=0.25, help="for each figure (0.25)")
    parser.add_argument("--no-c", action="store_true", help="only Python's figures")
    options = parser.parse_args()
    print(json.dumps({"bench": "wire", "record": "machine", **describe_machine()}), flush=True)
    broken = 0 if options.no_c else measure_c()
    measure_python(options.seconds)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
