"""Predictions of `ganglion sim --capacity` beside real runs: a coordinator, agents whose handlers sleep, a client.

    python bench/simcheck.py [--seconds 20] [--check] [QUESTION...]

Each question below is asked twice: of the simulator, and of real daemons over queues and a socket. The cost of a
hop is measured first, with a handler that returns at once. JSON lines on stdout: the machine, one `comparison` for each
question and metric, `gate`. Exit 1 with --check when a prediction is over 15 % off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ganglion.clients import Client
from ganglion.clients.aio import AsyncClient
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport.endpoint import NoCoordinatorError
from ganglion.sim.capacity import Capacity, summary
from ganglion.sim.distributions import distribution
from ganglion.sim.scenario import Load, Scenario, read
from harness import describe_machine
from targets.base import TargetError, end, spawn

START_S = 20.0
POLL_S = 0.02
WARMUP_S = 1.0
OFF_MAX = 0.15
CALIBRATIONS = 300
METRICS = ("throughput", "whole_mean", "whole_p90")

# Sizes that a machine with two processors can run: handlers sleep, so many agents share a processor.
QUESTIONS = {
    "open": """
        [[agents]]
        count = 4
        slots = 2
        service.A = {kind = "lognormal", ms = 25, cv = 0.6}
        [[load]]
        action = "A"
        rate = 220
    """,
    "busy": """
        [[agents]]
        count = 2
        slots = 3
        service.A = {kind = "exponential", ms = 40}
        [[load]]
        action = "A"
        rate = 105
    """,
    "closed": """
        [[agents]]
        count = 3
        slots = 2
        service.A = {kind = "constant", ms = 30}
        [[load]]
        action = "A"
        clients = 10
    """,
    "chain": """
        [[agents]]
        count = 2
        slots = 2
        service.A = {kind = "constant", ms = 20}
        [[agents]]
        name = "second"
        count = 3
        slots = 2
        service.B = {kind = "exponential", ms = 30}
        [[load]]
        action = "A"
        via = ["B"]
        rate = 120
    """,
}
ROLE = """
import random, time
from ganglion.daemons import Agent
from ganglion.sim.distributions import distribution
def handler(raw, seed):
    draw, _ = distribution(raw, seed)
    def sleep(task):
        time.sleep(draw() / 1000)
        return b"x"
    return sleep
def build(config):
    agent = Agent(NAME, slots=SLOTS, threads=SLOTS, instance=config.instance)
    for action, raw in SERVICE.items():
        agent.add(action, handler(raw, f"1 {NAME} {action}"))  # the simulator's own times
    agent.add("PING_" + NAME.upper(), lambda task: b"x")
    return agent
