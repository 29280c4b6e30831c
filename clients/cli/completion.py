"""``ganglion completion``: scripts for shells, made from the parsers themselves."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ganglion.clients.cli.commands import COMMANDS, load
from ganglion.clients.cli.exits import OK, USAGE, CommandError
from ganglion.clients.cli.options import completes

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context

HELP = """\
Print a completion script. Names of actions, tasks and agents are asked of the coordinator while
you type, for at most 300 ms."""
EXAMPLES = """\
to use it now:              in every shell:
  source <(ganglion completion bash)   ganglion completion bash > /etc/bash_completion.d/ganglion
  source <(ganglion completion zsh)    ganglion completion zsh > "${fpath[1]}/_ganglion"
  ganglion completion fish | source    ganglion completion fish > ~/.config/fish/completions/ganglion.fish
"""
SHELLS = ("bash", "zsh", "fish")
ASKED = ("action", "task", "agent")  # kinds that the coordinator knows
LIMIT_S = 0.3
NAMES_MAX = 500


class Option(NamedTuple):
    """``value``: "" takes none, a kind (action, task, path...), "words a b" or "any"."""

    flags: tuple[str, ...]
    value: str
    help: str


class Spec(NamedTuple):
    """One command: its options, and what its arguments are."""

    name: str
    help: str
    options: tuple[Option, ...]
    argument: str


class _TooLateError(Exception):
    """The shell waits for us."""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("shell", nargs="?", choices=SHELLS, metavar="SHELL"), "shell")
    parser.add_argument("--list", choices=ASKED, metavar="KIND", help=argparse.SUPPRESS)


def run(args: argparse.Namespace, context: Context) -> int:
    if args.list:
        for name in _names(args.list, context):
            context.out.line(name)
        return OK
    if not args.shell:
        raise CommandError(f"for which shell? {', '.join(SHELLS)}", USAGE)
    from ganglion.clients.cli import completion_scripts

    context.out.write(completion_scripts.script(args.shell, specs(), common()).encode())
    return OK


def specs() -> list[Spec]:
    """Every command, read off its parser."""
    from ganglion.clients.cli.main import command_parser

    found = []
    for name, command in COMMANDS.items():
        parser = command_parser(name, load(name))
        positional = [a for a in parser._actions if not a.option_strings]
        kind = _value(positional[0]) if positional else ""
        found.append(Spec(name, command.help, _options(parser._actions), kind))
    return found


def common() -> tuple[Option, ...]:
    """The options before the command."""
    from ganglion.clients.cli.main import top_parser

    return _options(top_parser()._actions)


def _options(actions: Iterable[argparse.Action]) -> tuple[Option, ...]:
    return tuple(
        Option(tuple(a.option_strings), "" if a.nargs == 0 else _value(a), a.help or "")
        for a in actions
        if a.option_strings and a.help != argparse.SUPPRESS
    )


def _value(action: argparse.Action) -> str:
    kind = getattr(action, "completes", "")
    if action.choices:
        return " ".join(["words", *map(str, action.choices)])
    if kind == "command":
        return " ".join(["words", *COMMANDS])
    return kind or "any"


def _names(kind: str, context: Context) -> list[str]:
    """What the coordinator knows; nothing when it does not answer in time."""
    from ganglion.protocol.errors import GanglionError

    def too_late(*_: Any) -> None:
        raise _TooLateError

    signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        with context.client(timeout=LIMIT_S, reconnect=0) as client:
            if kind == "action":
                return sorted(client.status().get("actions", {}))
            rows, key = (client.agents(), "name") if kind == "agent" else (client.tasks(), "task")
            return [str(row[key]) for row in islice(rows, NAMES_MAX)]
    except (GanglionError, _TooLateError):
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
