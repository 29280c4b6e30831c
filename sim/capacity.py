"""Answers about capacity: the real core under the virtual clock, agents that take their time, no faults.

What is simulated beside the core is time: hops, the coordinator's own time for each round and message (one thread, so
messages wait for each other), a sync of the journal, and what the agents' handlers take. Who gets which task when is
decided by the core.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ganglion.sim.clock import Clock
from ganglion.sim.distributions import Draw, distribution
from ganglion.sim.native import STREAM, Core, Native, installed
from ganglion.sim.scenario import Group, Load, Scenario

START_US = 1_600_000_000_000_000
WHOLE = 1 << 30
QUANTILES = (0.5, 0.9, 0.95, 0.99)


@dataclass
class Times:
    """Of the tasks of one action that ended in the measured time. Milliseconds."""

    waits: list[float] = field(
        default_factory=list
    )  # from being ready at the coordinator to the handler's start
    runs: list[float] = field(default_factory=list)


@dataclass
class Server:
    """One agent."""

    link: int
    group: int
    name: str
    busy: int = 0


class Capacity:
    """One run of one scenario."""

    def __init__(self, scenario: Scenario, native: Native | None = None) -> None:
        self.scenario = scenario
        self.clock = Clock()
        agents = sum(group.count for group in scenario.agents)
        long_ms = 2_000_000_000
        self.core = Core(
            native or installed(),
            {
                "seed": scenario.seed, "epoch": 1, "peers_max": agents + 8, "links_max": agents + 8,
                "lease_ms": long_ms, "agent_timeout_ms": long_ms, "suspect_ms": 0,
                "keep_ms": 1, "results_max": 1 << 20,
            },
        )  # fmt: skip
        self.begin_us = int(scenario.warmup * 1e6)
        self.end_us = self.begin_us + int(scenario.seconds * 1e6)
        self.times: dict[str, Times] = {}
        self.whole: dict[
            str, list[float]
        ] = {}  # by load: from the client's submission to its result
        self.ended = 0
        self.submitted = 0
        self.slot_us = [0.0] * len(scenario.agents)
        self.loop_us = 0.0
        self._ready: dict[
            bytes, int
        ] = {}  # task: when it came to the coordinator, or its last leg ended there
        self._born: dict[bytes, tuple[int, str, Callable[[], None] | None]] = {}
        self._arrived: list[tuple[int, bytes]] = []
        self._busy = False
        self._number = 0
        self._draws: dict[
            tuple[int, str], Draw
        ] = {}  # by link and action: each agent its own, when first used
        self._clients = self.core.open(START_US, STREAM)
        self._servers: dict[int, Server] = {}
        for number, group in enumerate(scenario.agents):
            self._enrol(number, group)
        self._clear()

    def _enrol(self, number: int, group: Group) -> None:
        actions = ",".join(f'"{action}"' for action in group.service)
        for n in range(group.count):
            name = f"{group.name}_{n}"
            link = self.core.open(START_US, STREAM)
            text = f'CONTROL:REGISTER:{name}:{{"actions":[{actions}],"slots":{group.slots}}}\n'
            self.core.feed(START_US, link, text.encode(), False)
            self._servers[link] = Server(link, number, name)

    def _clear(self) -> None:
        for link in self.core.dirty():
            self.core.sent(START_US, link, len(self.core.output(link, WHOLE)))

    # ---- the load -----------------------------------------------------------------------------------

    def _open_load(self, number: int, load: Load) -> None:
        source = random.Random(f"{self.scenario.seed} load {number}")

        def arrive() -> None:
            self._submit(number, load, None)
            self.clock.after(round(source.expovariate(load.rate) * 1e6), arrive)

        self.clock.at(round(source.expovariate(load.rate) * 1e6), arrive)

    def _closed_load(self, number: int, load: Load) -> None:
        think, _ = distribution(load.think, f"{self.scenario.seed} think {number}")
        source = random.Random(f"{self.scenario.seed} begin {number}")
        for _ in range(load.clients):
            self.clock.at(source.randrange(1, 10_000), partial(self._again, number, load, think))

    def _again(self, number: int, load: Load, think: Draw) -> None:
        def later() -> None:
            self.clock.after(round(think() * 1000), partial(self._again, number, load, think))

        self._submit(number, load, later)

    def _submit(self, number: int, load: Load, ended: Callable[[], None] | None) -> None:
        self._number += 1
        name = b"t%d" % self._number
        via = ";via=" + ",".join(load.via) if load.via else ""
        head = f"DATA:{load.action}:t{self._number};prio={load.prio}{via}:"
        self._born[name] = (self.clock.now, f"{number} {load.action}", ended)
        self.submitted += self.begin_us <= self.clock.now < self.end_us
        self._send(self._clients, head.encode() + b"x" * load.payload_bytes + b"\n", name)

    # ---- the coordinator ------------------------------------------------------------------------

    def _send(self, link: int, line: bytes, task: bytes = b"") -> None:
        """From a peer: there after a hop."""

        def arrive() -> None:
            if task:
                self._ready[task] = self.clock.now
            self._arrived.append((link, line))
            if not self._busy:
                self._round()

        self.clock.after(round(self.scenario.costs.hop_us), arrive)

    def _round(self) -> None:
        """Read all there is; what comes of it leaves when the time for it is over."""
        costs, core, now = self.scenario.costs, self.core, START_US + self.clock.now
        arrived, self._arrived = self._arrived, []
        for link, line in arrived:
            core.feed(now, link, line, False)
        core.tick(now)
        number, _ = core.seal()
        if number and costs.sync_us > 0:
            self.clock.after(round(costs.sync_us), partial(self._commit, number))
        elif number:
            core.committed(number)
        out = self._outputs(now)
        messages = len(arrived) + sum(len(lines) for _, lines in out)
        spent = costs.round_us + messages * costs.message_us
        if self.begin_us <= self.clock.now < self.end_us:
            self.loop_us += spent
        self._busy = True
        self.clock.after(round(spent), partial(self._leave, out))

    def _outputs(self, now: int) -> list[tuple[int, list[bytes]]]:
        out = []
        for link in self.core.dirty():
            data = self.core.output(link, WHOLE)
            if data:
                self.core.sent(now, link, len(data))
                out.append((link, data.split(b"\n")[:-1]))
        return out

    def _commit(self, number: int) -> None:
        self.core.committed(number)
        self._leave(self._outputs(START_US + self.clock.now), done=False)

    def _leave(self, out: list[tuple[int, list[bytes]]], done: bool = True) -> None:
        hop = round(self.scenario.costs.hop_us)
        for link, lines in out:
            self.clock.after(hop, partial(self._reach, link, lines))
        if done:
            self._busy = False
            if self._arrived:
                self._round()

    # ---- the peers --------------------------------------------------------------------------------

    def _reach(self, link: int, lines: list[bytes]) -> None:
        server = self._servers.get(link)
        for line in lines:
            if server is None:
                if line.startswith(b"RESPONSE:TASK_"):
                    self._result(line)
            elif line.startswith(b"DATA:"):
                self._work(server, line)

    def _work(self, server: Server, line: bytes) -> None:
        """The lines are the core's own, without an escaped character in what is read here."""
        _, action, head, _ = line.split(b":", 3)
        task = head.partition(b";")[0]
        token = head.partition(b";token=")[2].partition(b";")[0]
        word, now = action.decode(), self.clock.now
        took_ms = self._draw(server, word)()
        us = round(took_ms * 1000)
        if self.begin_us <= now < self.end_us:
            times = self.times.setdefault(word, Times())
            times.waits.append((now - self._ready[task]) / 1000)
            times.runs.append(took_ms)
        busy = min(now + us, self.end_us) - max(now, self.begin_us)
        self.slot_us[server.group] += max(0, busy)

        def done() -> None:
            self._ready[task] = self.clock.now
            self._send(
                server.link, b"RESPONSE:TASK_COMPLETED:%s;token=%s:x\n" % (task, token), task
            )

        self.clock.after(us, done)

    def _draw(self, server: Server, action: str) -> Draw:
        found = self._draws.get((server.link, action))
        if found is None:
            raw = self.scenario.agents[server.group].service[action]
            found, _ = distribution(raw, f"{self.scenario.seed} {server.name} {action}")
            self._draws[server.link, action] = found
        return found

    def _result(self, line: bytes) -> None:
        task = line.split(b":", 3)[2].partition(b";")[0]
        born, load, ended = self._born.pop(task)
        self._ready.pop(task, None)
        if self.begin_us <= self.clock.now < self.end_us:
            self.ended += 1
            self.whole.setdefault(load, []).append((self.clock.now - born) / 1000)
        if ended is not None:
            ended()

    def _beat(self, server: Server, every_us: int) -> None:
        self._send(server.link, f"CONTROL:HEARTBEAT:{server.name}\n".encode())
        self.clock.after(every_us, partial(self._beat, server, every_us))

    # ---- the run ------------------------------------------------------------------------------------

    def run(self) -> dict[str, object]:
        """To the end of the measured time; what came of it (see report.py)."""
        for number, load in enumerate(self.scenario.load):
            (self._open_load if load.rate > 0 else self._closed_load)(number, load)
        if self.scenario.heartbeat_ms > 0:
            every = self.scenario.heartbeat_ms * 1000
            source = random.Random(f"{self.scenario.seed} beats")
            for server in self._servers.values():
                self.clock.at(source.randrange(every), partial(self._beat, server, every))
        begun = time.perf_counter()
        while self.clock.step(self.end_us):
            pass
        return self._facts(time.perf_counter() - begun)

    def _facts(self, wall_s: float) -> dict[str, object]:
        seconds = self.scenario.seconds
        slots = [group.count * group.slots for group in self.scenario.agents]
        return {
            "seconds": seconds,
            "agents": sum(group.count for group in self.scenario.agents),
            "slots": sum(slots),
            "offered": self.submitted / seconds,
            "throughput": self.ended / seconds,
            "unfinished": len(self._born),
            "coordinator": self.loop_us / (seconds * 1e6),
            "utilisation": {
                group.name: busy / (count * seconds * 1e6)
                for group, count, busy in zip(
                    self.scenario.agents, slots, self.slot_us, strict=True
                )
            },
            "wait_ms": {action: summary(times.waits) for action, times in self.times.items()},
            "run_ms": {action: summary(times.runs) for action, times in self.times.items()},
            "whole_ms": {load: summary(values) for load, values in self.whole.items()},
            "events": self.clock.steps,
            "events_per_s": self.clock.steps / wall_s if wall_s > 0 else 0.0,
            "wall_s": wall_s,
        }


def summary(values: list[float]) -> dict[str, float]:
    """Count, mean, percentiles (nearest rank) and maximum."""
    ranked, count = sorted(values), len(values)
    if not count:
        return {"count": 0}
    found = {f"p{q * 100:g}": ranked[min(count - 1, int(q * count))] for q in QUANTILES}
    return {"count": count, "mean": sum(ranked) / count, **found, "max": ranked[-1]}
