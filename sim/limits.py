"""Limits, kept apart from the core: an upper bound of each token bucket, and how many tasks run under each bound.

A bucket here is never emptier than the core's: it is full after a restart (the core's is empty then) and after a
change. So a task handed out without a token here had none there either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ganglion.protocol.message import Message

if TYPE_CHECKING:
    from ganglion.sim.ledger import Record
    from ganglion.sim.native import Core, View
    from ganglion.sim.world import World

HELD = ("leased", "cancelling")
ROUNDING = 1e-3  # of a token: microseconds of either clock


class Limit(NamedTuple):
    """As LIMIT set it; 0: not limited."""

    rate: float
    burst: float
    running: int


@dataclass
class Meter:
    """What one limit has let through."""

    limit: Limit
    level: float
    at_us: int
    before: int = 0  # tasks that ran under it after the last round


class Limits:
    """Of one run. ``key``: the kind and the name, e.g. ("label", "l1")."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._lines: list[
            tuple[int, tuple[str, str], Limit]
        ] = []  # by batch, as the journal has them
        self._meters: dict[tuple[str, str], Meter] = {}
        self._now_us = 0
        self._dispatched = 0
        self._adopted = 0
        self._off = False
        self._first = False  # until now there was no limit, and nobody looked

    def line(self, message: Message, batch: int) -> None:
        """A LIMIT in the journal."""
        raw: dict[str, Any] = json.loads(message.payload)
        kind = next(kind for kind in ("action", "sender", "label") if kind in raw)
        limit = Limit(
            float(raw.get("rate", 0)), float(raw.get("burst", 1)), int(raw.get("running", 0))
        )
        self._lines.append((batch, (kind, raw[kind]), limit))
        self._set((kind, raw[kind]), limit)

    def _set(self, key: tuple[str, str], limit: Limit) -> None:
        old = self._meters.get(key)
        if not limit.rate and not limit.running:
            self._meters.pop(key, None)
        elif old is None or old.limit != limit:
            self._first = self._first or not self._meters
            before = old.before if old is not None else 1 << 30  # as many as ran when it came
            self._meters[key] = Meter(limit, limit.burst, self._now_us, before)

    def recovered(self, first_lost: int | None, damaged: bool) -> None:
        """A new life: with the limits that are still in the journal, and full buckets."""
        self._off = self._off or damaged
        if first_lost is not None:
            self._lines = [line for line in self._lines if line[0] < first_lost]
        self._meters.clear()
        self._now_us = self.world.coordinator.now()
        self._dispatched = self._adopted = 0
        for _, key, limit in self._lines:
            self._set(key, limit)

    def after_round(self, core: Core) -> None:
        """Who was handed out in it, and who runs now."""
        if not self._meters or self._off:
            return
        now = self._now_us = max(self._now_us, self.world.coordinator.now())
        dispatched = core.gauge("dispatched")
        if dispatched == self._dispatched and not self._first:
            return
        self._dispatched = dispatched
        adopted = core.gauge("adopted") if "adopted" in core.gauges else -1
        taken_over, self._adopted = adopted != self._adopted, adopted
        held = [
            (record, view)
            for record in self.world.ledger.tasks.values()
            if not record.excused and (view := core.task(record.name)) and view.state in HELD
        ]
        fresh = [pair for pair in held if self._is_fresh(*pair)]
        if self._first:
            self._first = False
            return
        for key, meter in self._meters.items():
            self._spend(key, meter, sum(_under(key, *pair) for pair in fresh), now)
            running = sum(_under(key, *pair) for pair in held)
            over = meter.limit.running and running > max(meter.limit.running, meter.before)
            if over and not taken_over:
                self.world.fail(
                    "limit", f"{running} tasks run under {key}, its bound {meter.limit.running}"
                )
            meter.before = running

    def _is_fresh(self, record: Record, view: View) -> bool:
        """Handed out in this round, by this life of the coordinator."""
        if view.token == record.counted or view.token >> 32 != self.world.coordinator.life:
            return False
        record.counted = view.token
        return True

    def _spend(self, key: tuple[str, str], meter: Meter, count: int, now: int) -> None:
        limit = meter.limit
        meter.level = min(limit.burst, meter.level + limit.rate * (now - meter.at_us) / 1e6)
        meter.at_us = now
        if limit.rate and count > meter.level + ROUNDING:
            words = f"{count} tasks of {key} are handed out; the bucket holds {meter.level:.3f}"
            self.world.fail("limit", f"{words} (rate {limit.rate:g}, burst {limit.burst:g})")
        meter.level -= count


def _under(key: tuple[str, str], record: Record, view: View) -> bool:
    kind, name = key
    if kind == "action":
        return view.action == name
    if kind == "sender":
        return record.params.get("from") == name
    return name in record.params.get("label", "").split(",")
