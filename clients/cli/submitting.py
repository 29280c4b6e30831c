"""The options that say how a task is to be done, shared by ``call`` and whoever submits."""

from __future__ import annotations

import argparse
from typing import Any

from ganglion.clients.cli.exits import USAGE, CommandError
from ganglion.clients.cli.options import completes, durations, milliseconds, positive, words

# The transport's and the coordinator's own: a task that set them would not arrive as meant.
RESERVED = frozenset({"from", "len", "blob", "token", "ack", "try"})
DUP = ("existing", "reject", "replace")
NEEDS = ("all", "ended", "any")
PLAIN = ("prio", "delay", "ttl", "lease", "keep", "tries", "via", "after", "ct")
CHECKED = ("once", "dup", "retry", "needs", "key", "label")


def priority(text: str) -> int:
    """argparse type: 0 to 9, or low, normal, high, urgent."""
    from ganglion.protocol.session import PRIORITIES

    found = PRIORITIES.get(text)
    if found is None and text.isascii() and text.isdigit() and int(text) <= 9:
        found = int(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: use 0 to 9, or {', '.join(PRIORITIES)}")
    return found


def arguments(parser: argparse.ArgumentParser, title: str = "the task", named: bool = True) -> None:
    """Add the options, under this title; ``named``: with those that concern the task's name."""
    group = parser.add_argument_group(title)
    add = group.add_argument
    if named:
        add("--task", metavar="NAME", help="its name: the same name again gives the same result")
        add(
            "--dup", choices=DUP, metavar="WHAT",
            help="when the name is taken: existing (that result), reject, or replace what has "
            "not started",
        )  # fmt: skip
    add("--prio", type=priority, metavar="P", help="0 to 9, 9 most urgent; low normal high urgent")
    add("--delay", type=milliseconds, metavar="T", help="not before this time has passed")
    add("--ttl", type=milliseconds, metavar="T", help="given up when it has not ended by then")
    add("--lease", type=milliseconds, metavar="T", help="how long an agent may be silent with it")
    add("--keep", type=milliseconds, metavar="T", help="how long its result is kept")
    add("--tries", type=positive, metavar="N", help="how often it is tried")
    add("--retry", type=durations, metavar="T,T", help="pauses between tries; the last repeats")
    add("--once", action="store_true", default=None, help="handed out at most once, come what may")
    completes(
        add("--via", type=words, metavar="A,B", help="further actions, each fed the last result"),
        "action",
    )
    completes(
        add("--after", type=words, metavar="X,Y", help="tasks that must be done before"), "task"
    )
    add(
        "--needs", choices=NEEDS, metavar="WHAT",
        help="of --after: all done (default), all ended however, or any done",
    )  # fmt: skip
    add("--key", metavar="TEXT", help="tasks of one key run one at a time, in order")
    add("--label", type=words, metavar="A,B", help="names that `ganglion limit` can be set on")
    add("--ct", metavar="TYPE", help="content type of the payload: text json msgpack f32 ...")
    add(
        "--param", action="append", default=[], metavar="K=V",
        help="a header parameter that travels with the task; may be repeated",
    )  # fmt: skip


def options(args: argparse.Namespace) -> dict[str, Any]:
    """The keywords for ``Client.start``; the name is left to the caller.

    Raises:
        CommandError: a --param that is no K=V, or one that is not ours to set.
        UsageError: an option that could not mean what was meant.
    """
    found = {n: v for n in PLAIN + CHECKED if (v := getattr(args, n, None)) is not None}
    if any(name in found for name in CHECKED):
        from ganglion.protocol.options import checked

        checked(found)
    for pair in args.param:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise CommandError(f"--param {pair!r}: give key=value", USAGE)
        if key in RESERVED or key == "task":
            raise CommandError(f"--param {key}: set by Ganglion itself", USAGE)
        found[key] = value
    if getattr(args, "trace", False):
        found["trace"] = 1
    return found
