"""A coordinator and a set of agents in the foreground, each a process of its own.

What dies is started again after a pause that doubles up to half a minute. SIGTERM or Ctrl-C drains:
the coordinator finishes what it has, with the agents still at work, then the agents leave. A second
one is passed on to all, and everything leaves at once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

RESTART_SECONDS = 0.2
RESTART_SECONDS_MAX = 30.0
# A process that lived this long starts with the short pause again.
STEADY_SECONDS = 10.0


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    argv: list[str]
    process: subprocess.Popen[bytes] | None = None
    pause: float = RESTART_SECONDS
    started: float = 0.0
    restart_at: float = 0.0
    deaths: int = field(default=0)

    def start(self) -> None:
        # A group of its own: Ctrl-C in the terminal reaches the supervisor, which decides the
        # order.
        self.process = subprocess.Popen(self.argv, start_new_session=True)
        self.started = time.monotonic()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        if self.alive and self.process is not None:
            self.process.send_signal(number)


class Supervisor:
    """Runs ``gangliond coordinator`` and ``gangliond agent ROLE`` for each role.

    Args:
        roles: names or files of roles, in order.
        flags: passed on to every process (``--instance`` and the like).
    """

    def __init__(self, roles: Sequence[str], flags: Sequence[str] = ()) -> None:
        base = [sys.executable, "-m", "ganglion.daemons.main"]
        self.coordinator = Child("coordinator", [*base, "coordinator", *flags])
        self.agents = [Child(role, [*base, "agent", role, *flags]) for role in roles]
        self._signals = 0
        self._wake = threading.Event()

    def run(self) -> int:
        """Run until told to stop. 0, or 1 when the coordinator cannot be started."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for child in self._children():
            child.start()
        while not self._signals:
            if not self.coordinator.alive and not self._expected(self.coordinator):
                self._stop_agents()
                return 1
            for child in self._children():
                self._revive(child)
            if self.coordinator.process and self.coordinator.process.poll() == 0:
                break  # it was drained by an operator: our work is done
            self._wake.wait(0.1)
            self._wake.clear()
        self._stop()
        return 0

    def _children(self) -> list[Child]:
        return [self.coordinator, *self.agents]

    def _expected(self, child: Child) -> bool:
        """Whether the death is worth another start: not when the very first start failed at
        once.
        """
        return (
            child.deaths > 0
            or time.monotonic() - child.started > 1.0
            or (
                child.process is not None and child.process.returncode in (0, -signal.SIGKILL, None)
            )
        )

    def _revive(self, child: Child) -> None:
        if child.alive or (
            child is self.coordinator and child.process and child.process.poll() == 0
        ):
            return
        now = time.monotonic()
        if not child.restart_at:
            status = child.process.returncode if child.process else None
            child.pause = RESTART_SECONDS if now - child.started > STEADY_SECONDS else child.pause
            child.restart_at = now + child.pause
            child.deaths += 1
            print(f"{child.name} ended ({status}); again in {child.pause:.1f} s", file=sys.stderr)
        elif now >= child.restart_at:
            child.pause = min(child.pause * 2, RESTART_SECONDS_MAX)
            child.restart_at = 0.0
            child.start()

    def _on_signal(self, *_: object) -> None:
        self._signals += 1
        self._wake.set()
        if self._signals > 1:
            for child in self._children():
                child.signal(signal.SIGTERM)

    def _stop(self) -> None:
        """The coordinator drains while its agents still work; then they go."""
        self.coordinator.signal(signal.SIGTERM)
        if self.coordinator.process is not None:
            self.coordinator.process.wait()
        self._stop_agents()

    def _stop_agents(self) -> None:
        for child in self.agents:
            child.signal(signal.SIGTERM)
        for child in self.agents:
            if child.process is not None:
                child.process.wait()


def default_roles() -> list[str]:
    """The five agents of the answer service."""
    return ["planner", "embedder", "retriever", "synthesizer", "evaluator"]
