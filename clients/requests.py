"""The bodies of requests, and what their answers hold: the same for both clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ganglion.protocol.batch import Incoming
from ganglion.protocol.errors import UsageError
from ganglion.protocol.options import checked

LIMIT_KINDS = ("action", "sender", "label")
LIMIT_BOUNDS = ("rate", "burst", "running")


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
