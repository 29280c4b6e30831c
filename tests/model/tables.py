"""The model's tables: states and what entering one does, timers, who gets which task, who is told."""

from __future__ import annotations

from model.lattice import Lattice
from model.limits import Limits, Meter
from model.things import ENDED, MS, NEVER, REASONS, TEXTS, Config, Edge, Link, Peer, Schedule, Task


class Tables(Limits, Lattice):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.schedules: dict[str, Schedule] = {}
        self.paused: set[str] = set()
        self.buried: list[Task] = []  # oldest first
        self.spent: list[Task] = []  # may make room, oldest first
        self.edges: list[Edge] = []  # oldest first
        self.effects: list[tuple[str, Link]] = []
        self.draining = False
        self.adopted = 0
        self.random = config.seed
        self.token = (config.epoch & 0xFFFFF) << 32
        self.shares = self.named = 0
        self.settling: list[Task] = []
        self.free_agents: list[Peer] = []
        self.doomed: list[Link] = []

    # ---- output ----

    def room(self, link: Link) -> bool:
        return len(link.out) < self.config.out_bytes_max

    def say(self, link: Link | None, line: str) -> None:
        if link is None or link.closing or link.doomed:
            return
        link.out += line.encode() + b"\n"
        if len(link.out) > 2 * self.config.out_bytes_max:
            link.doomed = True
            self.doomed.insert(0, link)

    def reject(self, link: Link | None, task: str, code: str, words: str = "") -> str:
        self.say(link, f"RESPONSE:REJECTED:{task}:{code} {words or TEXTS[code]}")
        return code

    # ---- time ----

    def arm(self, task: Task) -> None:
        at = min(task.due, task.ttl_at)
        task.timer = None
        if at != NEVER:
            self.sequence += 1
            task.timer = (at, self.sequence)

    def arm_peer(self, peer: Peer, at: int) -> None:
        self.sequence += 1
        peer.timer = (at, self.sequence)

    def tick(self, now: int) -> None:
        self.now = max(self.now, now)
        while True:
            timers: list[tuple[tuple[int, int], Task | Peer | Meter | Schedule]] = [
                (thing.timer, thing)
                for thing in self.timed()
                if thing.timer is not None and thing.timer[0] <= self.now
            ]
            if not timers:
                return
            _, thing = min(timers, key=lambda pair: pair[0])
            if isinstance(thing, Peer):
                self.peer_due(thing)
            elif isinstance(thing, Meter):
                self.meter_due(thing)
            elif isinstance(thing, Schedule):
                self.schedule_due(thing)
            else:
                self.task_due(thing)
            self.settle()

    def next_us(self) -> int:
        return min((thing.timer[0] for thing in self.timed() if thing.timer), default=NEVER)

    def timed(self) -> list[Task | Peer | Meter | Schedule]:
        things = [*self.tasks.values(), *self.peers.values(), *self.meters.values()]
        return [*things, *self.schedules.values()]

    def schedule_due(self, schedule: Schedule) -> None:
        raise NotImplementedError  # schedules.py

    def task_due(self, task: Task) -> None:
        if task.ttl_at <= self.now:
            if task.state == "leased":
                self.tell_cancel(task)
            self.bury(task, "ttl", "")
        elif task.state == "waiting":
            task.delayed = False
            task.due = NEVER
            self.arm(task)
            if self.waits(task) == 0:
                self.shift(task, "ready")
        elif task.state == "delayed":
            self.shift(task, "ready")
        elif task.state == "leased":
            if task.agent is None:  # its outcome came, and could not be carried out
                self.lose(task, "agent_gone")
                return
            all_of_them = task.missing < 2 and not task.agent.lists
            beat = task.agent.beat if all_of_them else task.listed_at
            task.due = max(beat, task.leased_at) + task.lease
            if task.due > self.now:
                self.arm(task)
            else:
                self.tell_cancel(task)
                self.lose(task, "lease")
        elif task.state == "cancelling":
            self.shift(task, "cancelled")
        elif task.watchers or self.pinned(task):
            task.due = self.now + self.config.keep_ms * MS
            self.arm(task)
        else:
            self.forget(task)

    def peer_due(self, peer: Peer) -> None:
        if peer.heard + self.config.agent_timeout_ms * MS <= self.now:
            self.close(peer.link)
            return
        if not peer.suspect and peer.heard + self.suspect_us() <= self.now:
            peer.suspect = True
            self.relist(peer)
        self.arm_agent(peer)

    def suspect_us(self) -> int:
        return max(self.config.suspect_ms, 2 * self.config.heartbeat_ms) * MS

    def arm_agent(self, peer: Peer) -> None:
        """When its silence next means something."""
        if not peer.actions:
            peer.timer = None
            return
        gone = peer.heard + self.config.agent_timeout_ms * MS
        suspect = peer.heard + self.suspect_us()
        self.arm_peer(peer, gone if peer.suspect else min(suspect, gone))

    # ---- states ----

    def shift(self, task: Task, state: str) -> None:
        """Leave one state for another; what the new one needs has been set before."""
        if state == "leased":
            self.runs(task)
        if task.state == "ready":
            self.leave_queue(task)
        if not (task.state == "leased" and state == "cancelling"):
            held = task.state in ("leased", "cancelling")
            if task.agent is not None:
                agent, task.agent = task.agent, None
                agent.held.remove(task)
                self.relist(agent)
                self.mark(agent)
            task.token = 0
            if held:
                self.runs_no_more(task)
        if task.state == "buried":
            self.buried.remove(task)
        task.state = state
        if state != "waiting":
            task.delayed = False
        if state == "ready":
            task.due = NEVER
            self.claim(task)
            self.queue(task)
        elif state == "cancelling":
            task.due = self.now + self.config.cancel_grace_ms * MS
        elif state in ENDED:
            self.end(task)
        self.arm(task)
        if state == "leased":
            self.claim(task)  # handed out before it was ready
        elif state == "waiting" or state in ENDED:
            self.leave_line(task)
        self.respend(task)

    def end(self, task: Task) -> None:
        task.ttl_at = NEVER
        self.drop(self.mine(task))
        task.forget_stream()
        if task.state == "buried":
            self.buried.append(task)
            keep = task.keep if task.keep_given else self.config.keep_buried_ms * MS
            task.due = self.now + keep if keep else NEVER
        else:
            task.due = self.now + task.keep
        if task not in self.settling:
            self.settling.append(task)

    def bury(self, task: Task, reason: str, words: str) -> None:
        """Buried, or cancelled when that was asked for."""
        if task.state == "cancelling":
            self.shift(task, "cancelled")
            return
        task.reason = reason
        task.words = words
        self.shift(task, "buried")

    def delay(self, task: Task, ms: int) -> None:
        if task.state == "cancelling":
            self.shift(task, "cancelled")
            return
        task.due = self.now + ms * MS
        self.shift(task, "delayed")
        if ms == 0:
            self.shift(task, "ready")

    def lose(self, task: Task, reason: str) -> None:
        if task.state == "cancelling":
            self.shift(task, "cancelled")
        elif task.tries_used >= task.tries_max:
            self.bury(task, reason, "")
        else:
            self.shift(task, "ready")

    def forget(self, task: Task) -> None:
        if task.state == "buried":
            self.buried.remove(task)
        if task in self.spent:
            self.spent.remove(task)
        del self.tasks[task.name]

    def respend(self, task: Task) -> None:
        spent = (
            task.state in ("done", "cancelled")
            and task not in self.settling
            and not task.watchers
            and not self.pinned(task)
        )
        if spent and task not in self.spent:
            self.spent.append(task)
        elif not spent and task in self.spent:
            self.spent.remove(task)

    # ---- after a message ----

    def settle(self) -> None:
        while self.settling or self.doomed or self.ready_actions or self.free_agents:
            while self.settling:
                task = self.settling.pop(0)
                self.deliver(task)
                self.wake(task)
            while self.doomed:
                self.close(self.doomed.pop(0))
            self.pump()
        while self.results() > self.config.results_max and self.spent:
            self.forget(self.spent[0])

    def results(self) -> int:
        return sum(task.state in ("done", "cancelled") for task in self.tasks.values())

    def deliver(self, task: Task) -> None:
        for link in list(task.watchers):
            if task in link.waiting:
                continue
            if link.waiting or not self.room(link) or link.doomed:
                link.watching.remove(task)
                link.waiting.append(task)
            else:
                link.watching.remove(task)
                task.watchers.remove(link)
                link.out += self.outcome(task)
        self.respend(task)

    def outcome(self, task: Task) -> bytes:
        if task.state == "done":
            return task.result
        params = self.echo(task, {})
        if task.state == "buried":
            params = {"reason": task.reason, "try": str(task.tries_used), **params}
            words = task.words or REASONS[task.reason]
            return f"RESPONSE:TASK_BURIED:{task.name}{self.text(params)}:{words}\n".encode()
        return f"RESPONSE:TASK_CANCELLED:{task.name}{self.text(params)}\n".encode()

    @staticmethod
    def echo(task: Task, own: dict[str, str]) -> dict[str, str]:
        return {**own, **{k: v for k, v in task.params.items() if k in ("x", "y") and k not in own}}

    @staticmethod
    def text(params: dict[str, str]) -> str:
        return "".join(f";{key}={value}" for key, value in params.items())

    # ---- agents ----

    def relist(self, peer: Peer) -> None:
        out = not peer.actions or peer.draining or peer.blocked or len(peer.held) >= peer.slots
        out = out or peer.suspect or peer.claiming
        share = None if out else 64 * len(peer.held) // peer.slots
        if share != peer.share:
            peer.share = share
            self.shares += 1
            peer.since = self.shares

    def mark(self, peer: Peer) -> None:
        if peer not in self.free_agents:
            self.free_agents.append(peer)

    def head(self, action: str) -> Task | None:
        if action in self.paused:
            return None
        return self.in_queue(action)

    def pick(self, action: str) -> Peer | None:
        while True:
            agents = [p for p in self.peers.values() if p.share is not None and action in p.actions]
            best = min(agents, key=lambda p: (p.share or 0, p.since), default=None)
            if best is None or self.room(best.link):
                return best
            best.blocked = True
            self.relist(best)

    def pump(self) -> None:
        while self.ready_actions:
            action = self.ready_actions.pop(0)
            while (
                self.head(action)
                and (agent := self.pick(action))
                and (task := self.admitted(action))
            ):
                self.dispatch(task, agent)
        while self.free_agents:
            agent = self.free_agents.pop(0)
            while agent.live and agent.share is not None:
                open_ones = [action for action in agent.actions if action not in self.paused]
                heads = [h for action in open_ones if (h := self.admitted(action))]
                if not heads:
                    break
                if not self.room(agent.link):
                    agent.blocked = True
                    self.relist(agent)
                    break
                self.dispatch(min(heads, key=lambda t: (-t.prio, t.turn)), agent)

    def dispatch(self, task: Task, agent: Peer) -> None:
        self.token += 1
        task.tries_used += 1
        task.leased_at = self.now
        task.due = self.now + task.lease
        task.listed = task.missing = 0
        task.forget_stream()
        self.spend(task)
        self.shift(task, "leased")
        self.hold(task, agent, self.token)
        params = {**task.params, "lease": str(task.lease // MS), "try": str(task.tries_used)}
        params["token"] = str(task.token)
        line = f"DATA:{task.action}:{task.name}{self.text(params)}:{task.payload}\n"
        agent.link.out += line.encode()

    def hold(self, task: Task, agent: Peer, token: int) -> None:
        task.token, task.agent, task.handed_out = token, agent, True
        agent.held.append(task)
        self.relist(agent)

    def tell_cancel(self, task: Task) -> None:
        assert task.agent is not None
        self.say(task.agent.link, f"CONTROL:CANCEL:{task.name};token={task.token}")

    def gone(self, peer: Peer, released: bool) -> None:
        peer.draining = True
        self.relist(peer)
        for task in list(peer.held):
            if not released:
                self.lose(task, "agent_gone")
            else:
                if task.state == "leased":
                    task.tries_used -= 1
                self.delay(task, 0)
        peer.live = False
        peer.share = None
        peer.link.peer = None
        del self.peers[peer.name]

    def close(self, link: Link) -> None:
        if link.closing:
            return
        link.closing = True
        for task in [*link.watching, *link.waiting]:
            task.watchers.remove(link)
            self.respend(task)
        link.watching, link.waiting = [], []
        if link.peer is not None:
            self.gone(link.peer, released=False)
        self.effects.append(("close", link))
