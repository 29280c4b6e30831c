"""``ganglion serve``: any command as an agent. The daemon's side of it is run in our place."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from ganglion.clients.cli.exits import USAGE, CommandError
from ganglion.clients.cli.options import Parser, add_common, completes, positive

HELP = """\
Serve an action with a command: each task runs it once, the payload on its standard input, the
result from its standard output. Runs in the foreground until Ctrl-C or SIGTERM; tasks under way
are finished first.

Exit status 0 completes the task; 75 gives it back; 100 buries it; any other fails it with the
last line of standard error. The command sees GANGLION_ACTION, GANGLION_TASK and GANGLION_TRY."""
EXAMPLES = """\
examples:
  ganglion serve UPPER -- tr a-z A-Z
  ganglion serve THUMBNAIL -j 4 -- convert - -resize 200x200 png:-
  ganglion serve COUNT,TALLY -- wc -l
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "ganglion serve [options] ACTION[,ACTION...] -- CMD [ARG ...]"
    completes(parser.add_argument("actions", metavar="ACTION[,ACTION...]"), "action")
    parser.add_argument("-j", "--jobs", type=positive, metavar="N", help="tasks at a time (1)")


def run_raw(argv: list[str], common: argparse.Namespace) -> int:
    """Become ``gangliond serve`` with what was given."""
    parser = Parser(prog="ganglion serve", description=HELP, epilog=EXAMPLES)
    arguments(parser)
    add_common(parser)
    at = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_args(argv[:at], argparse.Namespace(**vars(common)))
    command = argv[at + 1 :]
    if not command:
        raise CommandError("give the command behind --: ganglion serve UPPER -- tr a-z A-Z", USAGE)
    daemon = find_daemon()
    os.execv(daemon[0], [*daemon, *daemon_arguments(args, command)])
    return 0


def daemon_arguments(args: argparse.Namespace, command: list[str]) -> list[str]:
    """The command line of gangliond."""
    flags = ["serve"]
    for name, flag in (("instance", "-i"), ("transport", "--transport"), ("config", "--config"),
                       ("jobs", "--jobs")):  # fmt: skip
        value = getattr(args, name, None)
        if value is not None:
            flags += [flag, str(value)]
    flags += ["-v"] if getattr(args, "verbose", 0) else []
    flags += ["-q"] if getattr(args, "quiet", False) else []
    return [*flags, args.actions, "--", *command]


def find_daemon() -> list[str]:
    """``gangliond`` beside this program or this Python, else its module."""
    for program in (sys.argv[0], sys.executable):
        beside = os.path.join(os.path.dirname(os.path.abspath(program)), "gangliond")
        if os.access(beside, os.X_OK):
            return [beside]
    found = shutil.which("gangliond")
    return [found] if found else [sys.executable, "-m", "ganglion.daemons.main"]
