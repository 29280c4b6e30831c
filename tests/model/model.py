"""The dispatch core as a small Python model: the same messages, states and choices, written for reading.

It holds dictionaries and lists where the core holds tables, and looks for the best by min() where the
core keeps lists sorted. It writes the very bytes the core must write, in the same order: first the
answer to a message, then what follows from it (outcomes, dependents, dispatches).
"""

from __future__ import annotations

from dataclasses import dataclass, field

MASK = (1 << 64) - 1
MS = 1000
NEVER = (1 << 63) - 1
ENDED = ("done", "buried", "cancelled")

TEXTS = {
    "bad_number": "this parameter is a decimal number within its range",
    "bad_payload": "the payload is not what this verb takes",
    "bad_param": "header parameters are ;key=value with a-z 0-9 _ keys",
    "unknown_task": "no task of this name is known here",
    "unknown_sender": "register first, then send this with from=",
    "bad_state": "the task is not in a state in which this can be done",
    "stale": "that lease is over: the outcome was not applied",
    "exists": "another task holds this name with other content",
    "no_agent": "that agent is not here, does not serve this action or has no free slot",
    "busy": "a table is at its bound: try again later",
    "draining": "the coordinator takes no new tasks: it is draining",
}
REASONS = {
    "ttl": "its time to live is over",
    "tries": "it failed as often as it may be tried",
    "agent": "its agent gave it up",
    "agent_gone": "its agent went away on the last try",
    "lease": "its lease ran out on the last try",
    "after": "a task it waits for was buried or cancelled",
}


@dataclass
class Config:
    seed: int = 7
    epoch: int = 3
    tasks_max: int = 14
    results_max: int = 4
    bytes_max: int = 1 << 20
    watches_max: int = 8
    edges_max: int = 5
    peers_max: int = 4
    out_bytes_max: int = 500
    tries: int = 3
    lease_ms: int = 3000
    backoff_ms: int = 200
    backoff_ms_max: int = 1000
    keep_ms: int = 20000
    keep_buried_ms: int = 0
    heartbeat_ms: int = 1000
    agent_timeout_ms: int = 10000
    cancel_grace_ms: int = 1500


@dataclass(eq=False, repr=False)
class Link:
    """One connection. `address` when the core asked for it."""

    address: str = ""
    out: bytearray = field(default_factory=bytearray)
    peer: Peer | None = None
    waiting: list[Task] = field(default_factory=list)  # results that wait for room, in order
    watching: list[Task] = field(default_factory=list)
    doomed: bool = False
    closing: bool = False


@dataclass(eq=False, repr=False)
class Peer:
    name: str
    link: Link
    run: str
    actions: list[str] = field(default_factory=list)
    slots: int = 1
    held: list[Task] = field(default_factory=list)
    draining: bool = False
    blocked: bool = False
    live: bool = True
    share: int | None = None
    since: int = 0  # when it got to its share
    heard: int = 0
    beat: int = 0
    timer: tuple[int, int] | None = None


@dataclass(eq=False, repr=False)
class Task:
    name: str
    action: str
    payload: str
    params: dict[str, str]  # what is passed on
    content: tuple[str, str]
    prio: int
    tries_max: int
    lease: int
    keep: int
    keep_given: bool
    ttl_at: int
    state: str = "none"
    tries_used: int = 0
    token: int = 0
    agent: Peer | None = None
    due: int = NEVER
    delayed: bool = False
    turn: int = 0
    leased_at: int = 0
    reason: str = ""
    words: str = ""
    result: bytes = b""
    watchers: list[Link] = field(default_factory=list)
    timer: tuple[int, int] | None = None
    size: int = 0


