"""The `ganglion` command where something is stopped, missing or cut off: it ends, and says why."""

from __future__ import annotations

import os
import signal

import posix_ipc
import pytest

from support.process import Process
from support.shell import Shell


@pytest.mark.parametrize(
    ("transport", "full"), [("mqueue", False), ("mqueue", True), ("unix", False)]
)
def test_a_timeout_counts_while_connecting(
    shell: Shell, coordinator: Process, transport: str, full: bool
) -> None:
    words = "does not answer (stopped or busy); try again"
    os.kill(coordinator.pid, signal.SIGSTOP)
    try:
        if full:
            fill(shell.spawn.sandbox.names.queue)
        for command in (
            ["call", "FAST", "x"], ["call", "FAST", "--each"], ["result", "t1"], ["watch", "t1"],
        ):  # fmt: skip
            done = shell("--transport", transport, *command, "--timeout", "1s", timeout=8)
            assert (done.status, done.out) == (75, "")
            assert words in done.err
            assert done.err.count("\n") == 1
    finally:
        os.kill(coordinator.pid, signal.SIGCONT)


def fill(queue: str) -> None:
    """Write to a queue until it takes no more."""
    descriptor = posix_ipc.MessageQueue(queue)
    try:
        descriptor.block = False
        while True:
            descriptor.send(b"\n")  # a blank line, which says nothing
    except posix_ipc.BusyError:
        pass
    finally:
        descriptor.close()
