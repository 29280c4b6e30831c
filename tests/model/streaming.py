"""Steps that send PARTIALs and PROGRESS, and watch from some number on."""

from __future__ import annotations

import random

from model.draws import PAYLOADS
from model.model import Model
from model.things import ENDED, Link, Task


class Streaming:
    """The part of the machine that has to do with what an agent says while it works."""

    model: Model

    def a_link(self, r: random.Random) -> Link | None:
        raise NotImplementedError

    def a_name(self, r: random.Random, *states: str) -> str:
        raise NotImplementedError

    def send(self, link: Link | None, line: str) -> None:
        raise NotImplementedError

    def outcome(
        self, r: random.Random, verb: str, params: dict[str, str], payload: str
    ) -> tuple[Task | None, Link | None]:
        raise NotImplementedError

    def progress(self, r: random.Random) -> None:
        payload = r.choice([*PAYLOADS, "x" * 140])
        task, _ = self.outcome(r, "PROGRESS", {"y": "1"}, payload)
        if task is not None:
            self.model.forward(task, "PROGRESS", None, f";y=1:{payload}")

    def partial(self, r: random.Random) -> None:
        payload = r.choice([*PAYLOADS, *PAYLOADS, "x" * 140])
        seq = r.choice([None, *range(5), *range(5)])
        given = {} if seq is None else {"seq": str(seq)}
        task, _ = self.outcome(r, "PARTIAL", given, payload)
        if task is not None:
            self.model.forward(task, "PARTIAL", seq, f"{Model.text(given)}:{payload}")

    def watch(self, r: random.Random) -> None:
        self.watch_one(r, self.a_name(r), None)

    def watch_from(self, r: random.Random) -> None:
        heard = [task.name for task in self.model.tasks.values() if task.partials or task.progress]
        name = r.choice(heard) if heard and r.random() < 0.8 else self.a_name(r)
        self.watch_one(r, name, r.choice([0, 0, 1, 3, 9]))

    def watch_one(self, r: random.Random, name: str, first: int | None) -> None:
        link, model = self.a_link(r), self.model
        self.send(link, f"CONTROL:WATCH:{name}" + ("" if first is None else f";seq={first}"))
        task = model.tasks.get(name)
        if task is None:
            model.reject(link, name, "unknown_task")
        elif not model.watch(task, link):
            model.reject(link, name, "busy")
        else:
            model.say(link, f"ACK:DONE:{name}")
            if link is not None and first is not None:
                model.replay(task, link, first)
            if task.state in ENDED:
                model.deliver(task)