"""


class System:
    """A coordinator and the agents of a question, in an instance of their own."""

    def __init__(self, scenario: Scenario, number: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ganglion-simcheck-"))
        self.instance = Instance(f"simcheck-{os.getpid()}-{number}", self.folder, self.folder)
        os.environ.update(
            GANGLION_RUNTIME_DIR=str(self.folder), GANGLION_STATE_DIR=str(self.folder),
            GANGLION_JOURNAL_POLICY="memory", GANGLION_JOURNAL_DIR="none",
        )  # fmt: skip
        daemon = (sys.executable, "-m", "ganglion.daemons.main")
        self._processes: list[subprocess.Popen[str]] = []
        self._processes.append(spawn(*daemon, "coordinator", "-i", self.instance.name))
        self.agents = 0
        for group in scenario.agents:
            for n in range(group.count):
                name = f"{group.name}_{n}"
                head = f"NAME, SLOTS, SERVICE = {name!r}, {group.slots}, {group.service!r}\n"
                role = self.folder / f"{name}.py"
                role.write_text(head + ROLE)
                self._processes.append(spawn(*daemon, "agent", "-i", self.instance.name, role))
                self.agents += 1

    def wait(self) -> None:
        """Until every agent has registered."""
        deadline, client = time.monotonic() + START_S, None
        while True:
            with contextlib.suppress(NoCoordinatorError):
                client = client or Client(self.instance)
            if client is not None and len(list(client.agents())) >= self.agents:
                client.close()
                return
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes):
                raise TargetError("the coordinator or an agent does not start")
            time.sleep(POLL_S)

    def stop(self) -> None:
        while self._processes:
            end(self._processes.pop())
        shutil.rmtree(self.folder, ignore_errors=True)


class Real:
    """The load of a question, made with asyncio; milliseconds from submission to result."""

    def __init__(self, client: AsyncClient, scenario: Scenario) -> None:
        self.client, self.scenario = client, scenario
        self.times: list[float] = []
        self._begin = time.perf_counter() + WARMUP_S
        self._end = self._begin + scenario.seconds

    async def hop_us(self) -> float:
        """A fourth of a round trip with a handler that does nothing."""
        action = f"PING_{self.scenario.agents[0].name.upper()}_0"
        times = []
        for _ in range(CALIBRATIONS):
            begun = time.perf_counter()
            await self.client.call(action, b"x")
            times.append(time.perf_counter() - begun)
        return statistics.median(times) * 1e6 / 4

    async def _one(self, load: Load) -> None:
        begun = time.perf_counter()
        options = {"via": list(load.via)} if load.via else {}
        await self.client.call(load.action, b"x" * load.payload_bytes, **options)
        ended = time.perf_counter()
        if self._begin <= ended < self._end:
            self.times.append((ended - begun) * 1000)

    async def _open(self, load: Load, number: int) -> None:
        # The simulator's own arrivals: one chance less that sets the two apart.
        source = random.Random(f"{self.scenario.seed} load {number}")
        running = set[asyncio.Task[None]]()
        due = time.perf_counter()
        while due < self._end:
            due += source.expovariate(load.rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._one(load))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    async def _closed(self, load: Load, number: int) -> None:
        think, _ = distribution(load.think, f"think {number}")
        while time.perf_counter() < self._end:
            await self._one(load)
            await asyncio.sleep(think() / 1000)

    async def run(self) -> dict[str, float]:
        self._begin = time.perf_counter() + WARMUP_S
        self._end = self._begin + self.scenario.seconds
        todo: list[Awaitable[None]] = []
        for number, load in enumerate(self.scenario.load):
            if load.rate > 0:
                todo.append(self._open(load, number))
            todo += [self._closed(load, n) for n in range(load.clients)]
        await asyncio.gather(*todo)
        found = summary(self.times)
        rate = len(self.times) / self.scenario.seconds
        return {"throughput": rate, "whole_mean": found["mean"], "whole_p90": found["p90"]}


def predict(text: str, seconds: float, hop_us: float) -> dict[str, float]:
    """The simulator's answer, with the same arrivals."""
    head = f"seconds = {seconds}\nwarmup = {WARMUP_S}\ncosts = {{hop_us = {hop_us}}}\n"
    facts: dict[str, Any] = Capacity(read(head + text)).run()
    (found,) = facts["whole_ms"].values()
    return {
        "throughput": facts["throughput"], "whole_mean": found["mean"], "whole_p90": found["p90"],
    }  # fmt: skip


async def ask(
    system: System, scenario: Scenario, told: Callable[[float], None]
) -> dict[str, float]:
    async with AsyncClient(system.instance) as client:
        real = Real(client, scenario)
        told(await real.hop_us())
        return await real.run()


def compare(name: str, number: int, seconds: float) -> bool:
    """Ask a question of both; whether every metric agrees."""
    text = QUESTIONS[name]
    scenario = read(f"seconds = {seconds}\n{text}")
    hops: list[float] = []
    system = System(scenario, number)
    try:
        system.wait()
        measured = asyncio.run(ask(system, scenario, hops.append))
    finally:
        system.stop()
    predicted = predict(text, seconds, hops[0])
    good = True
    for metric in METRICS:
        off = predicted[metric] / measured[metric] - 1
        good = good and abs(off) <= OFF_MAX
        emit(
            "comparison", question=name, metric=metric, predicted=round(predicted[metric], 3),
            measured=round(measured[metric], 3), off=round(off, 4), hop_us=round(hops[0], 1),
        )  # fmt: skip
        words = f"{name:<8}{metric:<12}{predicted[metric]:>10.2f} predicted"
        print(f"{words}{measured[metric]:>10.2f} measured{off:>9.1%}", file=sys.stderr)
    return good


def emit(record: str, **fields: object) -> None:
    print(json.dumps({"bench": "simcheck", "record": record, **fields}), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Predictions of the simulator beside real runs.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="measured for each question (20)"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when a prediction is over 15 %% off"
    )
    try:
        options = parser.parse_args()
    except SystemExit as stop:
        return 64 if stop.code else 0
    if unknown := set(options.questions) - set(QUESTIONS):
        print(f"simcheck: no such question: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 64
    emit("machine", **describe_machine())
    names = options.questions or list(QUESTIONS)
    good = [compare(name, number, options.seconds) for number, name in enumerate(names)]
    emit("gate", metric="off", limit=OFF_MAX, passed=all(good))
    return 0 if all(good) or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
