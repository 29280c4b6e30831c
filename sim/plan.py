"""What a run is made of: a seed, the settings, and a list of what is done to the system when.

A plan is all a run depends on, beside the code. It is made from a seed (workload.py), made smaller by taking
items out (shrink.py), and kept as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

Item = dict[str, Any]

FAULTS = frozenset(
    ("crash", "agent_crash", "agent_pause", "cut", "weather", "jump", "slow_disk", "full_disk")
)
VERSION = 1


@dataclass(frozen=True)
class Plan:
    """``items``: each with ``do`` and ``at`` (ms), in order of time; ``settings``: see workload.settings()."""

    seed: int
    settings: dict[str, Any]
    items: list[Item] = field(default_factory=list)

    def with_items(self, items: list[Item]) -> Plan:
        return replace(self, items=items)

    @property
    def tasks(self) -> int:
        return sum(item["do"] == "task" for item in self.items)

    @property
    def faults(self) -> int:
        return sum(item["do"] in FAULTS for item in self.items)

    def to_json(self) -> str:
        """One item a line, so that a replay can be read and edited."""
        items = ",\n  ".join(json.dumps(item) for item in self.items)
        head = f'"version": {VERSION}, "seed": {self.seed}'
        return f'{{{head},\n "settings": {json.dumps(self.settings)},\n "items": [\n  {items}]}}\n'

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Raises ValueError for what is no plan."""
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("version") != VERSION:
            raise ValueError(f"not a replay of version {VERSION}")
        try:
            return cls(int(raw["seed"]), dict(raw["settings"]), list(raw["items"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a replay: {error}") from error
