"""``ganglion kick``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli.context import Context
from ganglion.clients.cli.each_task import for_each
from ganglion.clients.cli.exits import OK, USAGE, CommandError
from ganglion.clients.cli.options import add_json, completes, positive

HELP = """\
Bring buried tasks back with fresh tries, or make delayed ones ready now. With --action: the
oldest buried tasks of that action; prints how many."""
EXAMPLES = """\
examples:
  ganglion kick t1
  ganglion kick --action RESIZE --count 100
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("tasks", metavar="TASK", nargs="*"), "task")
    completes(
        parser.add_argument("--action", metavar="ACTION", help="buried tasks of it"), "action"
    )
    parser.add_argument("--count", type=positive, metavar="N", help="at most so many (all)")
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    if bool(args.tasks) == bool(args.action):
        raise CommandError("kick tasks, or --action ACTION (see: ganglion kick --help)", USAGE)
    if args.count and not args.action:
        raise CommandError("--count goes with --action", USAGE)
    with context.client() as client:
        if args.tasks:
            return for_each(context, args.tasks, client.kick, "kicked")
        kicked = client.kick_action(args.action, args.count)
    if args.json:
        context.out.json({"action": args.action, "kicked": kicked})
    else:
        context.out.line(str(kicked))
    return OK