class Model:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.now = 0
        self.tasks: dict[str, Task] = {}
        self.peers: dict[str, Peer] = {}
        self.paused: set[str] = set()
        self.buried: list[Task] = []  # oldest first
        self.spent: list[Task] = []  # may make room, oldest first
        self.edges: list[tuple[Task, Task]] = []  # (who waits for or runs after, whom), oldest first
        self.effects: list[tuple[str, Link]] = []
        self.draining = False
        self.random = config.seed
        self.token = (config.epoch & 0xFFFFF) << 32
        self.sequence = self.turns = self.shares = self.named = 0
        self.settling: list[Task] = []
        self.ready_actions: list[str] = []
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

    def reject(self, link: Link | None, task: str, code: str) -> str:
        self.say(link, f"RESPONSE:REJECTED:{task}:{code} {TEXTS[code]}")
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
            timers: list[tuple[tuple[int, int], Task | Peer]] = [
                (thing.timer, thing)
                for thing in [*self.tasks.values(), *self.peers.values()]
                if thing.timer is not None and thing.timer[0] <= self.now
            ]
            if not timers:
                return
            _, thing = min(timers, key=lambda pair: pair[0])
            if isinstance(thing, Peer):
                self.peer_due(thing)
            else:
                self.task_due(thing)
            self.settle()

    def next_us(self) -> int:
        things = [*self.tasks.values(), *self.peers.values()]
        return min((thing.timer[0] for thing in things if thing.timer), default=NEVER)

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
            assert task.agent is not None
            task.due = max(task.agent.beat, task.leased_at) + task.lease
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
        due = peer.heard + self.config.agent_timeout_ms * MS
        if due > self.now:
            self.arm_peer(peer, due)
        else:
            self.close(peer.link)

    # ---- states ----

    def shift(self, task: Task, state: str) -> None:
        """Leave one state for another; what the new one needs has been set before."""
        if not (task.state == "leased" and state == "cancelling"):
            if task.agent is not None:
                agent, task.agent = task.agent, None
                agent.held.remove(task)
                self.relist(agent)
                self.mark(agent)
            task.token = 0
        if task.state == "buried":
            self.buried.remove(task)
        task.state = state
        if state != "waiting":
            task.delayed = False
        if state == "ready":
            task.due = NEVER
            self.turns += 1
            task.turn = self.turns
            if task.action not in self.ready_actions:
                self.ready_actions.append(task.action)
        elif state == "cancelling":
            task.due = self.now + self.config.cancel_grace_ms * MS
        elif state in ENDED:
            self.end(task)
        self.arm(task)
        self.respend(task)

    def end(self, task: Task) -> None:
        task.ttl_at = NEVER
        self.unlink(task, 0)
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

    def needs(self, task: Task) -> list[Task]:
        return [to for who, to in self.edges if who is task]

    def waits(self, task: Task) -> int:
        return sum(other.state != "done" for other in self.needs(task))

    def pinned(self, task: Task) -> bool:
        return any(to is task for _, to in self.edges)

    def unlink(self, task: Task, keep: int) -> None:
        """Drop its edges but the first `keep`, newest first."""
        mine = [edge for edge in self.edges if edge[0] is task]
        for who, to in reversed(mine[keep:]):
            at = max(i for i, edge in enumerate(self.edges) if edge == (who, to))
            del self.edges[at]
            self.respend(to)

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

    def wake(self, task: Task) -> None:
        for other in dict.fromkeys(who for who, to in self.edges if to is task):
            if other.state != "waiting":
                continue
            if task.state == "done":
                if self.waits(other) == 0 and not other.delayed:
                    self.shift(other, "ready")
            else:
                self.bury(other, "after", task.name)

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
        ready = [t for t in self.tasks.values() if t.state == "ready" and t.action == action]
        return min(ready, key=lambda t: (-t.prio, t.turn), default=None)

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
            while (task := self.head(action)) and (agent := self.pick(action)):
                self.dispatch(task, agent)
        while self.free_agents:
            agent = self.free_agents.pop(0)
            while agent.live and agent.share is not None:
                heads = [h for action in agent.actions if (h := self.head(action))]
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
        self.shift(task, "leased")
        task.token = self.token
        task.agent = agent
        agent.held.append(task)
        self.relist(agent)
        params = {**task.params, "lease": str(task.lease // MS), "try": str(task.tries_used)}
        params["token"] = str(task.token)
        line = f"DATA:{task.action}:{task.name}{self.text(params)}:{task.payload}\n"
        agent.link.out += line.encode()

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

    # ---- messages: each returns the code it was refused with, or "" ----

    def register(
        self, link: Link | None, name: str, run: str, actions: list[str], slots: int, inbox: str
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
        peer.slots, peer.heard, peer.beat = slots, self.now, self.now
        self.relist(peer)
        peer.timer = None
        if actions:
            self.arm_peer(peer, self.now + self.config.agent_timeout_ms * MS)
        body = f'{{"inline":65536,"heartbeat_ms":{self.config.heartbeat_ms}}}'
        self.say(peer.link, f"ACK:WELCOME:{name};epoch={self.config.epoch}:{body}")
        self.mark(peer)
        return ""

    def heartbeat(self, peer: Peer) -> None:
        peer.heard = peer.beat = self.now
        self.say(peer.link, f"ACK:PONG:{peer.name};epoch={self.config.epoch}")

    def bye(self, peer: Peer) -> None:
        self.say(peer.link, f"ACK:DONE:{peer.name}")
        link = peer.link
        self.gone(peer, released=True)
        self.close(link)

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
        old = self.tasks.get(name)
        if old is not None:
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
        if code := self.link(task, params.get("after", "")):
            return self.reject(link, given, code)
        if not self.watch(task, link):
            self.unlink(task, 0)
            return self.reject(link, given, "busy")
        self.tasks[name] = task
        if params.get("ack") != "0":
            self.say(link, f"ACK:RECEIVED:{name}")
        self.start(task, int(params.get("delay", "0")))
        return ""

    def made(self, name: str, action: str, payload: str, params: dict[str, str]) -> Task:
        taken = ("ack", "delay", "lease", "keep", "from")
        ttl = int(params.get("ttl", "0"))
        return Task(
            name=name,
            action=action,
            payload=payload,
            params={k: v for k, v in params.items() if k not in taken},
            content=(action, payload),
            prio=int(params.get("prio", "4")),
            tries_max=int(params.get("tries", str(self.config.tries))),
            lease=int(params.get("lease", str(self.config.lease_ms))) * MS,
            keep=int(params.get("keep", str(self.config.keep_ms))) * MS,
            keep_given="keep" in params,
            ttl_at=self.now + ttl * MS if ttl else NEVER,
        )

    def link(self, task: Task, names: str) -> str:
        """Edges to all of them, or a code and none."""
        before = len(self.needs(task))
        for name in filter(None, names.split(",")):
            other = self.tasks.get(name)
            code = "unknown_task" if other is None or name == task.name else ""
            if not code and len(self.edges) >= self.config.edges_max:
                code = "busy"
            if code or other is None:
                self.unlink(task, before)
                return code
            self.edges.append((task, other))
            self.respend(other)
        return ""

    def start(self, task: Task, delay: int) -> None:
        lost = any(other.state in ("buried", "cancelled") for other in self.needs(task))
        if delay:
            task.due = self.now + delay * MS
        if self.waits(task) or lost:
            task.delayed = delay > 0
            self.shift(task, "waiting")
            if lost:
                self.bury(task, "after", "")
        else:
            self.shift(task, "delayed" if delay else "ready")

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
            self.failed(task, TEXTS["bad_param"], None)
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
        code = self.link(task, params.get("after", ""))
        if code == "unknown_task":
            self.failed(task, TEXTS[code], None)
        if code:
            return code if code == "busy" else ""
        kept = {k: v for k, v in task.params.items() if k not in ("ct", "via", "after", *own)}
        if via[1:]:
            kept["via"] = ",".join(via[1:])
        if "after" in params:
            kept["after"] = params["after"]
        task.params = {**kept, **own}
        task.payload, task.tries_used, task.due, task.words = payload, 0, NEVER, ""
        task.action = via[0]
        lost = any(other.state in ("buried", "cancelled") for other in self.needs(task))
        self.shift(task, "waiting" if self.waits(task) or lost else "ready")
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
        ms = min(config.backoff_ms << (task.tries_used - 1), config.backoff_ms_max)
        self.random = z = (self.random + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ms + (z ^ (z >> 31)) % (ms // 2 + 1)

    def released(self, task: Task, delay: int) -> None:
        task.tries_used -= 1
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
