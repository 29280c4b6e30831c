"""Ganglion: a coordinator and a Python agent of their own, a Python client here, over POSIX queues.

The agent's handler upper-cases in Python; it reads ahead (slots) as any agent with short tasks would be set
up. The client is `ganglion.clients.Client` in the measuring process: `call` with one task in flight,
`map` with a window. The instance, its queues and folders are made for the run and removed after it.
As its peers here it keeps tasks in memory only; what a journal costs: bench/journal.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

from ganglion.clients import Client
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport.endpoint import NoCoordinatorError
from targets.base import Target, TargetError, end, spawn

START_S = 20.0
POLL_S = 0.01
SLOTS = 512
AGENT = """
from ganglion.daemons import Agent, Task
def build(config):
    agent = Agent("upper", slots=SLOTS, instance=config.instance, transport="mqueue")
    agent.add("UPPER", lambda task: task.payload.upper())
    return agent
""".replace("SLOTS", str(SLOTS))


class Ganglion(Target):
    """One coordinator, one Python agent, one Python client."""

    name = "ganglion"
    settings: ClassVar[dict[str, str]] = {  # of the coordinator, as in its environment
        "GANGLION_JOURNAL_POLICY": "memory",
        "GANGLION_JOURNAL_DIR": "none",
    }

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self._client: Client | None = None
        self._folder: Path | None = None
        self._payload = b""

    def start(self, size: int) -> None:
        """Start both daemons and connect; return when the agent has registered."""
        self._payload = (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size]
        self._folder = Path(tempfile.mkdtemp(prefix="ganglion-bench-"))
        name = f"bench-{os.getpid()}-{self.name}"
        instance = Instance(name, self._folder, self._folder)
        os.environ.update(
            GANGLION_RUNTIME_DIR=str(self._folder),
            GANGLION_STATE_DIR=str(self._folder),
            **self.settings,
        )
        role = self._folder / "upper.py"
        role.write_text(AGENT)
        daemon = (sys.executable, "-m", "ganglion.daemons.main")
        self._processes.append(spawn(*daemon, "coordinator", "-i", name))
        self._processes.append(spawn(*daemon, "agent", "-i", name, role))
        deadline = time.monotonic() + START_S
        while self._client is None or not list(self._client.agents()):
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes):
                raise TargetError("the coordinator or the agent does not start")
            with contextlib.suppress(NoCoordinatorError):
                self._client = self._client or Client(instance, transport="mqueue")
            time.sleep(POLL_S)

    def roundtrip(self, seconds: float) -> list[float]:
        """`Client.call`, one after the other; microseconds each."""
        client, payload, wanted = self._client, self._payload, self._payload.upper()
        assert client is not None
        times = []
        clock = time.perf_counter_ns
        stop = clock() + int(seconds * 1e9)
        now = clock()
        while now < stop:
            outcome = client.call("UPPER", payload)
            after = clock()
            if outcome.payload != wanted:
                raise TargetError(f"wrong answer {bytes(outcome.payload)[:40]!r}")
            times.append((after - now) / 1e3)
            now = after
        return times

    def throughput(self, seconds: float, window: int) -> float:
        """`Client.map`; finished tasks per second."""
        client, payload, wanted = self._client, self._payload, self._payload.upper()
        assert client is not None
        start = time.perf_counter()
        done = 0

        def source() -> object:
            while time.perf_counter() - start < seconds:
                yield payload

        for outcome in client.map("UPPER", source(), window=window):
            if outcome.payload != wanted:
                raise TargetError(f"wrong answer {bytes(outcome.payload)[:40]!r}")
            done += 1
        return done / (time.perf_counter() - start)

    @property
    def coordinator_pid(self) -> int:
        """Of the coordinator, once started."""
        return self._processes[0].pid

    @property
    def client(self) -> Client:
        """The measuring process's own client, once started."""
        assert self._client is not None
        return self._client

    @property
    def folder(self) -> Path:
        """Where the instance keeps its files, once started."""
        assert self._folder is not None
        return self._folder

    def stop(self) -> None:
        """End client, agent and coordinator."""
        if self._client is not None:
            self._client.close()
            self._client = None
        while self._processes:
            end(self._processes.pop())
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


TARGET = Ganglion
