"""``ganglion ingest``: files into the index, in one task that the retriever and embedder share."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli import units, waiting
from ganglion.clients.cli.context import say
from ganglion.clients.cli.exits import FAILED, OK, InterruptedCommand
from ganglion.clients.cli.options import add_json, completes

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context

HELP = """\
Read files and directories into the index that `ganglion ask` searches: text, Markdown,
reStructuredText, HTML, man pages, source code. What has not changed since the last time is not
read or embedded again; what is gone drops out. Files that cannot be read are named, counted and
skipped. The retriever reads them: paths must exist where it runs."""
EXAMPLES = """\
examples:
  ganglion ingest docs/ README.md
  ganglion ingest --exclude tests,build src/
"""
SKIPPED_SHOWN = 20
BINARY = "binary file"
# What the stages that the task reports are called on the progress line.
STAGES = {"read": "reading files", "fit": "learning the corpus", "embed": "embedding passages"}


def arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("paths", metavar="PATH", nargs="+"), "path")
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="NAME[,NAME]",
        help="names of folders to leave out",
    )
    add_json(parser)


def run(args: argparse.Namespace, context: Context) -> int:
    import json

    paths = [os.path.abspath(path) for path in args.paths]
    exclude = [name for names in args.exclude for name in names.split(",") if name]
    with context.client() as client, context.progress("ingest", None) as progress:

        def on_stream(kind: str, params: dict[str, str], payload: bytes) -> None:
            if kind == "progress":
                report = json.loads(payload)
                progress.what = STAGES.get(report.get("stage", ""), "ingest")
                progress.total = report.get("total")
                progress.update(int(report.get("done", 0)))

        submission = client.start("INGEST", {"paths": paths, "exclude": exclude}, prio=2)
        submission.on_stream = on_stream
        try:
            waiting.wait(context, client, submission, "INGEST", None)
            found: dict[str, Any] = submission.outcome.result().check().data
        except KeyboardInterrupt:
            client.cancel(submission.task)
            words = "ingest cancelled; what was read is kept: ingest again to go on where it ended"
            raise InterruptedCommand(words) from None
        found["seconds"] = round(progress.seconds, 3)
    _report(found, args.json, context)
    asked = {error["path"] for error in found["errors"]}
    return FAILED if asked & {*paths, *args.paths} else OK


def _report(found: dict[str, Any], as_json: bool, context: Context) -> None:
    if as_json:
        context.out.json(found)
        return
    # Pictures and programs among the documents are no news; what could not be read is.
    named = [e for e in found["errors"] if context.verbose or e["reason"] != BINARY]
    for error in named[: None if context.verbose else SKIPPED_SHOWN]:
        say(f"skipped {error['path']}: {error['reason']}")
    if len(named) > SKIPPED_SHOWN and not context.verbose:
        say(f"... and {len(named) - SKIPPED_SHOWN} more (-v names all)")
    binary = len(found["errors"]) - len(named)
    if binary:
        say(f"skipped {units.count(binary)} binary files (-v names them)")
    context.out.line(summary(found))


def summary(found: dict[str, Any]) -> str:
    """One line for people.

    >>> summary({"added": 3, "changed": 1, "unchanged": 2, "removed": 0, "skipped": 1, "files": 6,
    ...          "embedded": 9, "chunks": 30, "seconds": 2.0})
    '3 files added, 1 changed, 2 unchanged, 1 skipped; 9 passages embedded, 30 in the index (2.0 s)'
    """
    count = units.count
    words = f"{count(found['added'])} files added, {count(found['changed'])} changed, "
    words += f"{count(found['unchanged'])} unchanged, {count(found['skipped'])} skipped"
    if found["removed"]:
        words += f", {count(found['removed'])} removed"
    words += f"; {count(found['embedded'])} passages embedded, "
    words += f"{count(found['chunks'])} in the index"
    return f"{words} ({units.duration(found['seconds'])})"
