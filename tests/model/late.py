"""Outcomes that come when their lease is over: what the model keeps of them, and the steps that ask for them."""

from __future__ import annotations

import random

from model.model import Model
from model.native import STREAM, Core
from model.things import Late, Link, Task

NONE = "late: no outcome of this task came late, or it made room"


def keep(task: Task, verb: str, token: int | None, sender: str, payload: str) -> None:
    """`verb` of this task was refused as stale: in place of the one before."""
    if verb in ("TASK_COMPLETED", "TASK_FAILED", "TASK_BURIED"):
        task.late = Late(verb, token or 0, sender, payload)


def line(task: Task) -> str:
    """What RESULT;late=1 is answered with; without its LF."""
    late = task.late
    assert late is not None
    sender = f";from={late.sender}" if late.sender else ""
    return f"RESPONSE:{late.verb}:{task.name};late=1;token={late.token}{sender}:{late.payload}"


class LateSteps:
    core: Core
    model: Model

    def a_link(self, r: random.Random) -> Link | None:
        raise NotImplementedError

    def a_name(self, r: random.Random, *states: str) -> str:
        raise NotImplementedError

    def send(self, link: Link | None, line: str) -> None:
        raise NotImplementedError

    def late(self, r: random.Random) -> None:
        """Ask for a late outcome, mostly for one that is there."""
        model = self.model
        known = [task.name for task in model.tasks.values() if task.late]
        assert self.core.gauges()["late"] == len(known)
        link = self.a_link(r)
        name = r.choice(known) if known and r.random() < 0.8 else self.a_name(r)
        self.send(link, f"CONTROL:RESULT:{name};late=1")
        task = model.tasks.get(name)
        if task is None or task.late is None:
            model.reject(link, name, "unknown_task", "" if task is None else NONE)
        else:
            model.say(link, line(task))

    def compare_late(self, fresh: Core, task: Task, told: str) -> None:
        """A fresh core that was fed the journal has it too."""
        reader = fresh.open(STREAM)
        fresh.feed(reader, f"CONTROL:RESULT:{task.name};late=1\n".encode())
        wanted = line(task) if task.late else f"RESPONSE:REJECTED:{task.name}:unknown_task {NONE}"
        assert fresh.take(reader) == wanted.encode() + b"\n", told
        fresh.closed(reader)
