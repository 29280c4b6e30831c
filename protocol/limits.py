"""Limits as ganglion.toml declares them: what is limited, and how.

    [limits]
    "label:openai" = "rate=5 burst=10 running=2"
    "action:EMBED" = "running=4"
    "sender:bulk" = ""                              # none: one that was set earlier goes

Knows nothing of who sets them; what they mean is protocol/SPEC.md, CONTROL:LIMIT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ganglion.protocol.errors import UsageError

KINDS = {
    "action": r"[A-Z][A-Z0-9_]{0,31}",
    "sender": r"[A-Za-z0-9._-]{1,64}",
    "label": r"[A-Za-z0-9._-]{1,64}",
}
WORDS = {
    "rate": "tasks a second, 0.001 to 1000000, at most three decimals",
    "burst": "1 to 1000000",
    "running": "tasks, 1 to 1000000",
}
_NUMBERS = {"rate": r"\d{1,7}(\.\d{1,3})?", "burst": r"\d{1,7}", "running": r"\d{1,7}"}


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket (``rate`` tokens a second, ``burst`` of them at most) and a bound of ``running`` tasks; 0: none."""

    kind: str
    name: str
    rate: float = 0.0
    burst: int = 1
    running: int = 0

    def payload(self) -> str:
        """What CONTROL:LIMIT takes."""
        members: dict[str, object] = {self.kind: self.name}
        if self.rate:
            members |= {"rate": self.rate, "burst": self.burst}
        if self.running:
            members["running"] = self.running
        return json.dumps(members)


def parse(key: str, text: object, origin: str) -> Limit:
    """A line of ``[limits]``: ``key`` is ``kind:name``, ``text`` is like ``rate=5 burst=10 running=2``.

    Raises:
        UsageError: it is not so; the text says what would be, and where it stands.
    """
    where = f"limits {key!r} ({origin})"
    kind, _, name = key.partition(":")
    if kind not in KINDS or not re.fullmatch(KINDS[kind], name):
        raise UsageError(f"{where}: begins with action:, sender: or label:, then a name")
    values: dict[str, float] = {}
    for part in text.split() if isinstance(text, str) else ["?"]:
        word, _, value = part.partition("=")
        if word not in WORDS or word in values:
            raise UsageError(
                f'{where}: must be like "rate=5 burst=10 running=2", each at most once'
            )
        if not re.fullmatch(_NUMBERS[word], value) or not 0 < float(value) <= 1_000_000:
            raise UsageError(f"{where}: {word}: {WORDS[word]}")
        values[word] = float(value)
    if "burst" in values and "rate" not in values:
        raise UsageError(f"{where}: burst: only with a rate")
    burst, running = int(values.get("burst", 1)), int(values.get("running", 0))
    return Limit(kind, name, values.get("rate", 0.0), burst, running)


def parse_all(table: Mapping[str, object], origin: str) -> tuple[Limit, ...]:
    """Every line of ``[limits]``."""
    return tuple(parse(key, text, origin) for key, text in table.items())
