"""The `ganglion` command in a test's instance, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from support.process import Spawn, program


class Shell:
    """Runs commands in a test's instance."""

    def __init__(self, spawn: Spawn) -> None:
        self.spawn = spawn

    def __call__(self, *argv: str, stdin: bytes = b"", timeout: float = 60.0) -> Done:
        return Done(self.spawn.run("ganglion", *argv, stdin=stdin, timeout=timeout))

    def start(self, *argv: str, **how: Any) -> subprocess.Popen[bytes]:
        """A command that the test ends itself."""
        environment = {**os.environ, **self.spawn.sandbox.settings}
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([*program("ganglion"), *argv], env=environment, **how)

    def pipe(self, script: str, timeout: float = 60.0) -> Done:
        """A pipeline in bash, with the status of its first failing part."""
        folder = str(Path(program("ganglion")[0]).parent)
        path = f"{folder}:{os.environ['PATH']}"
        environment = {**os.environ, **self.spawn.sandbox.settings, "PATH": path}
        return Done(
            subprocess.run(
                ["bash", "-o", "pipefail", "-c", script], env=environment, capture_output=True,
                timeout=timeout, check=False,
            )
        )  # fmt: skip


class Done:
    """What a command said."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.status = done.returncode
        self.raw = done.stdout
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = done.stderr.decode("utf-8", "replace")
        assert "Traceback" not in self.err, self.err

    def ok(self) -> Done:
        assert self.status == 0, (self.status, self.out, self.err)
        return self

    def json(self) -> Any:
        return json.loads(self.ok().out)


def state(shell: Shell, task: str) -> str:
    done = shell("peek", task, "--json")
    return str(done.json()["state"]) if done.status == 0 else ""
