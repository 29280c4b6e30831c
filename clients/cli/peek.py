"""``ganglion peek``."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json, completes
from ganglion.clients.cli.table import STATE_COLOURS, paint
from ganglion.clients.cli.units import duration

HELP = "All that the coordinator knows of a task, and the first 256 bytes of its payload."


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("task", metavar="TASK"), "task")
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    with context.client() as client:
        found = client.peek(args.task)
    if args.json:
        context.out.json(found)
        return 0
    for line in lines(found, context.colour, time.time()):
        context.out.line(line)
    return 0


def lines(found: dict[str, Any], colour: bool, now: float) -> list[str]:
    """One line a field; what is empty is left out, the payload comes last."""
    payload = found.get("payload")
    shown = {k: v for k, v in found.items() if v not in ("", None, []) and k != "payload"}
    room = max(map(len, shown), default=0)
    found_lines = []
    for key, value in shown.items():
        text = _text(key, value, now)
        tone = STATE_COLOURS.get(text, "") if key == "state" else ""
        found_lines.append(f"{key.removesuffix('_ms'):<{room}}  {paint(text, tone, colour)}")
    if payload:
        found_lines += ["", payload]
    return found_lines


def _text(key: str, value: Any, now: float) -> str:
    """A value for people; ``*_ms`` are moments."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if not key.endswith("_ms") or not isinstance(value, int):
        return str(value)
    seconds = now - value / 1000
    how = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(value / 1000))} ({how})"
