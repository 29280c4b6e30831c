"""The `ganglion` command where something is stopped, missing or cut off: it ends, and says why."""

from __future__ import annotations

import signal
import subprocess

import posix_ipc
import pytest

from ganglion.clients.cli import drain
from support.process import Process, Spawn
from support.shell import Shell, state
from support.until import until


@pytest.mark.parametrize(
    ("transport", "full"), [("mqueue", False), ("mqueue", True), ("unix", False)]
)
def test_a_timeout_counts_while_connecting(
    shell: Shell, coordinator: Process, transport: str, full: bool
) -> None:
    words = "does not answer (stopped or busy); try again"
    coordinator.freeze()
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
        coordinator.thaw()


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


# -- drain ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("coordinator")
def test_drain_says_once_what_it_waits_for(shell: Shell) -> None:
    shell("call", "NOPE", "--each", "--no-wait", "--task", "n", stdin=b"a\nb\nc\n").ok()
    done = shell("drain", "--timeout", "4s")
    assert (done.status, done.out) == (75, "")
    first, last = done.err.splitlines()
    assert first == (
        "ganglion: waiting for 3 unfinished tasks (NOPE: 3 ready, no agent); "
        "Ctrl-C leaves it draining; ganglion tasks --state ready lists them"
    )
    assert "not drained within --timeout: 3 unfinished tasks" in last
    shell("cancel", "n-1", "n-2", "n-3").ok()
    shell.spawn.all[0].wait()


def test_drain_of_a_busy_agent_says_so_too(shell: Shell, spawn: Spawn) -> None:
    agent = spawn("ganglion", "serve", "SLOW", "--", "sleep", "600")
    until(lambda: bool(spawn.agents()), what="the agent")
    shell("call", "SLOW", "x", "--task", "t1", "--no-wait").ok()
    until(lambda: state(shell, "t1") == "leased", what="the task")
    (name,) = spawn.agents()
    done = shell("drain", name, "--timeout", "3s")
    assert done.status == 75
    words = f"waiting for 1 unfinished task that {name} holds; Ctrl-C leaves it draining; "
    assert done.err.count(words + "ganglion tasks --state leased lists them") == 1
    shell("cancel", "t1").ok()
    assert agent.wait() == 0


@pytest.mark.usefixtures("coordinator")
def test_drain_of_an_agent_that_is_not_there_drains_nothing(shell: Shell) -> None:
    done = shell("drain", "nobody")
    assert (done.status, done.out) == (1, "")
    assert "no agent is called 'nobody'" in done.err
    assert shell("status", "--json").json()["draining"] is False


def test_what_a_drain_waits_for() -> None:
    assert drain.unfinished({"A": {"done": 3}}) == (0, "the coordinator to end", "")
    many = {f"A{n}": {"leased": n, "agents": 1, "paused": n == 5} for n in range(1, 6)}
    words = "15 unfinished tasks (A5: 5 leased, paused; A4: 4 leased; A3: 3 leased; 2 more actions)"
    assert drain.unfinished(many) == (15, words, "leased")


# -- send -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "code"), [("99999999999", "too_big"), ("500", "truncated")])
@pytest.mark.usefixtures("coordinator")
def test_a_len_that_swallows_the_lines_behind_it_is_said(
    shell: Shell, size: str, code: str
) -> None:
    text = f"CONTROL:PING:p\nDATA:X:x;len={size}:abc\nDATA:X:z:ok\n"
    done = shell("send", stdin=text.encode())
    assert done.status == 1
    # Which of the two comes first depends on who is quicker: the refusal is the client's own.
    assert "ACK:PONG:p" in [line.partition(":{")[0] for line in done.out.splitlines()]
    assert f"RESPONSE:REJECTED:x:{code} " in done.out
    assert done.err == (
        f"ganglion: stdin ended inside a payload: the 16 bytes behind 'DATA:X:x;len={size}' were "
        f"taken as its payload, of which len= claims {size}\n"
    )


@pytest.mark.usefixtures("coordinator")
def test_a_payload_that_is_whole_swallows_nothing(shell: Shell) -> None:
    done = shell("send", "--no-wait", stdin=b"DATA:X:x;len=3:abc\nDATA:X:z:ok\n").ok()
    assert (done.out, done.err) == (
        "ACK:RECEIVED:x;journal=group\nACK:RECEIVED:z;journal=group\n",
        "",
    )


# -- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_ctrl_c_of_each_leaves_out_what_is_nothing(shell: Shell, spawn: Spawn, lines: int) -> None:
    words = ["", "ganglion: 1 result printed\n", "ganglion: 2 results printed\n"][lines]
    agent = spawn("ganglion", "serve", "ECHO", "--", "cat")
    until(lambda: bool(spawn.agents()), what="the agent")
    process = shell.start("call", "ECHO", "--each", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"x\n" * lines)
    process.stdin.flush()
    for _ in range(lines):
        assert process.stdout.readline() == b"x\n"
    until(lambda: len(clients(shell)) == 1, what="the client")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err.decode()) == (130, words)
    agent.terminate()
    assert agent.wait() == 0


@pytest.mark.usefixtures("coordinator")
def test_ctrl_c_of_send_without_tasks_says_nothing(shell: Shell) -> None:
    process = shell.start("send", stdin=subprocess.PIPE)
    until(lambda: len(clients(shell)) == 1, what="the client")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130


def clients(shell: Shell) -> list[str]:
    """The queues of commands that run."""
    return [name for name in shell.spawn.sandbox.queues() if ".c" in name]


@pytest.mark.usefixtures("coordinator")
def test_pausing_what_nobody_serves_is_said(shell: Shell) -> None:
    for word in ("pause", "resume"):
        done = shell(word, "NOSUCH").ok()
        assert done.err == f"ganglion: nobody serves NOSUCH; {word}d all the same\n"
        assert shell(word, "NOSUCH", "-q").ok().err == ""


@pytest.mark.parametrize("transport", ["mqueue", "unix"])
def test_a_second_coordinator_says_who_is_there(
    coordinator: Process, spawn: Spawn, transport: str
) -> None:
    done = spawn.run("gangliond", "coordinator", "--transport", transport)
    assert done.returncode == 64
    assert done.stderr.decode() == (
        f"gangliond: a coordinator of instance {spawn.sandbox.name!r} already runs "
        f"(pid {coordinator.pid}); choose another with --instance\n"
    )
