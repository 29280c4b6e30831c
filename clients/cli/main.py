"""Entry point of ``ganglion``: find the command, run it, turn errors into one line and a code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import ModuleType
from typing import Any

from ganglion.clients.cli import exits
from ganglion.clients.cli.commands import COMMANDS, GROUPS, load
from ganglion.clients.cli.context import Context, say
from ganglion.clients.cli.options import Parser, add_common, split

EPILOG = """\
Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 the task
failed, 64 wrong use, 69 no coordinator, 74 the result cannot be written, 75 try
again, 130 Ctrl-C.
GANGLION_INSTANCE and GANGLION_RUNTIME_DIR choose the coordinator.

examples:
  ganglion serve UPPER -- tr a-z A-Z      in one shell, and in another:
  echo hello | ganglion call UPPER
  seq 100000 | ganglion call UPPER --each
  printf 'DATA:UPPER:t1:hello\\n' | ganglion send
  ganglion ingest docs/ && ganglion ask "How do I configure it?"
"""


class _Terminated(BaseException):
    """SIGTERM or SIGHUP: leave through every ``with``, so that queues are removed."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def listing() -> str:
    """Every command with its line of help, in groups."""
    lines = []
    for group, title in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {n:<12}{c.help}" for n, c in COMMANDS.items() if c.group == group]
    return "\n".join(lines)


def top_parser() -> Parser:
    parser = Parser(
        prog="ganglion",
        usage="ganglion [common options] COMMAND [arguments]",
        description="Talk to a Ganglion coordinator: give it work, look, steer.\n\n" + listing(),
        epilog=EPILOG,
    )
    add_common(parser)
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


def command_parser(name: str, module: ModuleType) -> Parser:
    """The parser of one command."""
    text = COMMANDS[name].help
    parser = Parser(
        prog=f"ganglion {name}",
        description=getattr(module, "HELP", text[0].upper() + text[1:] + "."),
        epilog=getattr(module, "EXAMPLES", None),
    )
    module.arguments(parser)
    add_common(parser)
    return parser


def run(argv: list[str]) -> int:
    """Run a command line; returns its exit code. Errors that are expected become one line."""
    try:
        return _run(argv)
    except exits.OutputClosed:
        return exits.OK  # `| head -3` has what it wanted
    except KeyboardInterrupt:
        return _interrupted("")
    except exits.InterruptedCommand as error:
        return _interrupted(str(error))
    except Exception as error:
        if os.environ.get("GANGLION_DEBUG") == "1":
            raise
        status = exits.status_of(error)
        if status is not None:
            say(exits.words_of(error))
            return status
        hint = "this is a bug of ours: GANGLION_DEBUG=1 shows where"
        say(f"{type(error).__name__}: {exits.words_of(error)} ({hint})")
        return exits.BROKEN


def _interrupted(words: str) -> int:
    if words:
        say(words)
    return exits.INTERRUPTED


def _run(argv: list[str]) -> int:
    head, tail = split(argv)
    common = top_parser().parse_args(head)
    if common.version:
        tail = ["version"]
    if not tail:
        top_parser().print_help(sys.stderr)
        return exits.USAGE
    name = tail[0]
    if name not in COMMANDS:
        raise exits.CommandError(f"no command is called {name!r}{_near(name)}", exits.USAGE)
    module = load(name)
    if hasattr(module, "run_raw"):  # serve: all behind the command belongs to another program
        return int(module.run_raw(tail[1:], common))
    args = parse(name, module, tail[1:], _copy(common))
    context = Context(args)
    status = int(module.run(args, context))
    context.out.flush()
    return status


def parse(name: str, module: ModuleType, argv: list[str], common: argparse.Namespace) -> Any:
    """The arguments of a command."""
    parser = command_parser(name, module)
    if hasattr(module, "WHAT"):  # a word, then a list: options may stand between the two
        return parser.parse_intermixed_args(argv, common)
    return parser.parse_args(argv, common)


def _copy(common: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**{k: v for k, v in vars(common).items() if k != "version"})


def _near(name: str) -> str:
    """A command that looks like what was typed."""
    import difflib

    found = difflib.get_close_matches(name, COMMANDS, 1)
    return f"; did you mean {found[0]}?" if found else " (see: ganglion --help)"


def _open_standard_descriptors() -> None:
    """With one of them closed (``<&-``) the first queue that is opened would take its number."""
    for fd, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is this one. Writing to 1 is then the error that it was.
            os.open(os.devnull, mode)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _terminate(number: int, _frame: object) -> None:
    raise _Terminated(number)


def main() -> int:
    """The program: ``ganglion`` in the shell."""
    _open_standard_descriptors()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _terminate)
    try:
        return run(sys.argv[1:])
    except _Terminated as stop:
        return 128 + stop.number


if __name__ == "__main__":
    sys.exit(main())
