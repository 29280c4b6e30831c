"""Steps that checkpoint, and at the end the journal fed to a fresh core."""

from __future__ import annotations

import json
import random
from typing import Any

from model.late import LateSteps
from model.model import Model
from model.native import JOURNAL, STREAM, Core
from model.things import ENDED, MS, Config, Task


class Replaying(LateSteps):
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
        self.compare_schedules(self.replayed(journal, 0), f"\n{journal.decode()}")
        gone = "".join(f"CONTROL:UNSCHEDULE:{name};ts=0\n" for name in self.model.schedules)
        fresh = self.replayed(journal + gone.encode(), self.model.now)
        fresh.tick(self.model.now)  # delays that were over
        told = f"\n{journal.decode()}"
        assert fresh.gauges()["tasks"] == len(self.model.tasks), told
        reader = fresh.open(STREAM)
        for task in self.model.tasks.values():
            self.compare_replayed(fresh, task, told)
            self.compare_late(fresh, task, told)
            if task.state in ENDED:
                fresh.feed(reader, f"CONTROL:RESULT:{task.name}\n".encode())
                assert fresh.take(reader) == self.model.outcome(task), told

    def replayed(self, journal: bytes, now: int) -> Core:
        fresh = Core(**vars(self.config))
        link = fresh.open(JOURNAL)
        assert fresh.feed(link, journal, final=True) == len(journal)
        fresh.closed(link)
        assert fresh.journal() == b""
        fresh.resume(now)
        return fresh

    def rows(self, core: Core) -> list[dict[str, Any]]:
        """SCHEDULES of a core that has no more than a page of them."""
        link = core.open(STREAM)
        core.feed(link, b"CONTROL:SCHEDULES:r\n")
        head, _, body = core.take(link).partition(b";ct=json:")
        assert head == b"RESPONSE:STATE:r"
        rows: list[dict[str, Any]] = json.loads(body)
        return rows

    def compare_schedules(self, fresh: Core, told: str) -> None:
        """The same schedules, as far as they had come; but one that is late and not to be made up for has gone on."""
        known = sorted(self.model.schedules.values(), key=lambda schedule: schedule.name)
        for row, again, schedule in zip(self.rows(self.core), self.rows(fresh), known, strict=True):
            assert row["name"] == schedule.name
            assert row["next_ms"] == schedule.due
            assert row["last_ms"] == (schedule.last or None)
            assert (row["fired"], row["missed"]) == (schedule.fired, schedule.missed)
            assert (row["action"], row["size"]) == (schedule.action, len(schedule.payload))
            assert (row["on_missed"], row["overlap"]) == (schedule.on_missed, schedule.overlap)
            late = schedule.on_missed == "none" and schedule.due * MS <= self.model.now
            assert late or row == again, told

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
