"""``ganglion cancel``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli.context import Context
from ganglion.clients.cli.each_task import for_each
from ganglion.clients.cli.options import add_json, completes

HELP = """\
Cancel tasks. One that is not running ends at once; the agent of a running one is told to stop
and has 5 seconds."""
EXAMPLES = """\
examples:
  ganglion cancel t1 t2
  ganglion tasks --action RESIZE --state ready --names | xargs ganglion cancel
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("tasks", metavar="TASK", nargs="+"), "task")
    add_json(parser, "one JSON object for each task")


def run(args: argparse.Namespace, context: Context) -> int:
    with context.client() as client:
        return for_each(context, args.tasks, client.cancel, "cancelled")
