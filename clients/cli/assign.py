"""``ganglion assign``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json, completes

HELP = """\
Hand a ready or delayed task to an agent now, past the queue. The agent must serve the task's
action and have a free slot."""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("task", metavar="TASK"), "task")
    completes(parser.add_argument("agent", metavar="AGENT"), "agent")
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    with context.client() as client:
        client.assign(args.task, args.agent)
    if args.json:
        context.out.json({"task": args.task, "agent": args.agent, "status": "assigned"})
    return 0
