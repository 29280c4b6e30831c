"""``ganglion call``: one task and its result; with --each one task a line."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli import results, submitting, waiting
from ganglion.clients.cli.exits import OK, USAGE, CommandError, InterruptedCommand
from ganglion.clients.cli.options import add_json, completes, milliseconds, positive
from ganglion.clients.cli.output import is_tty

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client

HELP = """\
Submit one task and print its result. Without PAYLOAD (or with -) the payload is what stands on
stdin, byte for byte. The result is printed byte for byte too; only a text that lacks its last
newline gets one, when the payload was an argument or ended in a newline, or stdout is a
terminal (--raw: never).

With --each every line of stdin is a task and every result a line of stdout, in the same order.
At most --window tasks are unfinished at a time, so that streams without end work."""
EXAMPLES = """\
examples:
  ganglion call UPPER hello
  echo hello | ganglion call UPPER
  ganglion call RESIZE --param width=200 < cat.png > small.png
  seq 100000 | ganglion call SQUARE --each
  find . -name '*.png' -print0 | ganglion call THUMBNAIL --each -0 --keep-going
  ganglion call PAY 12.50 --once --key user7
  ganglion call FETCH http://... --retry 1s,10s,1m --label crawl
  ganglion call MERGE --after part1,part2 --needs ended < /dev/null
  ganglion call REPORT --task report-2026-11 --no-wait; ganglion result report-2026-11

durations: 500ms, 10s, 5m, 2h, 1d; a bare number is seconds. Ctrl-C leaves the task running.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("action", metavar="ACTION", help="what is to be done"), "action")
    parser.add_argument("payload", metavar="PAYLOAD", nargs="?", help="default: stdin")
    submitting.arguments(parser)
    group = parser.add_argument_group("waiting")
    add = group.add_argument
    add("--timeout", type=milliseconds, metavar="T", help="how long to wait; the task goes on")
    add("--no-wait", action="store_true", help="print the task's name once it is accepted")
    add("--stream", action="store_true", help="print partial results as they come")
    add("--trace", action="store_true", help="print the path with its times on stderr")
    group = parser.add_argument_group("many")
    add = group.add_argument
    add("--each", action="store_true", help="one task for each line of stdin")
    add("-0", "--null", action="store_true", help="lines end in NUL, in and out")
    add("--window", type=positive, default=1000, metavar="N", help="unfinished tasks (1000)")
    add("--keep-going", action="store_true", help="go on after a task that failed")
    group = parser.add_argument_group("output")
    add_json(group, "one JSON object for each result")  # type: ignore[arg-type]
    group.add_argument("--raw", action="store_true", help="add no newline")


def run(args: argparse.Namespace, context: Context) -> int:
    options = submitting.options(args)
    if args.each:
        if args.payload not in (None, "-"):
            raise CommandError("--each takes its payloads from stdin, not as an argument", USAGE)
        if args.stream:
            raise CommandError("--stream is for one task, --each for many", USAGE)
        from ganglion.clients.cli.each import Each

        with context.client() as client:
            return Each(args, context, client, options).run()
    payload, is_line = _payload(args)
    with context.client() as client:
        if args.no_wait:
            task = client.submit(args.action, payload, task=args.task, **options)
            context.out.json({"task": task}) if args.json else context.out.line(task)
            return OK
        return _Call(args, context, client).run(payload, is_line, options)


def _payload(args: argparse.Namespace) -> tuple[bytes, bool]:
    """The payload, and whether it is a text line."""
    if args.payload is not None and args.payload != "-":
        return args.payload.encode("utf-8", "surrogateescape"), True
    if is_tty(0):
        sys.stderr.write("ganglion: the payload is read from this terminal; end it with Ctrl-D\n")
    with open(0, "rb", closefd=False) as stdin:
        data = stdin.read()
    return data, data.endswith(b"\n")


class _Call:
    """One task on its way."""

    def __init__(self, args: argparse.Namespace, context: Context, client: Client) -> None:
        self._args = args
        self._context = context
        self._client = client
        self._streamed = False

    def run(self, payload: bytes, is_line: bool, options: dict[str, Any]) -> int:
        start = time.perf_counter()
        submission = self._client.start(
            self._args.action, payload, task=self._args.task, ack=0, **options
        )
        submission.on_stream = self._on_stream
        try:
            waiting.wait(
                self._context, self._client, submission, self._args.action, self._args.timeout
            )
        except KeyboardInterrupt:
            raise InterruptedCommand(waiting.goes_on(submission.task)) from None
        outcome = submission.outcome.result().check()
        out, args = self._context.out, self._args
        if args.json:
            out.json(results.record(outcome))
        elif not self._streamed:
            ct = outcome.params.get("ct", "")
            wanted = (is_line or out.is_tty) and not args.raw
            out.write(outcome.payload)
            out.write(results.ending(outcome.payload, ct, wanted))
        elif out.is_tty:
            out.write(b"\n")
        out.flush()
        if args.trace:
            for line in results.hop_lines(
                outcome.params.get("hops", ""), time.perf_counter() - start
            ):
                sys.stderr.write(line + "\n")
        return OK

    def _on_stream(self, kind: str, params: dict[str, str], payload: bytes) -> None:
        out = self._context.out
        if kind == "progress":
            if self._context.verbose or self._context.stderr_tty:
                self._context.note(payload.decode("utf-8", "replace"))
        elif self._args.stream:
            self._streamed = True
            if self._args.json:
                key, value = results.text_or_base64("partial", payload)
                out.json({"seq": int(params.get("seq", 0)), key: value})
            else:
                out.write(payload)
            out.flush()
