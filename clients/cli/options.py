"""Parsing of the command line: argparse with our exit code, and the options every command has."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from ganglion.clients.cli.exits import USAGE
from ganglion.clients.cli.output import Output
from ganglion.clients.cli.units import duration_ms

# Options of the command line as a whole that take a value.
WITH_VALUE = ("-i", "--instance", "--transport", "--config", "--reconnect")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit code 64."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message} (see: {self.prog} --help)\n")
        raise SystemExit(USAGE)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:  # --help into a pager that is left early is no error
            output = Output()
            output.write(message.encode())
            output.flush()
        elif message:
            (file or sys.stderr).write(message)


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that may stand before and behind the command."""
    group = parser.add_argument_group("common options")
    quiet = argparse.SUPPRESS  # given before the command, they must survive the second parse
    group.add_argument(
        "-i",
        "--instance",
        default=quiet,
        metavar="NAME",
        help="which coordinator of this machine (GANGLION_INSTANCE, else main)",
    )
    group.add_argument("--transport", default=quiet, metavar="KIND", help="auto, mqueue or unix")
    group.add_argument(
        "--reconnect",
        type=milliseconds,
        default=quiet,
        metavar="T",
        help="wait so long for a coordinator that went away (30s); 0: do not",
    )
    group.add_argument("--config", default=quiet, metavar="FILE", help="a ganglion.toml")
    group.add_argument("-v", "--verbose", action="count", default=quiet, help="say more on stderr")
    group.add_argument(
        "-q", "--quiet", action="store_true", default=quiet, help="no notes, no progress on stderr"
    )


def add_json(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=what)


def completes(action: argparse.Action, kind: str) -> argparse.Action:
    """Tell ``ganglion completion`` what an argument is: action, task, agent, path, command..."""
    action.completes = kind  # type: ignore[attr-defined]
    return action


def milliseconds(text: str) -> int:
    """argparse type of a duration: 500ms, 10s, 5m, 2h, 1d; a bare number is seconds."""
    try:
        return duration_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def durations(text: str) -> list[int]:
    """argparse type of durations with commas, in ms."""
    return [milliseconds(part) for part in text.split(",")]


def positive(text: str) -> int:
    """argparse type of a whole number of 1 or more."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def words(text: str) -> list[str]:
    """argparse type of a list with commas."""
    return [word for word in text.split(",") if word]


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """The options before the command, and the command with all behind it.

    >>> split(["-v", "-i", "x", "call", "--json", "UPPER"])
    (['-v', '-i', 'x'], ['call', '--json', 'UPPER'])
    """
    at = 0
    while at < len(argv) and argv[at].startswith("-") and argv[at] != "--":
        at += 2 if argv[at] in WITH_VALUE else 1
    return argv[:at], argv[at:]
