"""``ganglion ask``: a question about the ingested files."""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli import results, waiting
from ganglion.clients.cli.exits import FAILED, OK, USAGE, CommandError, InterruptedCommand
from ganglion.clients.cli.options import add_json, milliseconds
from ganglion.clients.cli.table import paint

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context

HELP = """\
Ask about the files that were ingested. Prints the answer, its sources (file:line) and the
evaluator's verdict. Exit code 1 when nothing was found."""
EXAMPLES = """\
examples:
  ganglion ask "How are retries delayed?"
  ganglion ask --trace --json "What is a lease?" | jq .sources
"""
TIMEOUT_MS = 120_000
_TONES = {"grounded": "green", "partial": "yellow", "ungrounded": "red"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", metavar="QUESTION", nargs="+", help="- reads it from stdin")
    parser.add_argument("--trace", action="store_true", help="print the path with its times")
    parser.add_argument(
        "--timeout", type=milliseconds, default=TIMEOUT_MS, metavar="T", help="give up (2m)"
    )
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    question = " ".join(args.question)
    if question == "-":
        question = sys.stdin.read()
    if not question.strip():
        raise CommandError("ask something (see: ganglion ask --help)", USAGE)
    start = time.perf_counter()
    with context.client() as client:
        trace = 1 if args.trace else None
        name = f"ask-{uuid.uuid4().hex[:16]}"  # ours, so that it can be cancelled whenever Ctrl-C comes
        asked = {"question": question.strip()}
        try:
            submission = client.start("ASK", asked, task=name, ack=0, trace=trace)
            waiting.wait(context, client, submission, "ASK", args.timeout)
        except KeyboardInterrupt:
            from ganglion.protocol.errors import GanglionError

            with suppress(GanglionError):  # it had not been sent, or there is nobody to tell
                client.cancel(name)
            raise InterruptedCommand("the question was cancelled") from None
        outcome = submission.outcome.result().check()
        seconds = time.perf_counter() - start
    found = outcome.data if isinstance(outcome.data, dict) else {"text": outcome.words}
    path = outcome.params.get("hops", "")
    if args.json:
        if args.trace:
            found = {**found, "hops": [hop._asdict() for hop in results.hops(path)]}
        context.out.json(found)
    else:
        for line in lines(found, context.width, context.colour):
            context.out.line(line)
    context.out.flush()
    if args.trace and not args.json:
        for line in path_lines(found, path, seconds):
            sys.stderr.write(line + "\n")
    return OK if found.get("found", bool(found.get("sources"))) else FAILED


def lines(found: dict[str, Any], width: int | None, colour: bool) -> list[str]:
    """The answer for people."""
    text = str(found.get("text", found.get("answer", "")))
    page = textwrap.wrap(text, min(width, 100)) if width else [text]
    sources = found.get("sources") or ()
    if sources:
        page += ["", *(_source(one, colour) for one in sources)]
    verdict = verdict_line(found, colour)
    return [*page, "", verdict] if verdict else page


def path_lines(found: dict[str, Any], path: str, seconds: float) -> list[str]:
    """The way of the question, and of each part of a compound one, with the time of every hop."""
    page = ["", *results.hop_lines(path, seconds)]
    for part in found.get("parts", ()):
        page += ["", f"part: {part['question']}", *results.hop_lines(part.get("hops", ""))]
    return page


def _source(one: dict[str, Any], colour: bool) -> str:
    first, last = one.get("first_line"), one.get("last_line")
    span = f"{first}" if first == last else f"{first}-{last}"
    place = one.get("place") or f"{one.get('path')}:{span}"
    title = f"  {one['title']}" if one.get("title") else ""
    return f"[{one.get('number')}] {paint(place, 'cyan', colour)}{title}"


def verdict_line(found: dict[str, Any], colour: bool) -> str:
    """``verdict: grounded (groundedness 0.95, coverage 0.80)``, from the evaluator's judgement."""
    judgement = found.get("verdict") or found.get("judgement") or ""
    if isinstance(judgement, str):
        judgement = {**found, "verdict": judgement}
    word = str(judgement.get("verdict", ""))
    if not word:
        return ""
    numbers = found.get("found", True) and [
        f"{name} {float(judgement[name]):.2f}"
        for name in ("groundedness", "coverage")
        if isinstance(judgement.get(name), (int, float))
    ]
    tail = f" ({', '.join(numbers)})" if numbers else ""
    return f"verdict: {paint(word, _TONES.get(word, ''), colour)}{tail}"
