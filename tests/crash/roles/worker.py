"""The agent of the crash harness: it writes every run into its ledger first, then does what the action says.

CRASH_LEDGERS=DIR CRASH_ACTIONS=ECHO,SEAL gangliond agent tests/crash/roles/worker.py
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from crash.ledger import Ledger, digest
from ganglion.daemons import Agent, Task
from ganglion.protocol.config import Config

SLOW_S_MAX = 0.3


class Worker:
    """The handlers of one process."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._ledger = Ledger(folder / f"runs.{name}")
        self._numbers = itertools.count(1)

    def _start(self, task: Task, mark: str = "") -> str:
        run = f"{self._name}.{next(self._numbers)}"
        token = task.token.decode() or "-"
        self._ledger.write([f"{task.name} {task.action} {task.attempt} {token} {run}{mark}"])
        return run

    def echo(self, task: Task) -> str:
        return f"{digest(bytes(task.payload))}/{self._start(task)}"

    def slow(self, task: Task) -> str:
        run = self._start(task)
        time.sleep(random.uniform(0.01, SLOW_S_MAX))  # sleep: the work of a slow handler
        return f"{digest(bytes(task.payload))}/{run}"

    def flaky(self, task: Task) -> str:
        if task.attempt == 1:
            self._start(task, " !")
            raise RuntimeError("the first try fails by design")
        return f"{digest(bytes(task.payload))}/{self._start(task)}"

    def seal(self, task: Task) -> str:
        """The second step of a chain: its payload is a result of echo."""
        content = bytes(task.payload).decode().partition("/")[0]
        return f"{content}/{self._start(task)}"


def build(config: Config) -> Agent:
    name = f"{os.environ['CRASH_NAME']}-{os.getpid()}"
    worker = Worker(Path(os.environ["CRASH_LEDGERS"]), name)
    handlers: dict[str, Callable[[Task], str]] = {
        "ECHO": worker.echo, "SLOW": worker.slow, "FLAKY": worker.flaky, "SEAL": worker.seal,
    }  # fmt: skip
    agent = Agent.of(name, config, threads=int(os.environ.get("CRASH_THREADS", "1")))
    for action in os.environ["CRASH_ACTIONS"].split(","):
        agent.add(action, handlers[action])
    return agent
