"""``ganglion resume``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli import waiting
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json, completes

HELP = """\
Hand out the tasks of an action again."""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("actions", metavar="ACTION", nargs="+"), "action")
    add_json(parser, "one JSON object for each action")


def run(args: argparse.Namespace, context: Context) -> int:
    with context.client() as client:
        for action in args.actions:
            client.resume(action)
            waiting.note_if_unserved(context, client, action, "resumed")
            if args.json:
                context.out.json({"action": action, "status": "resumed"})
    return 0
