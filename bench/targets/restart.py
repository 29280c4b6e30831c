"""A coordinator that is killed with many waiting tasks: how soon its successor hands out the first, and are all there?

An agent waits beside the dead coordinator, as agents do; what is timed is the start of the next coordinator (Python's
start included) to the moment the agent's handler has its first task. Then all are run and counted by name.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ganglion.protocol.instance import Instance
from targets.base import TargetError, end, spawn

TASKS = 100_000
BATCH = 1000
PAYLOAD = "abcdefghijklmnopqrstuvwxyzabcdef"
DEADLINE_S = 30.0
POLL_S = 0.002
COUNT_S = 0.1  # between two looks at the list of runs
AGENT = """
import os, time
from ganglion.daemons import Agent
told = os.open(os.environ["BENCH_RUNS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
def run(task):
    os.write(told, f"{time.monotonic()} {task.name}\\n".encode())
    return b"done"
def build(config):
    agent = Agent("waiter", slots=512, instance=config.instance)
    agent.add("WAIT", run)
    return agent
"""


def measure_restart(say: Callable[[str], None]) -> dict[str, float]:
    """Run it once: seconds to the first dispatch (`value`), and to the first answer of the coordinator.

    Raises:
        TargetError: a task is missing, or something does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="ganglion-bench-"))
    instance = Instance(f"bench-{os.getpid()}-restart", folder, folder)
    processes: list[subprocess.Popen[str]] = []
    runs = folder / "runs"
    runs.touch()
    (folder / "waiter.py").write_text(AGENT)
    os.environ.update(
        GANGLION_RUNTIME_DIR=str(folder), GANGLION_STATE_DIR=str(folder), BENCH_RUNS=str(runs),
        GANGLION_JOURNAL_POLICY="group", GANGLION_JOURNAL_DIR="",
    )  # fmt: skip
    daemon = (sys.executable, "-m", "ganglion.daemons.main")
    try:
        say(f"restart: submitting {TASKS:,} tasks")
        first = spawn(*daemon, "coordinator", "-i", instance.name)
        processes.append(first)
        submit(instance.socket_path)
        first.send_signal(signal.SIGKILL)
        first.wait()
        agent = spawn(*daemon, "agent", "-i", instance.name, folder / "waiter.py")
        processes.append(agent)
        wait_until(lambda: has_claim(instance, agent.pid), "the agent's queue")
        start = time.monotonic()
        processes.append(spawn(*daemon, "coordinator", "-i", instance.name))
        answered = connect(instance.socket_path, start)
        wait_until(lambda: runs.stat().st_size > 0, "the first task")
        value = float(runs.read_text().partition(" ")[0]) - start
        say(f"restart: first task after {value:.2f} s")
        wait_until(lambda: len(names(runs)) >= TASKS, "every task", COUNT_S)
        return {"value": round(value, 3), "answered": round(answered, 3)}
    finally:
        for process in reversed(processes):
            end(process)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(predicate: Callable[[], bool], what: str, poll_s: float = POLL_S) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not predicate():
        if time.monotonic() > deadline:
            raise TargetError(f"{what}: not within {DEADLINE_S:g} s")
        time.sleep(poll_s)


def names(runs: Path) -> set[str]:
    """The tasks that were run."""
    return {line.split(" ")[1] for line in runs.read_text().splitlines()}


def has_claim(instance: Instance, pid: int) -> bool:
    """Whether the agent has made its queue: from then on it tries to register."""
    return any(path.name.endswith(f".waiter-{pid}") for path in instance.ledger_dir.glob("*"))


def connect(path: Path, start: float) -> float:
    """Seconds from `start` until the coordinator answers."""
    answered: list[float] = []

    def pings() -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(1.0)
                peer.connect(str(path))
                peer.sendall(b"CONTROL:PING:ready\n")
                if peer.recv(64).startswith(b"ACK:PONG"):
                    answered.append(time.monotonic() - start)
        except OSError:
            pass
        return bool(answered)

    wait_until(pings, "the coordinator")
    return answered[0]


def submit(path: Path) -> None:
    """Submit TASKS tasks and wait until each is acknowledged."""
    connect(path, 0.0)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(DEADLINE_S)
        peer.connect(str(path))
        stream = peer.makefile("rb")
        for begin in range(0, TASKS, BATCH):
            lines = [f"DATA:WAIT:wait-{n}:{PAYLOAD}\n" for n in range(begin, begin + BATCH)]
            peer.sendall("".join(lines).encode())
            for _ in lines:
                answer = stream.readline()
                if not answer.startswith(b"ACK:RECEIVED:wait-"):
                    raise TargetError(f"not accepted: {answer!r}")
