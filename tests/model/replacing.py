"""Submissions in the model, and dup=: what becomes of a name that is taken."""

from __future__ import annotations

from model.tables import Tables
from model.things import ENDED, MS, NEVER, Link, Task

TAKEN = "dup=reject: a task of this name is known here"
NEEDED = "dup=replace: an agent has it, or somebody needs what came of it"


class Replacing(Tables):
    def watch(self, task: Task, link: Link | None) -> bool:
        if link is None or link in task.watchers:
            return True
        if sum(len(t.watchers) for t in self.tasks.values()) >= self.config.watches_max:
            return False
        task.watchers.append(link)
        link.watching.append(task)
        self.respend(task)
        return True

    def submit(
        self, link: Link | None, name: str, action: str, payload: str, params: dict[str, str]
    ) -> str:
        old, dup = self.tasks.get(name), params.get("dup")
        if old is not None and dup == "replace":
            return self.replace(link, old, action, payload, params)
        if old is not None:
            if dup == "reject":
                return self.reject(link, name, "exists", TAKEN)
            if old.content != (action, payload):
                return self.reject(link, name, "exists")
            if not self.watch(old, link):
                return self.reject(link, name, "busy")
            if params.get("ack") != "0":
                self.say(link, f"ACK:RECEIVED:{name};again=1")
            if old.state in ENDED:
                self.deliver(old)
            return ""
        if self.draining:
            return self.reject(link, name, "draining")
        given = name
        while not name or name in self.tasks:
            self.named += 1
            name = f"{self.config.epoch}-{self.named}"
        if self.results() >= self.config.results_max and not self.spent:
            return self.reject(link, given, "busy")
        while len(self.tasks) >= self.config.tasks_max:
            if not self.spent:
                return self.reject(link, given, "busy")
            self.forget(self.spent[0])
        task = self.made(name, action, payload, params)
        if not self.tag(
            task, link.peer if link else None, params.get("label", ""), params.get("from", "")
        ):
            return self.reject(link, given, "busy")
        if code := self.link(task, params.get("after", ""), params.get("needs", "all")):
            words = self.missing(given, params["after"]) if code == "unknown_task" else ""
            return self.reject(link, given, code, words)
        if not self.watch(task, link):
            self.drop(self.mine(task))
            return self.reject(link, given, "busy")
        self.tasks[name] = task
        if params.get("ack") != "0":
            self.say(link, f"ACK:RECEIVED:{name}")
        self.start(task, int(params.get("delay", "0")))
        return ""

    def replace(
        self, link: Link | None, task: Task, action: str, payload: str, params: dict[str, str]
    ) -> str:
        """The same task with other content; who watches it and who waits for it stay."""
        ended = task.state in ENDED
        if task.state in ("leased", "cancelling") or (
            ended and (task.watchers or self.pinned(task))
        ):
            return self.reject(link, task.name, "bad_state", NEEDED)
        if self.draining:
            return self.reject(link, task.name, "draining")
        old, policy = self.mine(task), task.policy
        if "after" in params:
            words = ""
            code = self.link(task, params["after"], params.get("needs", "all"))
            if code == "unknown_task":
                words = self.missing(task.name, params["after"])
            elif not code and (words := self.circle(task, params["after"])):
                code = "bad_state"
                self.drop(self.mine(task)[len(old) :])
                task.policy = policy
            if code:
                return self.reject(link, task.name, code, words)
        fresh = self.made(task.name, action, payload, params)
        peer = link.peer if link else None
        tagged = self.tag(fresh, peer, params.get("label", ""), params.get("from", ""))
        if not tagged or not self.watch(task, link):
            self.drop(self.mine(task)[len(old) :])
            task.policy = policy
            return self.reject(link, task.name, "busy")
        if task.state == "ready":
            self.leave_queue(task)
        self.drop(old)
        if task.state == "buried":
            self.buried.remove(task)
        if task in self.spent:
            self.spent.remove(task)
        self.leave_line(task)
        task.forget_stream()
        task.handed_out = True
        for key in (
            "state",
            "tries_used",
            "due",
            "delayed",
            "reason",
            "words",
            "ttl_at",
            "action",
            "payload",
        ):
            setattr(task, key, getattr(fresh, key))
        for key in (
            "params",
            "content",
            "prio",
            "tries_max",
            "lease",
            "keep",
            "keep_given",
            "result",
            "late",
        ):
            setattr(task, key, getattr(fresh, key))
        for key in ("key", "labels", "sender", "entered_at", "accepted_at", "leased_at"):
            setattr(task, key, getattr(fresh, key))
        if params.get("ack") != "0":
            self.say(link, f"ACK:RECEIVED:{task.name}{'' if ended else ';replaced=1'}")
        self.start(task, int(params.get("delay", "0")))
        return ""

    def made(self, name: str, action: str, payload: str, params: dict[str, str]) -> Task:
        taken = ("ack", "delay", "lease", "keep", "from", "dup")
        ttl = int(params.get("ttl", "0"))
        return Task(
            name=name,
            action=action,
            payload=payload,
            params={k: v for k, v in params.items() if k not in taken},
            content=(action, payload),
            key=params.get("key", ""),
            prio=int(params.get("prio", "4")),
            tries_max=int(params.get("tries", str(self.config.tries))),
            lease=int(params.get("lease", str(self.config.lease_ms))) * MS,
            keep=int(params.get("keep", str(self.config.keep_ms))) * MS,
            keep_given="keep" in params,
            ttl_at=self.now + ttl * MS if ttl else NEVER,
            entered_at=self.now,
            accepted_at=self.now,
        )

    def start(self, task: Task, delay: int) -> None:
        if delay:
            task.due = self.now + delay * MS
        if self.waits(task) or (delay and "after" in task.params):
            task.delayed = delay > 0
            self.shift(task, "waiting")
            if self.lost(task):
                self.bury(task, "after", "")
        else:
            self.shift(task, "delayed" if delay else "ready")
