"""./run crash: what the command line says, a run, and one line that sums it up."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from crash.plan import POLICIES
from crash.run import Options, Report, crash


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="./run crash",
        description="Kill a real coordinator, agents and clients under load, and compare what the clients were "
        "promised with what ran. Exit: 0, 1 when something was lost or wrong, 64 wrong use.",
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="of trouble (default 2)")
    parser.add_argument("--policy", choices=POLICIES, default="group", help="of the journal (default group); "
        "none: without one, losses are expected and their absence is a fault")  # fmt: skip
    parser.add_argument("--seed", type=int, help="of the plan; without it, one from the clock")
    parser.add_argument("--rate", type=float, default=1800.0, help="tasks a second (default 1800)")
    parser.add_argument(
        "--disk", choices=("auto", "tmpfs", "limit"), default="auto", help="a full disk is a small tmpfs, "
        "or RLIMIT_FSIZE of the coordinator (auto: tmpfs where it can be mounted)",
    )  # fmt: skip
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder with ledgers, journal and logs"
    )
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    seed = int(time.time()) % 1_000_000 if args.seed is None else args.seed
    folder = Path(tempfile.mkdtemp(prefix="ganglion-crash-"))

    def say(words: str) -> None:
        if not args.quiet:
            print(f"{time.monotonic() - began:6.1f}  {words}", file=sys.stderr, flush=True)

    began = time.monotonic()
    options = Options(args.policy, args.disk, seed, 60.0 * args.minutes, args.rate)
    try:
        report: Report = crash(options, folder, say)
    except BaseException:
        print(f"the folder is kept: {folder}", file=sys.stderr)
        raise
    if words := report.words():
        print(words, file=sys.stderr)
    print(json.dumps(report.as_json()) if args.json else report.summary(), flush=True)
    if args.keep or not report.is_good:
        print(f"the folder is kept: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
