"""``ganglion bury``: the tasks that were given up, and what is to become of them."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING

from ganglion.clients.cli import peek, tasks
from ganglion.clients.cli.each_task import for_each
from ganglion.clients.cli.exits import OK, USAGE, CommandError
from ganglion.clients.cli.options import add_json, completes, positive
from ganglion.clients.cli.table import Column, render

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client

HELP = """\
Tasks that were given up lie buried, with the reason, until somebody decides:
  list          which they are, and why (--action: of this action)
  show TASK     all about one
  kick TASK..   bring them back with fresh tries; --edit: with another payload
  purge TASK..  forget them for good
kick and purge take --action ACTION in place of tasks, and with --count N its N oldest; then
they print how many it were."""
EXAMPLES = """\
examples:
  ganglion bury list --action RESIZE
  ganglion bury show photo-17
  ganglion bury kick photo-17 --edit '{"file": "17.png", "width": 200}'
  ganglion bury kick --action RESIZE --count 100
  ganglion bury purge --action RESIZE
"""
WHAT = ("list", "show", "kick", "purge")
COLUMNS = (
    Column("TASK", flexible=True), Column("ACTION", flexible=True), Column("REASON"),
    Column("TRY", right=True), Column("WORDS", flexible=True),
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", choices=WHAT, help=", ".join(WHAT))
    completes(parser.add_argument("tasks", metavar="TASK", nargs="*"), "task")
    completes(
        parser.add_argument("--action", metavar="ACTION", help="buried tasks of it"), "action"
    )
    parser.add_argument("--count", type=positive, metavar="N", help="its N oldest (all)")
    parser.add_argument("--edit", metavar="PAYLOAD", help="kick one with this payload (-: stdin)")
    parser.add_argument("--ct", metavar="TYPE", help="what the payload of --edit is: json, text...")
    parser.add_argument(
        "--limit", type=positive, default=tasks.LIMIT, metavar="N", help="list at most so many"
    )
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    if problem := misuse(args):
        raise CommandError(f"{problem} (see: ganglion bury --help)", USAGE)
    with context.client() as client:
        if args.what == "list":
            return listing(args, context, client)
        if args.what == "show":
            return show(args, context, client)
        if args.edit is not None:
            return edit(args, context, client)
        if args.what == "kick" and args.tasks:
            return for_each(context, args.tasks, client.kick, "kicked")
        if args.tasks:
            return for_each(context, args.tasks, client.purge, "purged")
        done = (client.kick_action if args.what == "kick" else client.purge_action)(
            args.action, args.count
        )
    if args.json:
        word = "kicked" if args.what == "kick" else "purged"
        context.out.json({"action": args.action, word: done})
    else:
        context.out.line(str(done))
    return OK


def misuse(args: argparse.Namespace) -> str:
    """What is wrong with the command line, or nothing."""
    if args.what == "list":
        return "list takes no task" if args.tasks else ""
    if args.what == "show":
        return "" if len(args.tasks) == 1 else "show one task"
    if args.edit is not None and (args.what != "kick" or len(args.tasks) != 1):
        return "--edit goes with kick and one task"
    if args.ct and args.edit is None:
        return "--ct goes with --edit"
    if bool(args.tasks) == bool(args.action):
        return f"{args.what} tasks, or --action ACTION"
    return "--count goes with --action" if args.count and not args.action else ""


def listing(args: argparse.Namespace, context: Context, client: Client) -> int:
    found = client.tasks("buried", args.action)
    rows = islice(found, args.limit)
    if args.json:
        for row in rows:
            context.out.json(row)
    else:
        cells = [
            [
                str(row["task"]), str(row["action"]), str(row.get("reason") or ""),
                tasks.tries(row), str(row.get("words", "")).split("\n")[0],
            ]
            for row in rows
        ]  # fmt: skip
        lines = render(COLUMNS, cells, context.width, context.colour, {})
        context.out.write("".join(f"{line}\n" for line in lines).encode())
    context.out.flush()
    if next(found, None) is not None:
        context.note(f"there are more than {args.limit} buried tasks: --limit shows more")
    return OK


def show(args: argparse.Namespace, context: Context, client: Client) -> int:
    found = client.peek(args.tasks[0])
    if found.get("state") != "buried":
        context.note(f"{args.tasks[0]} is {found.get('state')}, not buried")
    if args.json:
        context.out.json(found)
    else:
        for line in peek.lines(found, context.colour, time.time()):
            context.out.line(line)
    return OK


def edit(args: argparse.Namespace, context: Context, client: Client) -> int:
    payload = sys.stdin.buffer.read() if args.edit == "-" else args.edit.encode()
    options = {"ct": args.ct} if args.ct else {}

    def one(task: str) -> None:
        client.kick_edited(task, payload, **options)

    return for_each(context, args.tasks, one, "kicked")
