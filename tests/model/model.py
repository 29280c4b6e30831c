"""The dispatch core as a small Python model: the same messages, states and choices, written for reading.

It holds dictionaries and lists where the core holds tables, and looks for the best by min() where the
core keeps lists sorted. It writes the very bytes the core must write, in the same order: first the
answer to a message, then what follows from it (outcomes, dependents, dispatches).
"""

from __future__ import annotations

from model.partials import Partials
from model.schedules import Schedules
from model.things import ENDED, NEVER, Link, Peer, Task

NEEDS_ALONE = "needs: there is no after= it could be about"
MASK = (1 << 64) - 1


class Model(Partials, Schedules):
    """What each message does. A refused one returns its code, others ""."""

    def register(
        self,
        link: Link | None,
        name: str,
        run: str,
        actions: list[str],
        slots: int,
        inbox: str,
        holds: int = 0,
    ) -> str:
        old = self.peers.get(name)
        same = old is not None and old.run == run
        if old is not None and same:
            same = old.link is link if link is not None else old.link.address == inbox
        if old is None or not same:
            if old is None and len(self.peers) >= self.config.peers_max:
                return self.reject(link, name, "busy") if link is not None else "busy"
            if old is not None and old.link is not link:
                if old.link.address:
                    old.link.out.clear()
                self.close(old.link)
            if link is not None and link.peer is not None:
                self.gone(link.peer, released=False)
            if link is None:
                link = Link(address=inbox)
                self.effects.append(("open", link))
            old = Peer(name, link, run, heard=self.now, beat=self.now)
            link.peer = old
            self.peers[name] = old
        peer = old
        peer.actions, peer.share = list(dict.fromkeys(actions)), None
        peer.slots, peer.beat, peer.claiming = slots, self.now, holds > 0
        self.heard(peer)
        self.relist(peer)
        self.arm_agent(peer)
        body = f'{{"inline":65536,"heartbeat_ms":{self.config.heartbeat_ms}}}'
        self.say(peer.link, f"ACK:WELCOME:{name};epoch={self.config.epoch}:{body}")
        self.mark(peer)
        return ""

    def bye(self, peer: Peer) -> None:
        self.say(peer.link, f"ACK:DONE:{peer.name}")
        link = peer.link
        self.gone(peer, released=True)
        self.close(link)

    def holds(self, task: Task, peer: Peer | None, token: int | None) -> bool:
        if task.state not in ("leased", "cancelling"):
            return False
        if token is not None:
            return task.token == token
        return peer is None or task.agent is peer

    def outcome_code(
        self, link: Link | None, peer: Peer | None, name: str, token: int | None
    ) -> str:
        task = self.tasks.get(name)
        if task is None:
            return self.reject(link, name, "unknown_task")
        if not self.holds(task, peer, token):
            return self.reject(link, name, "stale")
        return ""

    def completed(self, task: Task, payload: str, params: dict[str, str]) -> str:
        via = params["via"] if "via" in params else task.params.get("via", "")
        own = {k: v for k, v in params.items() if k in ("ct", "y", "x")}
        if via and task.state == "cancelling":
            self.shift(task, "cancelled")
        elif via:
            return self.go_on(task, payload, params, via.split(","), own)
        elif "after" in params and task.state == "leased":
            self.failed(task, "after: there is no via= to go on to", None)
        else:
            shown = self.text(self.echo(task, own))
            task.result = f"RESPONSE:TASK_COMPLETED:{task.name}{shown}:{payload}\n".encode()
            task.params = {}
            self.shift(task, "done")
        return ""

    def go_on(
        self, task: Task, payload: str, params: dict[str, str], via: list[str], own: dict[str, str]
    ) -> str:
        """Through via, when what after= names is done. A code: the lease stands."""
        before = len(self.mine(task))
        words = NEEDS_ALONE if "needs" in params and "after" not in params else ""
        code = (
            self.link(task, params["after"], params.get("needs", "all"))
            if "after" in params
            else ""
        )
        if code == "unknown_task":
            words = self.missing(task.name, params["after"])
        elif not code and "after" in params:
            words = self.circle(task, params["after"])
        if words:
            self.drop(self.mine(task)[before:])
            self.failed(task, words, None)
        if code or words:
            return code if code == "busy" else ""
        kept = {
            k: v for k, v in task.params.items() if k not in ("ct", "via", "after", "needs", *own)
        }
        if via[1:]:
            kept["via"] = ",".join(via[1:])
        if "after" in params:
            kept["after"] = params["after"]
        if "needs" in params:
            kept["needs"] = params["needs"]
        task.params = {**kept, **own}
        task.payload, task.tries_used, task.due, task.words = payload, 0, NEVER, ""
        task.action, task.entered_at = via[0], self.now
        for edge in self.mine(task)[:before]:
            edge.past = True
        lost = self.lost(task)
        self.shift(task, "waiting" if self.waits(task) else "ready")
        if lost:
            self.bury(task, "after", "")
        return ""

    def failed(self, task: Task, words: str, delay: int | None) -> None:
        if task.state == "leased":
            task.words = words
        if task.tries_used >= task.tries_max:
            self.bury(task, "tries", words)
            return
        ms = self.backoff(task) if delay is None else delay
        self.delay(task, ms)

    def backoff(self, task: Task) -> int:
        config = self.config
        if schedule := task.params.get("retry"):
            pauses = schedule.split(",")
            return int(pauses[min(task.tries_used, len(pauses)) - 1])
        ms = min(config.backoff_ms << (task.tries_used - 1), config.backoff_ms_max)
        self.random = z = (self.random + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ms + (z ^ (z >> 31)) % (ms // 2 + 1)

    def released(self, task: Task, delay: int) -> None:
        task.tries_used -= task.state == "leased"
        self.delay(task, delay)

    def cancel(self, link: Link | None, name: str) -> str:
        task = self.tasks.get(name)
        if task is None:
            return self.reject(link, name, "unknown_task")
        if task.state in ("done", "cancelled"):
            return self.reject(link, name, "bad_state")
        self.say(link, f"ACK:DONE:{name}")
        if task.state == "leased":
            self.tell_cancel(task)
            self.shift(task, "cancelling")
        elif task.state != "cancelling":
            self.shift(task, "cancelled")
        return ""

    def kick(self, task: Task) -> None:
        if task.state == "buried":
            task.tries_used, task.ttl_at, task.reason, task.words = 0, NEVER, "", ""
            task.entered_at = self.now
            self.unmeet(task)
        self.shift(task, "ready")

    def sent(self, link: Link, count: int) -> None:
        """That much of the output has left: results that waited for room come now."""
        del link.out[:count]
        if link.closing or not self.room(link):
            return
        while link.waiting and self.room(link):
            task = link.waiting.pop(0)
            if task.state in ENDED:
                task.watchers.remove(link)
                link.out += self.outcome(task)
                self.respend(task)
            else:
                link.watching.append(task)  # it was kicked meanwhile
        if link.peer is not None and link.peer.blocked and self.room(link):
            link.peer.blocked = False
            self.relist(link.peer)
            self.mark(link.peer)
        self.settle()
