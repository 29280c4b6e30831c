"""``ganglion watch``."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from ganglion.clients.cli import results
from ganglion.clients.cli.context import Context
from ganglion.clients.cli.options import add_json, completes, milliseconds
from ganglion.clients.cli.table import STATE_COLOURS, paint

HELP = """\
Follow a task until it ends: progress on stderr, partial results and the result on stdout. Without
a task: every change of every task, one line each, until Ctrl-C."""
EXAMPLES = """\
examples:
  ganglion watch report-2026-11
  ganglion watch report-2026-11 --from 0
  ganglion watch --json | jq 'select(.state == "buried")'
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("task", metavar="TASK", nargs="?"), "task")
    parser.add_argument("--timeout", type=milliseconds, metavar="T", help="end after so long")
    parser.add_argument(
        "--from",
        type=int,
        dest="from_seq",
        metavar="SEQ",
        help="first the last progress and the partial results that were kept, from this number on",
    )
    add_json(parser, "one JSON object for each event")


def run(args: argparse.Namespace, context: Context) -> int:
    timeout = None if args.timeout is None else args.timeout / 1000
    with context.client() as client:
        if args.task:
            return _one(args, context, client, timeout)
        for event in client.watch(timeout):
            if args.json:
                context.out.json(event)
            else:
                context.out.line(line(event, time.strftime("%H:%M:%S"), context.colour))
            context.out.flush()
    return 0


def line(event: dict[str, Any], clock: str, colour: bool) -> str:
    """One change for people."""
    if event.get("lost"):
        return f"{clock}  ... {event['lost']} events lost: this reader is too slow"
    state = str(event.get("state", ""))
    shown = paint(f"{state:<10}", STATE_COLOURS.get(state, ""), colour)
    words = [f"{event.get('action', ''):<12}", str(event.get("task", ""))]
    if event.get("agent"):
        words.append(f"({event['agent']})")
    if event.get("reason"):
        words.append(str(event["reason"]))
    return f"{clock}  {shown}  {'  '.join(words)}".rstrip()


def _one(args: argparse.Namespace, context: Context, client: Any, timeout: float | None) -> int:
    out = context.out
    partial = False

    def on_stream(kind: str, params: dict[str, str], payload: bytes) -> None:
        nonlocal partial
        if args.json:
            key, value = results.text_or_base64(kind, payload)
            out.json({"task": args.task, key: value})
        elif kind == "progress":
            sys.stderr.write(payload.decode("utf-8", "replace") + "\n")
        else:
            partial = True
            out.write(payload)
        out.flush()

    outcome = client.watch_task(args.task, on_stream, timeout, args.from_seq)
    if args.json:
        out.json(results.record(outcome))
    elif not partial:
        out.write(outcome.payload)
        out.write(results.ending(outcome.payload, outcome.params.get("ct", ""), True))
    return 0
