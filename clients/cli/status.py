"""``ganglion status``."""

from __future__ import annotations

import argparse
from typing import Any

from ganglion.clients.cli import units
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json
from ganglion.clients.cli.table import Column, paint, render

HELP = """\
The coordinator at a glance: tasks by action and state, agents, and every table with its bound
(-v: all of them, else those that are used)."""
STATES = ("waiting", "delayed", "ready", "leased", "done", "buried")
FULL = 0.8  # a table this full is worth a colour


def arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    with context.client() as client:
        found = client.status()
        transport = client.transport
        seconds = client.ping()
    if args.json:
        context.out.json(found)
        return 0
    words = f"{context.config.instance.name} over {transport}, round trip {units.duration(seconds)}"
    for line in lines(found, words, context):
        context.out.line(line)
    return 0


def lines(found: dict[str, Any], words: str, context: Context) -> list[str]:
    """The page that is printed."""
    state = "draining" if found.get("draining") else "serving"
    tone = "yellow" if found.get("draining") else "green"
    page = [
        f"instance {words}",
        f"{paint(state, tone, context.colour)}, version {found.get('version', '?')}, "
        f"epoch {found.get('epoch', '?')}, journal {found.get('journal', 'none')}",
        "",
    ]
    page += alarms(found, context.colour)
    page += actions(found, context.width, context.colour)
    table = gauges(found, bool(context.verbose), context.width, context.colour)
    return [*page, "", *table] if len(table) > 1 else page


def alarms(found: dict[str, Any], colour: bool) -> list[str]:
    """A line for each alarm, and a blank one behind them."""
    rows = [
        f"{paint('ALARM', 'red', colour)} {alarm['alarm']}: {alarm.get('words', '')}"
        for alarm in found.get("alarms", ())
    ]
    return [*rows, ""] if rows else []


def actions(found: dict[str, Any], width: int | None, colour: bool) -> list[str]:
    """A row for each action."""
    columns = [Column("ACTION", flexible=True), Column("AGENTS", right=True)]
    columns += [Column(state.upper(), right=True) for state in STATES]
    columns.append(Column(""))
    rows = []
    for action, counts in sorted(found.get("actions", {}).items()):
        row = [action, str(counts.get("agents", 0))]
        row += [units.count(int(counts.get(state, 0))) for state in STATES]
        rows.append([*row, _note(counts)])
    if not rows:
        return ["no actions yet"]
    return render(columns, rows, width, colour, {"paused": "yellow", "no agent": "red"})


def _note(counts: dict[str, Any]) -> str:
    if counts.get("paused"):
        return "paused"
    waiting = any(counts.get(state) for state in ("ready", "delayed", "waiting"))
    return "no agent" if waiting and not counts.get("agents") else ""


def gauges(found: dict[str, Any], every: bool, width: int | None, colour: bool) -> list[str]:
    """A row for each table that is used: its value, its bound, how full; ``every``: all gauges."""
    rows = []
    for name, gauge in found.get("gauges", {}).items():
        value, bound = int(gauge["value"]), int(gauge.get("bound", 0))
        if not every and not (value and bound):
            continue
        show = units.size if "bytes" in name else units.count
        share = f"{value / bound:.0%}" if bound else ""
        if bound and value / bound >= FULL:
            share += " full"
        rows.append([name, show(value), show(bound) if bound else "", share])
    columns = [Column("GAUGE"), Column("VALUE", True), Column("BOUND", True), Column("USED", True)]
    return render(columns, rows, width, colour)
