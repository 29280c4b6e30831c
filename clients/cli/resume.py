"""``ganglion resume``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli import pause
from ganglion.clients.cli.context import Context

HELP = """\
Hand out the tasks of an action again."""

arguments = pause.arguments


def run(args: argparse.Namespace, context: Context) -> int:
    return pause.for_each(args, context, "resume", "resumed")
