"""``ganglion help [COMMAND]``."""

from __future__ import annotations

import argparse

from ganglion.clients.cli.commands import COMMANDS, load
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.exits import USAGE, CommandError
from ganglion.clients.cli.options import completes


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("command", nargs="?", help="a command"), "command")


def run(args: argparse.Namespace, context: Context) -> int:
    from ganglion.clients.cli import main

    name = args.command
    if name is None:
        main.top_parser().print_help()
        return 0
    if name not in COMMANDS:
        raise CommandError(f"no command is called {name!r} (see: ganglion --help)", USAGE)
    main.command_parser(name, load(name)).print_help()
    return 0
