"""``ganglion tasks``."""

from __future__ import annotations

import argparse
from itertools import islice
from typing import Any

from ganglion.clients.cli import units
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json, completes, positive
from ganglion.clients.cli.table import STATE_COLOURS, Column, render

HELP = "List tasks in the order in which they were accepted."
EXAMPLES = """\
examples:
  ganglion tasks --state buried
  ganglion tasks --action RESIZE --names | xargs ganglion cancel
  ganglion tasks --json --limit 100000 > tasks.jsonl
"""
STATES = ("waiting", "delayed", "ready", "leased", "cancelling", "done", "buried", "cancelled")
COLUMNS = (
    Column("TASK", flexible=True), Column("ACTION", flexible=True), Column("STATE"),
    Column("PRIO", right=True), Column("TRY", right=True), Column("AGENT", flexible=True),
    Column("NOTE", flexible=True),
)  # fmt: skip
LIMIT = 1000


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", choices=STATES, metavar="STATE", help=", ".join(STATES))
    completes(parser.add_argument("--action", metavar="ACTION", help="of this action"), "action")
    parser.add_argument(
        "--limit", type=positive, default=LIMIT, metavar="N", help=f"at most so many ({LIMIT})"
    )
    parser.add_argument("--names", action="store_true", help="names only, one a line")
    add_json(parser, "one JSON object a line")


def run(args: argparse.Namespace, context: Context) -> int:
    with context.client() as client:
        found = client.tasks(args.state, args.action)
        rows = islice(found, args.limit)
        if args.json or args.names:
            for row in rows:
                context.out.json(row) if args.json else context.out.line(row["task"])
        else:
            listed = list(rows)
            lines = table(listed, context.width, context.colour)
            context.out.write("".join(f"{line}\n" for line in lines).encode())
        context.out.flush()
        if next(found, None) is not None:
            context.note(f"there are more than {args.limit} tasks: --limit shows more")
    return 0


def table(rows: list[dict[str, Any]], width: int | None, colour: bool) -> list[str]:
    """The lines that are printed."""
    cells = [
        [
            str(row.get("task", "")), str(row.get("action", "")), str(row.get("state", "")),
            str(row.get("prio", "")), tries(row), str(row.get("agent") or ""), note(row),
        ]
        for row in rows
    ]  # fmt: skip
    return render(COLUMNS, cells, width, colour, STATE_COLOURS)


def tries(row: dict[str, Any]) -> str:
    """``1/3``: which try of how many."""
    used, most = row.get("try", row.get("tries_used")), row.get("tries", row.get("tries_max"))
    return f"{used}/{most}" if used is not None and most is not None else str(used or most or "")


def note(row: dict[str, Any]) -> str:
    """Why, or when: what else is worth a look."""
    parts = [str(row["reason"])] if row.get("reason") else []
    if row.get("size"):
        parts.append(units.size(row["size"]))
    return " ".join(parts)
