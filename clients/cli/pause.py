"""``ganglion pause``, and the common part of ``ganglion resume``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli import waiting
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json, completes

HELP = """\
Hand out no task of an action until `ganglion resume`.
Tasks are still accepted; those that run go on."""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("actions", metavar="ACTION", nargs="+"), "action")
    add_json(parser, "one JSON object for each action")


def run(args: argparse.Namespace, context: Context) -> int:
    return for_each(args, context, "pause", "paused")


def for_each(args: argparse.Namespace, context: Context, method: str, status: str) -> int:
    """Call this method of the client for every action, and say what became of it."""
    with context.client() as client:
        for action in args.actions:
            getattr(client, method)(action)
            waiting.note_if_unserved(context, client, action, status)
            if args.json:
                context.out.json({"action": action, "status": status})
    return 0
