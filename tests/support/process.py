"""Real programs, started by a test, waited for by state, and ended before it is over."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.instance import Sandbox
from support.line import ask, payload, pings
from support.until import until

STOP_S = 15.0  # for a daemon to drain; a second SIGTERM gets the same
TAIL_CHARS = 8000


def program(name: str) -> list[str]:
    """The command line that starts an installed program of this environment."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise FileNotFoundError(f"{path}: install the project first (./run setup)")
    return [str(path)]


def tail(text: str) -> str:
    return text if len(text) <= TAIL_CHARS else "[...]\n" + text[-TAIL_CHARS:]


class Process:
    """A running program. Its stdout and stderr go to files, so that it never waits for a reader."""

    def __init__(
        self, argv: list[str], env: dict[str, str], folder: Path, stdin: bytes | None
    ) -> None:
        self.argv = argv
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._cared_for = False  # the test ended it and looks at the outcome itself
        feed = folder / "stdin"
        feed.write_bytes(stdin or b"")
        # A pytest that is killed takes its daemons with it.
        leash = [shutil.which("setpriv") or "", "--pdeathsig", "KILL"]
        prefix = leash if leash[0] else []
        with feed.open("rb") as source, self._out.open("wb") as out, self._err.open("wb") as err:
            self._popen = subprocess.Popen(
                [*prefix, *argv], env=env, stdin=source, stdout=out, stderr=err
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self._err.read_text(errors="replace")

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._popen.poll()

    def signal(self, number: int) -> None:
        """Send a signal; from here on the test answers for how the program ends."""
        self._cared_for = True
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP, and wait until each of its threads stands still: it goes on for a moment."""
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: all(state == "T" for state in self._thread_states()), what="the stop")

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _thread_states(self) -> list[str]:
        # The state follows the name, which stands in parentheses (proc_pid_stat(5)).
        stats = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return [stat.read_text().rpartition(")")[2].split()[0] for stat in stats]

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self, timeout: float = 30.0) -> int:
        """Its exit status, once it has ended; the test answers for it.

        Raises:
            AssertionError: it still runs after ``timeout`` seconds.
        """
        self._cared_for = True
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s: {self}") from None

    def wait_for(self, text: str, timeout: float = 20.0) -> None:
        """Until ``text`` stands in its stderr."""
        until(lambda: self._alive() and text in self.stderr, timeout, f"{text!r} from {self}")

    def ready(self, path: Path, timeout: float = 20.0) -> Process:
        """Until a coordinator answers a PING at ``path``; fails at once when this program has ended."""
        until(lambda: self._alive() and pings(path), timeout, f"an answer at {path} from {self}")
        return self

    def _alive(self) -> bool:
        if self.returncode is not None:
            raise AssertionError(f"ended with {self.returncode}: {self}\n{tail(self.stderr)}")
        return True

    def end(self) -> str | None:
        """Stop it as an operator would. Returns what was wrong with the way it ended, if anything."""
        early = self.returncode
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.returncode is not None:
                break
            self._popen.send_signal(number)
            try:
                self._popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                continue
            if number == signal.SIGKILL:
                return f"did not end after two SIGTERM and {2 * STOP_S:g} s: {self}"
        if self._cared_for or self.returncode == 0:
            return None
        when = "ended by itself" if early is not None else "ended after SIGTERM"
        return f"{when} with {self.returncode}: {self}"

    def report(self) -> str:
        """For the report of a failed test."""
        status = "running" if self.returncode is None else f"exit {self.returncode}"
        return f"{self} ({status})\n--- stdout\n{tail(self.stdout)}--- stderr\n{tail(self.stderr)}"

    def __str__(self) -> str:
        return f"[{self._popen.pid}] {Path(self.argv[0]).name} {' '.join(self.argv[1:])}"


class Spawn:
    """Starts programs in a test's instance, and ends what is left, the youngest first.

    Args:
        folder: where their output goes; it outlives the instance.
    """

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self._folder = folder
        self.all: list[Process] = []

    def __call__(
        self, *argv: str, stdin: bytes | None = None, env: dict[str, str] | None = None
    ) -> Process:
        """Start ``argv``; ``gangliond`` and ``ganglion`` are those of this environment."""
        words = [str(word) for word in argv]
        if words[0] in ("gangliond", "ganglion"):
            words[:1] = program(words[0])
        folder = self._folder / f"program-{len(self.all)}"
        folder.mkdir(parents=True)
        process = Process(words, self._env(env), folder, stdin)
        self.all.append(process)
        return process

    def _env(self, more: dict[str, str] | None) -> dict[str, str]:
        return {**os.environ, **self.sandbox.settings, "PYTHONUNBUFFERED": "1", **(more or {})}

    def coordinator(self, *options: str, env: dict[str, str] | None = None) -> Process:
        """``gangliond coordinator``, once it answers."""
        return self("gangliond", "coordinator", *options, env=env).ready(self.sandbox.socket)

    def agent(
        self, role: str, *options: str, name: str = "", env: dict[str, str] | None = None
    ) -> Process:
        """``gangliond agent ROLE``, once the coordinator lists it.

        Args:
            name: the agent to wait for; without it, any that was not listed before.
        """
        before = set() if name else self.agents()
        process = self("gangliond", "agent", role, *options, env=env)

        def listed() -> bool:
            if process.returncode is not None:
                raise AssertionError(
                    f"ended with {process.returncode}: {process}\n{process.stderr}"
                )
            new = self.agents() - before
            return name in new if name else bool(new)

        until(listed, what=f"{process} in the list of agents")
        return process

    def agents(self) -> set[str]:
        """The names of the agents that the coordinator knows (the first hundred)."""
        rows: list[dict[str, Any]] = json.loads(
            payload(ask(self.sandbox.socket, b"CONTROL:AGENTS:a"))
        )
        return {str(row["name"]) for row in rows}

    def run(
        self, *argv: str, stdin: bytes = b"", timeout: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end and return what it said; its status is the test's to judge."""
        words = [str(word) for word in argv]
        if words[0] in ("gangliond", "ganglion"):
            words[:1] = program(words[0])
        return subprocess.run(
            words,
            input=stdin,
            env=self._env(None),
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def end(self) -> list[str]:
        """End everything. Returns what was wrong, in words.

        A process that the test killed could not clean up; then the next coordinator must, so one is
        started and ended.
        """
        faults = [process.end() for process in reversed(self.all)]
        killed = any(process.returncode == -signal.SIGKILL for process in self.all)
        if killed and (self.sandbox.queues() or self.sandbox.segments()):
            faults.append(self.coordinator().end())
        return [fault for fault in faults if fault]
