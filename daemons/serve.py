"""Any command as an agent: the payload on its standard input, the result from its standard output.

Exit status 0 completes the task; 75 (EX_TEMPFAIL) gives it back uncounted; 100 buries it; any other
fails it with the last line of standard error. A cancelled task's command is killed with its process
group. A task with ``after`` and no payload of its own is fed the results it waited for, one after
the other. The command sees GANGLION_ACTION, GANGLION_TASK and GANGLION_TRY.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from ganglion.daemons.agent import Agent
from ganglion.daemons.task import Bury, Release, Task
from ganglion.protocol.errors import GanglionError, UsageError

EX_TEMPFAIL = 75
EX_BURY = 100
RELEASE_DELAY_MS = 1000


class CommandFailedError(GanglionError):
    """The command ended with a status other than 0."""


class Command:
    """The handler that runs ``argv`` once for each task.

    Raises:
        UsageError: there is no such program.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        if not argv:
            raise UsageError("give the command behind --: ganglion serve UPPER -- tr a-z A-Z")
        program = shutil.which(argv[0])
        if program is None:
            raise UsageError(f"no program called {argv[0]!r} in PATH")
        self._argv = [program, *argv[1:]]

    def __call__(self, task: Task) -> bytes | Release | Bury:
        environment = {
            **os.environ,
            "GANGLION_ACTION": task.action,
            "GANGLION_TASK": task.name,
            "GANGLION_TRY": str(task.attempt),
        }
        payload = task.payload
        if not len(payload) and task.after:
            payload = b"".join(bytes(task.result(name).payload) for name in task.after)
        with subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        ) as process:
            task.on_cancel = lambda: _kill(process)
            if task.cancelled:
                _kill(process)
            result, words = process.communicate(bytes(payload))
        return self._judge(task, process.returncode, result, words)

    def _judge(
        self, task: Task, status: int, result: bytes, words: bytes
    ) -> bytes | Release | Bury:
        if words:
            with contextlib.suppress(OSError, ValueError):  # nobody may be listening
                sys.stderr.buffer.write(words)
                sys.stderr.flush()
        if status == 0:
            return result
        if status == EX_TEMPFAIL or task.cancelled:
            return Release(RELEASE_DELAY_MS)
        lines = words.decode("utf-8", "replace").strip().splitlines()
        how = f"signal {-status}" if status < 0 else f"exit {status}"
        text = f"{os.path.basename(self._argv[0])}: {how}" + (f": {lines[-1]}" if lines else "")
        if status == EX_BURY:
            return Bury(text)
        raise CommandFailedError(text)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the command's whole group, then SIGKILL if it has not gone within a second."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 1.0
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)


def serve(actions: Sequence[str], argv: Sequence[str], *, jobs: int, **how: Any) -> int:
    """Serve ``actions`` with a command until SIGTERM, ``jobs`` at a time; returns the exit status.

    ``how`` is handed to ``Agent``.
    """
    if not actions:
        raise UsageError("give the action to serve: ganglion serve UPPER -- tr a-z A-Z")
    command = Command(argv)
    agent = Agent(actions[0].lower().replace("_", "-"), threads=jobs, **how)
    for action in actions:
        agent.add(action, command)
    return agent.run()
