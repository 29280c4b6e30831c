"""The order of tasks with key=, and the bounds of running tasks and rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganglion.sim.ledger import Record
    from ganglion.sim.native import Core
    from ganglion.sim.world import World

HELD = ("leased", "cancelling")
ENDED = ("done", "buried", "cancelled")


class Orders:
    """What the ledger knows about who may run beside whom, and before whom."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._keys: dict[str, list[Record]] = {}

    def accepted(self, record: Record) -> None:
        """A task is in the journal."""
        key = record.params.get("key")
        if key and record not in self._keys.setdefault(key, []):
            self._keys[key].append(record)

    def dispatched(self, record: Record, core: Core) -> None:
        """A task is handed out: is it its turn?"""
        key = record.params.get("key")
        if key:
            self._turn(key, record, core)

    def _turn(self, key: str, record: Record, core: Core) -> None:
        for other in self._keys.get(key, ()):
            if other is record or other.excused or not other.accepted:
                continue
            view = core.task(other.name)
            if view is None or view.state in ENDED:
                continue
            if view.state in HELD:
                self.world.fail("key", f"{record.name} and {other.name} of key {key} run together")
            taken_over = record.life < self.world.coordinator.life
            if _plain(record) and _plain(other) and not taken_over and other.place < record.place:
                words = f"{record.name} runs before {other.name}, which was accepted before it"
                self.world.fail("key", f"{words} ({view.state}) and has the same key {key}")


def _plain(record: Record) -> bool:
    """It was ready when it was accepted, and has been in line since then."""
    return not record.kicks and not {"after", "delay"} & record.params.keys()
