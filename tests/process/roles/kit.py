"""A role with a handler of every kind, for the tests of the agent kit."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from ganglion.daemons import Agent, Bury, Continue, Release, Task
from ganglion.protocol.config import Config

SECONDS_MAX = 30.0


def upper(task: Task) -> bytes:
    return bytes(task.payload).upper()


def fail(task: Task) -> bytes:
    raise RuntimeError(f"no luck with {bytes(task.payload).decode()}\nsecond line")


def fail_once(task: Task) -> str:
    if task.attempt == 1:
        raise RuntimeError("the first try")
    return f"try {task.attempt}"


def give_back(task: Task) -> Any:
    marker = Path(bytes(task.payload).decode())
    if not marker.exists():
        marker.touch()
        return Release(delay_ms=1)
    return f"try {task.attempt}"


def hold(task: Task) -> str:
    """Run until the file named in the payload exists, or the task is cancelled."""
    deadline = time.monotonic() + SECONDS_MAX
    Path(bytes(task.payload).decode() + ".running").touch()
    while not task.cancelled and time.monotonic() < deadline:
        if Path(bytes(task.payload).decode()).exists():
            return "held"
        threading.Event().wait(0.005)
    return "cancelled"


def stream(task: Task) -> str:
    task.progress({"done": 1, "total": 2})
    task.partial(b"one")
    task.partial("two\nlines")
    return "whole"


def shape(task: Task) -> np.ndarray[Any, Any]:
    return np.asarray(task.data * 2)


def nested(task: Task) -> bytes:
    return b"<" + bytes(task.call("UPPER", task.payload).payload) + b">"


async def nested_async(task: Task) -> bytes:
    parts = await asyncio.gather(*(task.call_async("UPPER", f"{n}x") for n in range(5)))
    return b",".join(bytes(part.payload) for part in parts)


def batched(tasks: list[Task]) -> list[Any]:
    """Each task's result is how many came together; ``bad`` fails alone."""
    return [ValueError("bad one") if task.payload == b"bad" else str(len(tasks)) for task in tasks]


def crash(task: Task) -> str:
    if task.attempt == 1:
        os._exit(3)
    return f"{os.getpid()}"


def spin(task: Task) -> None:
    """Never look up: only a kill ends it."""
    Path(bytes(task.payload).decode()).write_text(str(os.getpid()))
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        pass


def hand_on(task: Task) -> Continue:
    part = task.submit("UPPER", "part", task=f"{task.name}.1")
    return Continue("whole ", via=["JOIN"], after=[part])


def join(task: Task) -> bytes:
    return bytes(task.payload) + b"".join(bytes(task.result(n).payload) for n in task.after)


def build(config: Config) -> Agent:
    agent = Agent.of("kit", config, threads=2)
    for function in (upper, fail, fail_once, give_back, hold, stream, shape, nested, hand_on, join):
        agent.add(function.__name__.upper(), function)
    agent.add("BURY", lambda task: Bury("never again"))
    agent.add("NESTED_ASYNC", nested_async)
    agent.add("BATCHED", batched, batch=16, window_ms=50)
    agent.add("CRASH", crash, isolation="process")
    agent.add("SPIN", spin, isolation="process")
    return agent
