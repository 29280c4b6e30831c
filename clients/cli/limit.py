"""``ganglion limit``: how fast tasks are handed out, and how many at a time."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli.exits import FAILED, OK, USAGE, CommandError
from ganglion.clients.cli.options import add_json, positive
from ganglion.clients.cli.table import Column, render
from ganglion.clients.cli.units import count

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client

HELP = """\
Limits on actions, senders and labels, live:
  list              which there are, and what runs and waits under each
  set LIMIT         what is given holds from now on, also for tasks that wait already;
                    what is not given is not limited any more
  remove LIMIT..    not limited any more

LIMIT is action:NAME, sender:NAME (the client that submitted) or label:NAME (of `ganglion call
--label`). A task under several limits runs when all of them have room; the others of its
action pass. Limits outlive the coordinator as tasks do."""
EXAMPLES = """\
examples:
  ganglion limit set label:openai --rate 2.5 --burst 10
  ganglion limit set action:EMBED --running 4
  ganglion limit list
  ganglion limit remove label:openai
"""
WHAT = ("list", "set", "remove")
BOUNDS = ("rate", "burst", "running")
COLUMNS = (
    Column("LIMIT", flexible=True), Column("RATE", right=True), Column("BURST", right=True),
    Column("TOKENS", right=True), Column("AT MOST", right=True), Column("RUNNING", right=True),
    Column("HELD BACK", right=True),
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", choices=WHAT, help=", ".join(WHAT))
    parser.add_argument("limits", metavar="LIMIT", nargs="*", help="like label:openai")
    parser.add_argument("--rate", metavar="N", help="tasks handed out a second, such as 0.5")
    parser.add_argument(
        "--burst", type=positive, metavar="N", help="how many at once after a rest (1)"
    )
    parser.add_argument("--running", type=positive, metavar="N", help="how many at a time")
    add_json(parser, "one JSON object a line")


def run(args: argparse.Namespace, context: Context) -> int:
    if problem := misuse(args):
        raise CommandError(f"{problem} (see: ganglion limit --help)", USAGE)
    if args.what == "set":
        return put(args, context)
    targets = [target(text) for text in args.limits]
    with context.client() as client:
        if args.what == "list":
            return listing(args, context, client)
        return remove(args, context, client, targets)


def misuse(args: argparse.Namespace) -> str:
    """What is wrong with the command line, or nothing."""
    given = [f"--{name}" for name in BOUNDS if getattr(args, name) is not None]
    if args.what == "set":
        if len(args.limits) != 1:
            return "set one limit"
        return "" if given else "set at least one of --rate and --running"
    if given:
        return f"{given[0]} goes with set"
    if args.what == "list":
        return "list takes no limit" if args.limits else ""
    return "" if args.limits else "which limit is to be removed?"


def target(text: str) -> tuple[str, str]:
    """``kind:name`` as these two.

    Raises:
        UsageError: it is not so.
    """
    from ganglion.protocol.limits import parse

    limit = parse(text, "", "command line")
    return limit.kind, limit.name


def put(args: argparse.Namespace, context: Context) -> int:
    from ganglion.protocol.limits import parse

    given = {name: value for name in BOUNDS if (value := getattr(args, name)) is not None}
    words = " ".join(f"{name}={value}" for name, value in given.items())
    limit = parse(args.limits[0], words, "command line")
    bounds = {name: getattr(limit, name) for name in given}
    with context.client() as client:
        client.limit(limit.kind, limit.name, **bounds)
    if args.json:
        context.out.json({limit.kind: limit.name, **bounds, "status": "set"})
    return OK


def remove(
    args: argparse.Namespace, context: Context, client: Client, targets: list[tuple[str, str]]
) -> int:
    known = {named(row) for row in client.limits()}
    status = OK
    for kind, name in targets:
        found = (kind, name) in known
        if found:
            client.limit(kind, name)
        else:
            context.note(f"there is no limit on {kind}:{name}")
            status = FAILED
        if args.json:
            context.out.json({kind: name, "status": "removed" if found else "unknown"})
    return status


def named(row: dict[str, Any]) -> tuple[str, str]:
    """What a limit is on."""
    return next((kind, row[kind]) for kind in ("action", "sender", "label") if kind in row)


def listing(args: argparse.Namespace, context: Context, client: Client) -> int:
    rows = list(client.limits())
    if args.json:
        for row in rows:
            context.out.json(row)
        return OK
    for line in table(rows, context.width, context.colour):
        context.out.line(line)
    if not rows:
        context.note("no limits; set one with: ganglion limit set label:NAME --running 2")
    return OK


def table(rows: list[dict[str, Any]], width: int | None, colour: bool) -> list[str]:
    """The lines that are printed."""
    cells = [
        [
            ":".join(named(row)),
            f"{row['rate']:g}/s" if row.get("rate") else "",
            count(row["burst"]) if row.get("rate") else "",
            count(row["level"]) if row.get("rate") else "",
            count(row["running"]) if row.get("running") else "",
            count(row.get("now", 0)),
            count(row.get("parked", 0)),
        ]
        for row in rows
    ]
    return render(COLUMNS, cells, width, colour)
