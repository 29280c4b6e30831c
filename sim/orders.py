"""The order of tasks with key=, and the bounds of running tasks and rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganglion.sim.ledger import Record
    from ganglion.sim.native import Core
    from ganglion.sim.world import World

HELD = ("leased", "cancelling")


class Orders:
    """What the ledger knows about who may run beside whom."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._keys: dict[str, list[Record]] = {}  # tasks of a key, those that were handed out

    def dispatched(self, record: Record, core: Core) -> None:
        """A task is handed out: is it its turn?"""
        key = record.params.get("key")
        if key:
            self._turn(key, record, core)

    def _turn(self, key: str, record: Record, core: Core) -> None:
        others = self._keys.setdefault(key, [])
        if record not in others:
            others.append(record)
        for other in others:
            if other is record or other.excused:
                continue
            view = core.task(other.name)
            if view is not None and view.state in HELD:
                self.world.fail("key", f"{record.name} and {other.name} of key {key} run together")
