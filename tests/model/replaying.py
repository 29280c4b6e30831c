"""Steps that checkpoint, and at the end the journal fed to a fresh core."""

from __future__ import annotations

import random

from model.model import Model
from model.native import JOURNAL, STREAM, Core
from model.things import ENDED, Config, Task


class Replaying:
    """The part of the machine that has to do with the journal."""

    core: Core
    model: Model
    config: Config
    journal: bytes
    start = 0  # of what a replay needs: the beginning of the last whole checkpoint
    walk_from: int | None = None

    def checkpoint(self, r: random.Random) -> None:
        """Begin one: what follows is enough for a replay once it has come to its end."""
        self.journal += self.core.journal()
        self.walk_from = len(self.journal)
        self.core.checkpoint()

    def checkpoint_step(self, r: random.Random) -> None:
        if self.walk_from is not None and not self.core.checkpoint_step(r.choice([1, 300, 2000])):
            self.start, self.walk_from = self.walk_from, None

    def teardown(self) -> None:
        """Feed the journal to a fresh core: the same table (those with an agent are ready again)."""
        self.core.tick(self.model.now)  # a step that was not read may have left it undone
        self.model.tick(self.model.now)
        journal = (self.journal + self.core.journal())[self.start :]
        fresh = Core(**vars(self.config))
        link = fresh.open(JOURNAL)
        assert fresh.feed(link, journal, final=True) == len(journal)
        fresh.closed(link)
        assert fresh.journal() == b""
        fresh.resume(self.model.now)
        fresh.tick(self.model.now)  # delays that were over
        told = f"\n{journal.decode()}"
        assert fresh.gauges()["tasks"] == len(self.model.tasks), told
        reader = fresh.open(STREAM)
        for task in self.model.tasks.values():
            self.compare_replayed(fresh, task, told)
            if task.state in ENDED:
                fresh.feed(reader, f"CONTROL:RESULT:{task.name}\n".encode())
                assert fresh.take(reader) == self.model.outcome(task), told

    def compare_replayed(self, fresh: Core, task: Task, told: str) -> None:
        view = fresh.task(task.name)
        assert view is not None, f"{task.name}{told}"
        # ASSIGN_TASK may have handed out one that was delayed: until then it stays so.
        states = ("ready", "delayed", "leased") if task.state == "leased" else (task.state,)
        assert view["state"] in states, f"{task.name} {task.state} {view}{told}"
        assert view["state"] != "leased" or view["token"] == task.token, f"{view}{told}"
        assert view["action"] == task.action, told
        assert view["prio"] == task.prio or task.state == "done", told
        assert view["waits_for"] == self.model.waits(task), told
        if task.state not in ("leased", "cancelling", "cancelled"):  # else nobody is told
            assert view["tries_used"] == task.tries_used, f"{task.name} {view} {told}"
        if task.state in ("delayed", "waiting", "ready"):
            assert view["due_us"] == min(task.due, task.ttl_at), f"{task.name} {view} {told}"
