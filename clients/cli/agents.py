"""``ganglion agents``."""

from __future__ import annotations

import argparse
from typing import Any

from ganglion.clients.cli import units
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json
from ganglion.clients.cli.table import Column, render

HELP = "List agents: what they serve, how busy they are, when they were last heard of."
COLUMNS = (
    Column("AGENT", flexible=True), Column("ACTIONS", flexible=True), Column("BUSY", right=True),
    Column("DONE", right=True), Column("FAILED", right=True), Column("HEARD", right=True),
    Column("STATE"),
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser, "one JSON object a line")


def run(args: argparse.Namespace, context: Context) -> int:
    with context.client() as client:
        rows = [row for row in client.agents() if row.get("actions")]
    if args.json:
        for row in rows:
            context.out.json(row)
        return 0
    for line in table(rows, context.width, context.colour):
        context.out.line(line)
    if not rows:
        context.note("no agents; start one with: ganglion serve UPPER -- tr a-z A-Z")
    return 0


def table(rows: list[dict[str, Any]], width: int | None, colour: bool) -> list[str]:
    """The lines that are printed."""
    cells = [
        [
            str(row.get("name", "")),
            ",".join(row.get("actions", ())),
            f"{row.get('used', 0)}/{row.get('slots', 0)}",
            units.count(int(row.get("done", 0))),
            units.count(int(row.get("failed", 0))),
            heard(row),
            "suspect" if row.get("suspect") else "draining" if row.get("draining") else "",
        ]
        for row in rows
    ]
    return render(COLUMNS, cells, width, colour, {"draining": "yellow", "suspect": "red"})


def heard(row: dict[str, Any]) -> str:
    """How long ago it was last heard of."""
    age_ms = row.get("age_ms")
    return "" if age_ms is None else units.duration(int(age_ms) / 1000)
