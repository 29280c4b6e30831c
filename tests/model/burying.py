"""Steps about buried tasks: kick, kick with another payload, purge."""

from __future__ import annotations

import random

from model.draws import ACTIONS, PAYLOADS
from model.model import Model
from model.native import Core
from model.things import Link, Task


class Burying:
    core: Core
    model: Model

    def a_link(self, r: random.Random) -> Link | None:
        raise NotImplementedError

    def a_name(self, r: random.Random, *states: str) -> str:
        raise NotImplementedError

    def send(self, link: Link | None, line: str) -> None:
        raise NotImplementedError

    def kick(self, r: random.Random) -> None:
        link, name, model = self.a_link(r), self.a_name(r, "buried", "delayed", "ready"), self.model
        self.send(link, f"CONTROL:KICK:{name}")
        task = model.tasks.get(name)
        if task is None:
            model.reject(link, name, "unknown_task")
        elif task.state not in ("buried", "delayed"):
            model.reject(link, name, "bad_state")
        else:
            model.say(link, f"ACK:DONE:{name}")
            model.kick(task)

    def kick_action(self, r: random.Random) -> None:
        link, action, count, model = (
            self.a_link(r),
            r.choice(ACTIONS),
            r.choice(["", " 1", " 2"]),
            self.model,
        )
        self.send(link, f"CONTROL:KICK:r1:{action}{count}")
        buried = [task for task in model.buried if task.action == action][: int(count or 1000)]
        for task in buried:
            model.kick(task)
        model.say(link, f"ACK:DONE:r1:{len(buried)}")

    def kick_edit(self, r: random.Random) -> None:
        link, name, model = self.a_link(r), self.a_name(r, "buried"), self.model
        payload, ct = r.choice(PAYLOADS), r.choice(["", "json"])
        self.send(link, f"CONTROL:KICK:{name};edit=1{';ct=json' if ct else ''};z=1:{payload}")
        task = model.tasks.get(name)
        if task is None or task.state != "buried":
            model.reject(link, name, "bad_state" if task is not None else "unknown_task")
            return
        task.payload = payload
        task.params = {key: value for key, value in task.params.items() if key != "ct"}
        if ct:
            task.params["ct"] = ct
        model.say(link, f"ACK:DONE:{name}")
        model.kick(task)

    def free(self, task: Task) -> bool:
        return not task.watchers and not self.model.pinned(task)

    def purge(self, r: random.Random) -> None:
        link, name, model = self.a_link(r), self.a_name(r, "buried", "done"), self.model
        self.send(link, f"CONTROL:PURGE:{name}")
        task = model.tasks.get(name)
        if task is None:
            model.reject(link, name, "unknown_task")
        elif task.state != "buried" or not self.free(task):
            model.reject(link, name, "bad_state")
        else:
            model.forget(task)
            model.say(link, f"ACK:DONE:{name}")

    def purge_action(self, r: random.Random) -> None:
        link, action, model = self.a_link(r), r.choice(ACTIONS), self.model
        count = r.choice(["", " 1", " 2"])
        self.send(link, f"CONTROL:PURGE:r3:{action}{count}")
        buried = [task for task in model.buried if task.action == action and self.free(task)]
        for task in buried[: int(count or 1000)]:
            model.forget(task)
        model.say(link, f"ACK:DONE:r3:{len(buried[: int(count or 1000)])}")
