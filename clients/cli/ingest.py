"""``ganglion ingest``: names of files to the retriever, in batches, then one refresh of the index."""

from __future__ import annotations

import argparse
from collections import deque
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli import units
from ganglion.clients.cli.context import say
from ganglion.clients.cli.exits import FAILED, OK, USAGE, CommandError, InterruptedCommand
from ganglion.clients.cli.options import add_json, completes

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client
    from ganglion.protocol.session import Submission

HELP = """\
Read files and directories into the index that `ganglion ask` searches: text, Markdown,
reStructuredText, HTML, man pages, source code. What has not changed since the last time is not
read again. Files that cannot be read are named, counted and skipped."""
EXAMPLES = """\
examples:
  ganglion ingest docs/ README.md
  ganglion ingest --exclude 'test_*' --exclude build src/
"""
BATCH_FILES = 32
UNDER_WAY = 4  # batches: enough that the retriever never waits for us
SKIPPED_SHOWN = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("paths", metavar="PATH", nargs="+"), "path")
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="NAME",
        help="leave out files and directories of this name; * and ? as in the shell",
    )  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    from ganglion.clients.walk import walk

    found = list(walk(args.paths, args.exclude))
    skipped = [[one.path, one.reason] for one in found if one.reason]
    missing = any(one.reason and one.named for one in found)
    files = [one.path for one in found if not one.reason]
    if not files:
        for path, reason in skipped:
            say(f"skipped {path}: {reason}")
        raise CommandError("there is no file to ingest", FAILED if skipped else USAGE)
    with context.client() as client:
        work = Ingest(context, client, args.exclude, skipped)
        try:
            work.read(files)
            work.refresh()
        except KeyboardInterrupt:
            words = "what was handed over is still read; ingest again to go on where it ended"
            raise InterruptedCommand(words) from None
    work.report(args.json)
    return FAILED if missing else OK


class Ingest:
    """One ingest and its sums."""

    def __init__(
        self, context: Context, client: Client, exclude: list[str], skipped: list[list[str]]
    ) -> None:
        self._context = context
        self._client = client
        self._exclude = exclude
        self.skipped = skipped
        self.sums = {"files": 0, "chunks": 0, "unchanged": 0, "embedded": 0, "removed": 0}
        self.chunks_total = 0
        self.seconds = 0.0

    def read(self, files: list[str]) -> None:
        """Hand over all files; raises what the retriever says about a batch as a whole."""
        batches = [files[i : i + BATCH_FILES] for i in range(0, len(files), BATCH_FILES)]
        waiting: deque[tuple[int, Submission]] = deque()
        done = 0
        with self._context.progress("ingest", len(files)) as progress:
            for batch in [*batches, None]:
                if batch is not None:
                    payload = {"paths": batch, "exclude": self._exclude}
                    waiting.append((len(batch), self._client.start("INGEST", payload, ack=0)))
                while waiting and (batch is None or len(waiting) >= UNDER_WAY):
                    count, submission = waiting.popleft()
                    self._wait(submission, lambda: progress.update(done, self._extra()))  # noqa: B023
                    self._add(submission.outcome.result().check().data)
                    done += count
                    progress.update(done, self._extra())
            self.seconds += progress.seconds

    def refresh(self) -> None:
        """Fit and embed what is new."""
        with self._context.progress("index", None) as progress:
            submission = self._client.start("REFRESH", {}, ack=0)

            def on_stream(kind: str, params: dict[str, str], payload: bytes) -> None:
                import json

                if kind == "progress":
                    report = json.loads(payload)
                    progress.total = report.get("total")
                    progress.update(int(report.get("done", 0)))

            submission.on_stream = on_stream
            self._wait(submission, lambda: None)
            report = submission.outcome.result().check().data
            self.sums["embedded"] += int(report.get("embedded", 0))
            self.sums["removed"] += int(report.get("removed", 0))
            self.chunks_total = int(report.get("chunks", 0))
            self.seconds += progress.seconds

    def _wait(self, submission: Submission, tick: Any) -> None:
        while not submission.outcome.done:
            tick()
            self._client.pump(0.2)

    def _extra(self) -> str:
        return f"{len(self.skipped)} skipped" if self.skipped else ""

    def _add(self, report: dict[str, Any]) -> None:
        for key in ("files", "chunks", "unchanged"):
            self.sums[key] += int(report.get(key, 0))
        self.skipped += [[str(path), str(why)] for path, why in report.get("skipped", ())]

    def report(self, as_json: bool) -> None:
        """The sums, and what was skipped."""
        sums, skipped = self.sums, self.skipped
        if as_json:
            self._context.out.json(
                {**sums, "chunks_total": self.chunks_total, "skipped": skipped,
                 "seconds": round(self.seconds, 3)}
            )  # fmt: skip
            return
        shown = skipped if self._context.verbose else skipped[:SKIPPED_SHOWN]
        for path, reason in shown:
            say(f"skipped {path}: {reason}")
        if len(shown) < len(skipped):
            say(f"... and {len(skipped) - len(shown)} more (-v names all)")
        self._context.out.line(summary(sums, len(skipped), self.chunks_total, self.seconds))


def summary(sums: dict[str, int], skipped: int, chunks_total: int, seconds: float) -> str:
    """One line for people.

    >>> summary({"files": 3, "unchanged": 2, "chunks": 9, "embedded": 9, "removed": 0}, 1, 30, 2.0)
    '3 files read, 2 unchanged, 1 skipped; 9 passages embedded, 30 in the index (2.0 s)'
    """
    count = units.count
    words = f"{count(sums['files'])} files read, {count(sums['unchanged'])} unchanged, "
    words += f"{count(skipped)} skipped; {count(sums['embedded'])} passages embedded, "
    if sums["removed"]:
        words += f"{count(sums['removed'])} removed, "
    return f"{words}{count(chunks_total)} in the index ({units.duration(seconds)})"
