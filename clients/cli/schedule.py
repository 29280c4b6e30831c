"""``ganglion schedule``: tasks that the coordinator submits by the clock."""

from __future__ import annotations

import argparse
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli import submitting
from ganglion.clients.cli.each_task import for_each
from ganglion.clients.cli.exits import OK, USAGE, CommandError
from ganglion.clients.cli.options import add_json, milliseconds
from ganglion.clients.cli.table import Column, render
from ganglion.clients.cli.units import count, duration

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client

HELP = """\
Tasks that the coordinator submits by the clock:
  list                        which schedules there are, and when they are due next
  add NAME ACTION [PAYLOAD]   from now on a task of this action whenever it is due, called
                              NAME.<unix seconds>; prints when that is first. The same NAME
                              again replaces it. PAYLOAD - is what stands on stdin.
  remove NAME..               no more of its tasks; those that were submitted go on

Schedules outlive the coordinator; what was due while it was down is made up for as --missed
says. Times of --cron are UTC, or as --offset says; there is no summer time."""
EXAMPLES = """\
examples:
  ganglion schedule add nightly REPORT --cron '30 4 * * MON-FRI' --offset +01:00
  ganglion schedule add poll FETCH http://... --every 5m --overlap skip --label crawl
  ganglion schedule list
  ganglion schedule remove nightly poll

five fields of --cron: minute, hour, day of month, month, day of week, as in crontab;
or @hourly @daily @weekly @monthly @yearly. durations: 500ms, 10s, 5m, 2h, 1d.
"""
WHAT = ("list", "add", "remove")
MISSED = ("one", "all", "none")
OVERLAP = ("allow", "skip")
TIMES = ("cron", "every", "offset", "missed", "overlap")
COLUMNS = (
    Column("SCHEDULE", flexible=True), Column("ACTION", flexible=True), Column("WHEN"),
    Column("NEXT"), Column("LAST"), Column("FIRED", right=True), Column("MISSED", right=True),
)  # fmt: skip
_OFFSET = re.compile(r"([+-]?)([0-9]{1,2}):([0-5][0-9])")
OFFSET_MAX = 1439  # minutes


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", choices=WHAT, help=", ".join(WHAT))
    parser.add_argument("words", metavar="NAME", nargs="*", help="and ACTION, PAYLOAD with add")
    group = parser.add_argument_group("add: when")
    add = group.add_argument
    add("--cron", metavar="FIELDS", help="at the times that these five fields say")
    add("--every", type=milliseconds, metavar="T", help="so long after one another (100ms or more)")
    add("--offset", type=offset, metavar="M", help="time zone: minutes east of UTC, or +HH:MM")
    add(
        "--missed", choices=MISSED, metavar="WHAT",
        help="of what was due while it could not be: one (default), all or none",
    )  # fmt: skip
    add(
        "--overlap", choices=OVERLAP, metavar="WHAT",
        help="allow (default), or skip what is due before the last task has ended",
    )  # fmt: skip
    submitting.arguments(parser, "add: each task", named=False)
    add_json(parser, "one JSON object a line")


def offset(text: str) -> int:
    """argparse type: minutes east of UTC, from ``90``, ``-300``, ``+01:30`` or ``-05:00``.

    >>> offset("-300"), offset("+01:30"), offset("-0:30")
    (-300, 90, -30)
    """
    match = _OFFSET.fullmatch(text)
    if match:
        minutes = int(match[2]) * 60 + int(match[3])
        found = -minutes if match[1] == "-" else minutes
    elif re.fullmatch(r"[+-]?[0-9]{1,4}", text):
        found = int(text)
    else:
        raise argparse.ArgumentTypeError(f"{text!r}: minutes, or like +01:00")
    if abs(found) > OFFSET_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: less than a day")
    return found


def run(args: argparse.Namespace, context: Context) -> int:
    if problem := misuse(args):
        raise CommandError(f"{problem} (see: ganglion schedule --help)", USAGE)
    if args.what == "add":
        return put(args, context)
    with context.client() as client:
        if args.what == "list":
            return listing(args, context, client)
        return for_each(context, args.words, client.unschedule, "removed", "schedule")


def misuse(args: argparse.Namespace) -> str:
    """What is wrong with the command line, or nothing."""
    given = [f"--{name}" for name in TIMES if getattr(args, name) is not None]
    if args.what == "add":
        if not 2 <= len(args.words) <= 3:
            return "add NAME ACTION [PAYLOAD]"
        return "" if (args.cron is None) != (args.every is None) else "give --cron or --every"
    if given or submitting.options(args):
        return f"{given[0] if given else 'what a task is like'} goes with add"
    if args.what == "list":
        return "list takes no name" if args.words else ""
    return "" if args.words else "which schedule is to be removed?"


def put(args: argparse.Namespace, context: Context) -> int:
    name, action, *rest = args.words
    if rest == ["-"]:
        payload = sys.stdin.buffer.read()
    else:
        payload = "".join(rest).encode("utf-8", "surrogateescape")
    times = {key: getattr(args, key) for key in TIMES}
    options = submitting.options(args)
    with context.client() as client:
        next_ms = client.schedule(name, action, payload, **times, **options)
    if args.json:
        context.out.json({"name": name, "next_ms": next_ms})
    else:
        context.out.line(moment(next_ms, time.time()) or "never")
    return OK


def listing(args: argparse.Namespace, context: Context, client: Client) -> int:
    rows = list(client.schedules())
    if args.json:
        for row in rows:
            context.out.json(row)
        return OK
    for line in table(rows, context.width, context.colour, time.time()):
        context.out.line(line)
    if not rows:
        context.note("no schedules; one is made with: ganglion schedule add NAME ACTION --every 1h")
    return OK


def table(rows: list[dict[str, Any]], width: int | None, colour: bool, now_s: float) -> list[str]:
    """The lines that are printed."""
    cells = [
        [
            row["name"], row["action"], when(row), moment(row["next_ms"], now_s) or "never",
            moment(row["last_ms"], now_s), count(row["fired"]), count(row["missed"]),
        ]
        for row in rows
    ]  # fmt: skip
    return render(COLUMNS, cells, width, colour)


def when(row: dict[str, Any]) -> str:
    """The times of a schedule: ``every 5.0 s``, or the fields with their time zone.

    >>> when({"every": 5000}), when({"cron": "0 4 * * *", "offset": -90})
    ('every 5.0 s', '0 4 * * * -01:30')
    """
    if row.get("every"):
        return f"every {duration(row['every'] / 1000)}"
    east = int(row.get("offset", 0))
    zone = f" {'-' if east < 0 else '+'}{abs(east) // 60:02}:{abs(east) % 60:02}" if east else ""
    return f"{row['cron']}{zone}"


def moment(unix_ms: int | None, now_s: float) -> str:
    """A moment in UTC, and how far away it is; nothing for None.

    >>> moment(1795404600000, 1795404000)
    '2026-11-23 03:30:00Z (in 10m 0s)'
    """
    if unix_ms is None:
        return ""
    ahead_s = unix_ms / 1000 - now_s
    how = f"in {duration(ahead_s)}" if ahead_s >= 0 else f"{duration(-ahead_s)} ago"
    return f"{time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(unix_ms / 1000))} ({how})"
