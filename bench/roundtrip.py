"""One task to a worker and back: Ganglion, the floor under it and its peer, in one run.

    python bench/roundtrip.py --targets mqueue_raw,gearman,ganglion

Microseconds for a round trip with one task in flight, tasks per second with a window of them in
flight. JSON lines on stdout, a table on stderr; README.md explains the figures.

A program run by its path has its folder on sys.path, so `harness` and `targets` are found beside
this file; no file in bench/ touches sys.path.
"""

from __future__ import annotations

import sys

from harness import Gate, parse_options, run_bench

TARGETS = "mqueue_raw,gearman,ganglion"
GATES = (
    Gate("ganglion", "throughput", 40_000, at_least=True),
    Gate("ganglion", "roundtrip", 150, at_least=False),
)

if __name__ == "__main__":
    options = parse_options(sys.argv[1:], "Round trips of one task and tasks per second.", TARGETS)
    sys.exit(run_bench("roundtrip", options, GATES))
