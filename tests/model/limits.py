"""The model's limits: buckets and bounds of an action, a sender, a label; who is parked there and who comes back.

Where the core keeps lists in step, this looks for the first by min(); what it parks and invites, and in which order,
is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model.keys import Keys
from model.things import NEVER, Config, Peer, Task

TOKEN = 10**9


@dataclass(eq=False, repr=False)
class Berth:
    """What one action has parked on one meter, by priority, and whom it has invited back to the queue."""

    meter: Meter
    action: str
    parked: dict[int, list[Task]] = field(default_factory=dict)
    invited: dict[int, Task] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Meter:
    name: str  # "label/x"
    rate: int = 0  # thousandths of a token a second
    burst: int = 0
    bound: int = 0
    level: int = 0  # in 1e-9 tokens, at level_at
    level_at: int = 0
    running: int = 0
    berths: dict[str, Berth] = field(default_factory=dict)  # by action
    timer: tuple[int, int] | None = None

    @property
    def limited(self) -> bool:
        return self.rate > 0 or self.bound > 0

    def parked(self) -> int:
        return sum(len(tasks) for b in self.berths.values() for tasks in b.parked.values())


class Limits(Keys):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.now = self.sequence = self.invitations = 0
        self.tasks: dict[str, Task] = {}
        self.peers: dict[str, Peer] = {}
        self.meters: dict[str, Meter] = {}

    # ---- who refers to what ----

    def names(self, task: Task) -> list[str]:
        """What of the task limits may be set on, but its action."""
        return [name for name in [task.sender, *task.labels] if name]

    def live(self) -> set[str]:
        """Meters somebody refers to."""
        live = {meter.name for meter in self.meters.values() if meter.limited}
        live |= {f"sender/{peer.name}" for peer in self.peers.values() if peer.metered}
        for task in self.tasks.values():
            if task.state not in ("done", "cancelled"):
                live |= set(self.names(task))
        return live

    def tag(self, task: Task, peer: Peer | None, labels: str, sender: str) -> bool:
        """Note its labels and sender; False: a name too many."""
        live = self.live()
        task.labels = list(
            dict.fromkeys(f"label/{name}" for name in filter(None, labels.split(",")))
        )
        task.sender = f"sender/{peer.name if peer else sender}" if peer or sender else ""
        for name in filter(None, [*task.labels, task.sender]):
            if name not in live and len(live) >= self.config.limits_max:
                return False
            live.add(name)
        if peer:
            peer.metered = True
        return True

    def meter(self, name: str) -> Meter:
        return self.meters.setdefault(name, Meter(name))

    # ---- buckets ----

    def level(self, meter: Meter) -> int:
        if meter.rate == 0:
            return meter.burst * TOKEN
        return min(meter.level + (self.now - meter.level_at) * meter.rate, meter.burst * TOKEN)

    def fill(self, meter: Meter) -> None:
        meter.level, meter.level_at = self.level(meter), self.now

    def running(self, meter: Meter) -> int:
        kind, _, name = meter.name.partition("/")
        if kind != "action":
            return meter.running
        held = ("leased", "cancelling")
        return sum(t.state in held and t.action == name for t in self.tasks.values())

    def open(self, meter: Meter) -> bool:
        if meter.rate and self.level(meter) < TOKEN:
            return False
        return not meter.bound or self.running(meter) < meter.bound

    def spend(self, task: Task) -> None:
        """It is handed out: a token of each."""
        for name in [f"action/{task.action}", *self.names(task)]:
            meter = self.meter(name)
            if meter.rate:
                self.fill(meter)
                meter.level -= min(meter.level, TOKEN)
            if meter.parked():
                self.arm_meter(meter)

    def arm_meter(self, meter: Meter) -> None:
        if meter.timer is None and meter.rate and self.level(meter) < TOKEN:
            self.fill(meter)
            self.sequence += 1
            at = self.now - (meter.level - TOKEN) // meter.rate
            meter.timer = (at, self.sequence)

    def meter_due(self, meter: Meter) -> None:
        meter.timer = None
        self.wake_meter(meter)

    def set_limit(self, name: str, rate: int, burst: int, bound: int) -> bool:
        """False: a name too many."""
        live, on = self.live(), rate > 0 or bound > 0
        if name not in live and not on:
            return True
        if name not in live and len(live) >= self.config.limits_max:
            return False
        meter = self.meter(name)
        fresh = meter.rate == 0
        self.fill(meter)
        meter.rate, meter.burst, meter.bound = rate, burst, bound
        if fresh or meter.level > burst * TOKEN:
            meter.level = burst * TOKEN
        meter.timer = None
        self.wake_meter(meter)
        return True

    # ---- running tasks ----

    def runs(self, task: Task) -> None:
        task.ran_as = task.action  # an outcome may send it on to another
        for name in self.names(task):
            self.meter(name).running += 1

    def runs_no_more(self, task: Task) -> None:
        if self.meter(f"action/{task.ran_as}").limited:
            self.mark_action(task.ran_as)
        for name in self.names(task):
            meter = self.meter(name)
            meter.running -= 1
            if meter.bound and meter.parked():
                self.wake_meter(meter)

    # ---- parked and invited ----

    def closed_for(self, task: Task) -> Meter | None:
        return next((m for m in map(self.meter, self.names(task)) if not self.open(m)), None)

    def refuses(self, task: Task) -> Meter | None:
        """What forbids it to run now."""
        action = self.meter(f"action/{task.action}")
        return self.closed_for(task) if self.open(action) else action

    def in_queue(self, action: str) -> Task | None:
        """The head of its queue, whether it may run or not: those that came back first, in that order."""
        ready = [t for t in self.tasks.values() if t.action == action and self.stand(t) == 1]
        return min(
            ready,
            key=lambda t: (-t.prio, t.berth is None, t.invitation if t.berth else t.turn),
            default=None,
        )

    def admitted(self, action: str) -> Task | None:
        """The head of its queue that may run; those that may not are parked."""
        while task := self.in_queue(action):
            if not self.open(self.meter(f"action/{action}")):
                self.arm_meter(self.meter(f"action/{action}"))
                return None
            closed = self.closed_for(task)
            if closed is None:
                return task
            self.park(task, closed)
        return None

    def park(self, task: Task, meter: Meter) -> None:
        berth = meter.berths.setdefault(task.action, Berth(meter, task.action))
        parked = berth.parked.setdefault(task.prio, [])
        if task.berth is berth:
            del berth.invited[task.prio]
            parked.insert(0, task)
        else:
            self.leave_queue(task)
            parked.append(task)
        task.berth, task.parked = berth, True
        self.arm_meter(meter)

    def leave_queue(self, task: Task) -> None:
        berth, parked = task.berth, task.parked
        task.berth, task.parked = None, False
        if berth is None:
            return
        if parked:
            berth.parked[task.prio].remove(task)
        else:
            del berth.invited[task.prio]
        self.invite(berth)

    def invite(self, berth: Berth) -> None:
        prios = [prio for prio, tasks in berth.parked.items() if tasks]
        if not prios:
            if not berth.invited:
                berth.meter.berths.pop(berth.action)
        elif not self.open(berth.meter):
            self.arm_meter(berth.meter)
        elif max(prios) not in berth.invited:
            task = berth.parked[max(prios)].pop(0)
            task.parked = False
            self.invitations += 1
            task.invitation = self.invitations
            berth.invited[task.prio] = task
            self.mark_action(task.action)

    def wake_meter(self, meter: Meter) -> None:
        kind, _, name = meter.name.partition("/")
        if kind == "action":
            self.mark_action(name)
        for berth in list(meter.berths.values()):
            self.invite(berth)

    # ---- looking ----

    def limits(self) -> str:
        """The rows of LIMITS."""
        rows = []
        for name, meter in sorted(self.meters.items()):
            if not meter.limited:
                continue
            kind, _, bare = name.partition("/")
            row = f'"{kind}":"{bare}"'
            if meter.rate:
                row += f',"rate":{meter.rate / 1000:g},"burst":{meter.burst}'
            if meter.bound:
                row += f',"running":{meter.bound}'
            if meter.rate:
                row += f',"level":{self.level(meter) // TOKEN}'
            parked = meter.parked()
            if kind == "action" and not self.open(meter):
                parked = sum(t.state == "ready" and t.action == bare for t in self.tasks.values())
            rows.append(f'{{{row},"now":{self.running(meter)},"parked":{parked}}}')
        return f"[{','.join(rows)}]"

    def next_meter(self) -> int:
        return min((m.timer[0] for m in self.meters.values() if m.timer), default=NEVER)
