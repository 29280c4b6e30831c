"""The bodies of requests, and what their answers hold: the same for both clients."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ganglion.protocol.batch import Incoming
from ganglion.protocol.errors import UsageError
from ganglion.protocol.fields import parse_params
from ganglion.protocol.options import checked

LIMIT_KINDS = ("action", "sender", "label")
LIMIT_BOUNDS = ("rate", "burst", "running")
SCHEDULE_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,48}")
MISSED = ("one", "all", "none")
OVERLAP = ("allow", "skip")


def some(action: str, number: int | None) -> bytes:
    """``<ACTION> [<n>]``: the n (None: all) oldest buried tasks of an action."""
    return (action if number is None else f"{action} {number}").encode()


def count(answer: Incoming) -> int:
    """How many it was."""
    return int(answer.payload or 0)


def edits(options: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a KICK that replace those of the task."""
    return checked({key: value for key, value in options.items() if key != "ct"})


def limit(kind: str, name: str, bounds: Mapping[str, float | None]) -> bytes:
    """The JSON of CONTROL:LIMIT; without bounds it removes the limit.

    Raises:
        UsageError: no such kind or bound, or one below 0.
    """
    if kind not in LIMIT_KINDS:
        raise UsageError(f"limit on {kind!r}: use {', '.join(LIMIT_KINDS)}")
    given = {key: value for key, value in bounds.items() if value is not None}
    for key, value in given.items():
        if key not in LIMIT_BOUNDS:
            raise UsageError(f"limit {key!r}: use {', '.join(LIMIT_BOUNDS)}")
        if value < 0:
            raise UsageError(f"limit {key}={value}: 0 (none) or more")
    return json.dumps({kind: name, **given}).encode()


def schedule_name(name: str) -> str:
    """``name``, when a schedule can be called that.

    Raises:
        UsageError: it cannot.
    """
    if not SCHEDULE_PATTERN.fullmatch(name):
        raise UsageError(f"schedule {name!r}: 1 to 48 of letters, digits, '-', '_' and '.'")
    return name


def schedule(
    action: str,
    options: Mapping[str, Any],
    *,
    cron: str | None,
    every: int | None,
    offset: int | None,
    missed: str | None,
    overlap: str | None,
) -> dict[str, Any]:
    """The parameters of CONTROL:SCHEDULE, but for those that describe the payload.

    Raises:
        UsageError: both or none of cron and every, a word that is none of those that may stand
            there, or as for a submission.
    """
    if (cron is None) == (every is None):
        raise UsageError("a schedule has cron= or every=, one of them")
    for key, value, words in (("missed", missed, MISSED), ("overlap", overlap, OVERLAP)):
        if value is not None and value not in words:
            raise UsageError(f"{key}={value!r}: use {', '.join(words)}")
    times = {"cron": cron, "every": every, "offset": offset, "missed": missed, "overlap": overlap}
    return {"action": action, **times, **edits(options)}


def next_ms(answer: Incoming) -> int | None:
    """When a schedule is due next, in unix ms; None: never again."""
    text = parse_params(answer.params).get("next")
    return None if text is None else int(text)
