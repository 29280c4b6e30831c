"""``ganglion result``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ganglion.clients.cli import results
from ganglion.clients.cli.exits import OK, TRY_AGAIN, CommandError
from ganglion.clients.cli.options import add_json, completes, milliseconds

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context

HELP = """\
The result of a task that was submitted before, printed as `call` prints it. A task that has not
ended is exit code 75; with --wait it is waited for. With --late it is what an agent said of the
task when its lease was over: the task had gone to another, or had ended. The coordinator did not
apply it, but keeps it with the task."""
EXAMPLES = """\
examples:
  ganglion result report-2026-11 --wait
  ganglion result t1 --json
  ganglion result t1 --late --json
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("task", metavar="TASK"), "task")
    parser.add_argument("--late", action="store_true", help="the outcome that came too late")
    parser.add_argument("--wait", action="store_true", help="until it has ended")
    parser.add_argument("--timeout", type=milliseconds, metavar="T", help="wait at most so long")
    parser.add_argument("--raw", action="store_true", help="add no newline")
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    from ganglion.protocol.session import Outcome

    with context.client() as client:
        found = client.result(args.task, late=args.late)
        if not isinstance(found, Outcome) and (args.wait or args.timeout is not None):
            timeout = None if args.timeout is None else args.timeout / 1000
            found = client.watch_task(args.task, timeout=timeout)
    if not isinstance(found, Outcome):
        state = found.get("state", "under way")
        raise CommandError(f"task {args.task} has not ended: {state} (--wait waits)", TRY_AGAIN)
    if args.json:
        context.out.json(results.late_record(found) if args.late else results.record(found))
        context.out.flush()
    if not args.late:
        found.check()
    if not args.json:
        context.out.write(found.payload)
        ct = found.params.get("ct", "")
        context.out.write(results.ending(found.payload, ct, not args.raw))
    return OK
