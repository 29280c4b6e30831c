"""One run of one plan: everything put together, faults, then calm, then the last accounts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ganglion.sim.abilities import Abilities, ask
from ganglion.sim.agent import Agent
from ganglion.sim.chance import Chance
from ganglion.sim.client import Client, Sent
from ganglion.sim.clock import Clock
from ganglion.sim.coordinator import Coordinator
from ganglion.sim.disk import Disk
from ganglion.sim.ledger import Ledger
from ganglion.sim.native import Native, installed
from ganglion.sim.ops import Operator
from ganglion.sim.orders import Orders
from ganglion.sim.plan import Item, Plan
from ganglion.sim.wires import Note, Queue

CALM_US = 120_000_000  # after the last fault, so long at most until every task has ended
STEPS_MAX = 100_000
TRACE = 400


class BrokenPromise(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, words: str) -> None:
        super().__init__(f"{invariant}: {words}")
        self.invariant = invariant
        self.words = words


@dataclass
class Weather:
    """What links and disk do at present."""

    loss: float = 0.0
    twice: float = 0.0
    delay_us: int = 0
    slow_disk_us: int = 0
    lossy_at: int = -1  # the last time at which a message to or from a queue may have been lost


@dataclass
class Result:
    """What a run came to. ``invariant`` is empty when all promises were kept."""

    seed: int
    invariant: str = ""
    words: str = ""
    steps: int = 0
    virtual_us: int = 0
    tasks: int = 0
    crashes: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)


class World:
    """Everything of a run."""

    def __init__(self, plan: Plan, native: Native | None = None, verbose: bool = False) -> None:
        self.plan = plan
        self.settings = plan.settings
        self.native = installed() if native is None else native
        self.abilities: Abilities = ask(self.native)
        self.lossy_queues = self.abilities.leases
        self.chance = Chance(plan.seed)
        self.clock = Clock()
        self.disk = Disk()
        self.weather = Weather()
        self.inbox: deque[tuple[bytes, Note | None]] = deque()
        self.queues: dict[str, Queue] = {}
        self.crashes = 0
        self.calm = False
        self.ledger = Ledger(self)
        self.orders = Orders(self)
        self._trace: deque[tuple[int, str, tuple[object, ...]]] = deque(
            maxlen=None if verbose else TRACE
        )
        self.coordinator = Coordinator(self)
        self.clients = [
            Client(self, f"c{n}", kind) for n, kind in enumerate(self.settings["clients"])
        ]
        self.agents = [Agent(self, f"a{n}", one) for n, one in enumerate(self.settings["agents"])]
        self.ops = Operator(self)
        self._sent: dict[str, tuple[Client, Sent]] = {}
        for item in plan.items:
            self.clock.at(item["at"] * 1000, partial(self._do, item))

    # ---- what the parts ask of each other ---------------------------------------------------------

    def fail(self, invariant: str, words: str) -> None:
        raise BrokenPromise(invariant, words)

    def trace(self, form: str, *what: object) -> None:
        """Keep a line for a report; it is put into words only if there is one."""
        self._trace.append((self.clock.now, form, what))

    def told(self) -> list[str]:
        """What happened, in words: all of it when verbose, else the last of it."""
        return [f"{at / 1000:12.3f} ms  {form.format(*what)}" for at, form, what in self._trace]

    def is_acked(self, name: str) -> bool:
        record = self.ledger.tasks.get(name)
        return record is not None and (record.acked or record.outcome is not None)

    def is_refused(self, name: str) -> bool:
        found = self._sent.get(name)
        return found is None or found[1].state in ("refused", "expired")

    def acked(self, name: str) -> None:
        self.trace("client has the ack of {}", name)

    def ended(self, name: str) -> None:
        self.trace("client has the outcome of {}: {}", name, self.ledger.record(name).outcome)

    # ---- the plan -----------------------------------------------------------------------------------

    def _do(self, item: Item) -> None:
        self.trace("plan: {}", item)
        getattr(self, f"_do_{item['do']}")(item)

    def _do_task(self, item: Item) -> None:
        client = self.clients[item["client"]]
        params = dict(item["params"])
        payload = item["payload"].encode()
        if b"\n" in payload:
            params["len"] = str(len(payload))
        if client.is_queue:
            params["from"] = client.name
        text = "".join(f";{key}={value}" for key, value in params.items())
        line = f"DATA:{item['action']}:{item['name']}{text}:".encode() + payload + b"\n"
        needs = tuple(filter(None, params.get("after", "").split(",")))
        sent = Sent(item["name"], line, needs, params.get("ack") == "0")
        self._sent[item["name"]] = (client, sent)
        client.submit(sent)

    def _do_again(self, item: Item) -> None:
        found = self._sent.get(item["name"])
        if found is not None and found[0].known and found[1].state in ("sent", "acked"):
            found[0].wire.send(found[1].line)

    def _do_cancel(self, item: Item) -> None:
        self.ops.ask(item["name"], f"CONTROL:CANCEL:{item['name']}")

    def _do_kick(self, item: Item) -> None:
        self.ops.ask(item["name"], f"CONTROL:KICK:{item['name']}")

    def _do_look(self, item: Item) -> None:
        self.ops.ask(item["name"], f"CONTROL:PEEK:{item['name']}")
        self.ops.ask("s", "CONTROL:STATUS:s")

    def _do_limit(self, item: Item) -> None:
        self.ops.ask("l", f"CONTROL:LIMIT:l:{json.dumps(item['limit'])}")

    def _do_pause(self, item: Item) -> None:
        self.ops.ask("p", f"CONTROL:PAUSE:p:{item['action']}")
        resume = f"CONTROL:RESUME:p:{item['action']}"
        self.clock.after(item["for"] * 1000, lambda: self.ops.ask("p", resume))

    def _do_crash(self, item: Item) -> None:
        self.coordinator.armed.append(item)

    def _do_agent_crash(self, item: Item) -> None:
        self.agents[item["agent"]].crash(item["down"] * 1000)

    def _do_agent_pause(self, item: Item) -> None:
        self.agents[item["agent"]].pause(item["for"] * 1000)

    def _do_cut(self, item: Item) -> None:
        peers: list[Agent] | list[Client] = self.agents if item["side"] == "agent" else self.clients
        peers[item["who"]].wire.cut()

    def _do_weather(self, item: Item) -> None:
        weather = self.weather
        weather.loss, weather.twice = item["loss"], item["twice"]
        weather.delay_us = item["delay"] * 1000
        weather.lossy_at = max(weather.lossy_at, self.clock.now + item["for"] * 1000)

        def clear() -> None:
            weather.loss = weather.twice = 0.0
            weather.delay_us = 0

        self.clock.after(item["for"] * 1000, clear)

    def _do_jump(self, item: Item) -> None:
        self.coordinator.offset_us += item["by"] * 1000
        self.coordinator.wake()

    def _do_slow_disk(self, item: Item) -> None:
        self.weather.slow_disk_us = item["by"] * 1000

        def clear() -> None:
            self.weather.slow_disk_us = 0

        self.clock.after(item["for"] * 1000, clear)

    def _do_full_disk(self, item: Item) -> None:
        self.disk.room = item["room"]

        def clear() -> None:
            self.disk.room = None

        self.clock.after(item["for"] * 1000, clear)

    # ---- the run ------------------------------------------------------------------------------------

    def run(self) -> Result:
        """From the start to the last accounts."""
        result = Result(self.plan.seed)
        try:
            self.coordinator.start()
            self._go(self.settings["until_ms"] * 1000)
            self._settle_down()
            self._go(self.clock.now + CALM_US, self._over)
            self._accounts()
        except BrokenPromise as broken:
            result.invariant, result.words = broken.invariant, broken.words
            result.trace = self.told()
        result.steps, result.virtual_us = self.clock.steps, self.clock.now
        result.tasks, result.crashes = self.plan.tasks, self.crashes
        result.counts = dict(self.ledger.counts, checkpoints=self.coordinator.checkpoints)
        return result

    def _go(self, until_us: int, over: Callable[[], bool] | None = None) -> None:
        clock = self.clock
        while clock.step(until_us):
            if over is not None and clock.steps % 16 == 0 and over():
                return
            if clock.steps > STEPS_MAX:
                self.fail("end", f"after {STEPS_MAX} steps the run is not over")

    def _settle_down(self) -> None:
        """No more faults."""
        self.calm = True
        self.coordinator.armed.clear()
        self.disk.room = None
        self.weather.loss = self.weather.twice = 0.0
        self.weather.delay_us = self.weather.slow_disk_us = 0
        self.trace("calm")
        if self.ledger.hurt:  # a RESUME may have been lost with its batch: an operator sees to it
            for action in sorted({i["action"] for i in self.plan.items if i["do"] == "pause"}):
                self.ops.ask("p", f"CONTROL:RESUME:p:{action}")

    def _over(self) -> bool:
        core = self.coordinator.core
        return (
            self.coordinator.up
            and core is not None
            and not self.ops.waiting
            and not any(client.waiting for client in self.clients)
            and core.unfinished() == 0
        )

    def _accounts(self) -> None:
        """Every task has ended, and a restart has the same table."""
        for client in self.clients:
            for task in client.waiting:
                record = self.ledger.record(task.name)
                kind = "end" if record.acked else "answer"
                view = self.coordinator.core and self.coordinator.core.task(task.name)
                self.fail(
                    kind,
                    f"{task.name} of {client.name} is {task.state} to the end; the core has {view}",
                )
        if self.ops.waiting:
            self.fail("answer", f"{self.ops.waiting} requests of the operator are not answered")
        core = self.coordinator.core
        if core is not None and core.unfinished():
            self.fail("end", f"{core.unfinished()} tasks are unfinished to the end")
        if core is not None and (line := core.check()):
            self.fail("check", f"csrc/src/core/check.c line {line}")
        self._same_again()

    def _same_again(self) -> None:
        """Kill it, start it, compare."""
        coordinator = self.coordinator
        if coordinator.core is None:
            return
        names = [name for name, record in self.ledger.tasks.items() if not record.excused]
        before = {name: coordinator.core.task(name) for name in names}
        coordinator.stop()
        self._go(self.clock.now + 1_000)
        for name in names:
            after = coordinator.core.task(name) if coordinator.core else None
            gone = after is None and self.ledger.record(name).forgotten  # its time was over
            if after != before[name] and not gone:
                self.fail("same", f"{name} was {before[name]}, after a restart it is {after}")


def run(plan: Plan, native: Native | None = None, verbose: bool = False) -> Result:
    """Run a plan."""
    return World(plan, native, verbose).run()
