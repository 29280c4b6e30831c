"""A coordinator and a set of agents in the foreground, each a process of its own.

What dies is started again after a pause that doubles up to half a minute. SIGTERM or Ctrl-C ends it: the
coordinator first, which keeps what is unfinished in its journal (without one it drains, with the agents
still at work), then the agents leave. A second one is passed on to all, and everything leaves at once.
"""

from __future__ import annotations

import ctypes
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

log = logging.getLogger("ganglion")

RESTART_SECONDS = 0.2
RESTART_SECONDS_MAX = 30.0
# A process that lived this long starts with the short pause again.
STEADY_SECONDS = 10.0
# Statuses of wrong use and of a system that refuses: starting again would not help.
HOPELESS = (64, 69)

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)  # loaded here: nothing may be imported between fork and exec


def _end_with_parent() -> None:
    """In the child: SIGTERM when the supervisor dies, however it dies."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    argv: list[str]
    process: subprocess.Popen[bytes] | None = None
    pause: float = RESTART_SECONDS
    started: float = 0.0
    restart_at: float = 0.0
    deaths: int = 0

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C in the terminal is the supervisor's to hear."""
        self.process = subprocess.Popen(
            self.argv, start_new_session=True, preexec_fn=_end_with_parent
        )
        self.started = time.monotonic()

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.process.poll() if self.process is not None else None

    def signal(self, number: int) -> None:
        if self.process is not None and self.status is None:
            self.process.send_signal(number)

    def wait(self) -> None:
        if self.process is not None:
            self.process.wait()


class Supervisor:
    """Runs ``gangliond coordinator`` and ``gangliond agent ROLE`` for each role.

    Args:
        roles: names or files of roles, in order.
        flags: passed on to every process (``--instance`` and the like).
        own: passed on to the coordinator alone (``--journal-policy`` and the like).
    """

    def __init__(
        self, roles: Sequence[str], flags: Sequence[str] = (), own: Sequence[str] = ()
    ) -> None:
        base = [sys.executable, "-m", "ganglion.daemons.main"]
        self.coordinator = Child("coordinator", [*base, "coordinator", *flags, *own])
        self.agents = [Child(role, [*base, "agent", role, *flags]) for role in roles]
        self._signals = 0
        self._wake = threading.Event()

    def run(self) -> int:
        """Run until told to stop. 0, or 1 when the coordinator cannot be started."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            for child in self._children():
                child.start()
            status = self._supervise()
            self._stop()
        finally:  # whatever happened, nothing is left running
            for child in self._children():
                child.signal(signal.SIGKILL)
        return status

    def _supervise(self) -> int:
        """Start again what dies, until a signal or the coordinator's own end."""
        while not self._signals:
            if self.coordinator.status == 0:
                return 0  # an operator drained it: our work is done
            if self.coordinator.deaths == 0 and self.coordinator.status in HOPELESS:
                return 1
            for child in self._children():
                if child.status is not None:
                    self._revive(child)
            self._wake.wait(0.1)
            self._wake.clear()
        return 0

    def _children(self) -> list[Child]:
        return [self.coordinator, *self.agents]

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        if not child.restart_at:
            steady = now - child.started > STEADY_SECONDS
            child.pause = RESTART_SECONDS if steady else child.pause
            child.restart_at = now + child.pause
            child.deaths += 1
            log.warning("%s ended (%s); again in %.1f s", child.name, child.status, child.pause)
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
        """The coordinator first: without a journal it drains while its agents still work; then they go."""
        self.coordinator.signal(signal.SIGTERM)
        self.coordinator.wait()
        for child in self.agents:
            child.signal(signal.SIGTERM)
        for child in self.agents:
            child.wait()


def default_roles() -> list[str]:
    """The five agents of the answer service."""
    return ["planner", "embedder", "retriever", "synthesizer", "evaluator"]
