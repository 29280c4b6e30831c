"""A coordinator that dies and comes back is an interruption for those who use it, and no loss.

A coordinator without a journal forgets everything: then what was not acknowledged is submitted
again, and what was acknowledged is told to be lost. With a journal both go on.
"""

from __future__ import annotations

import asyncio
import select
import signal
import subprocess
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ganglion.clients import AsyncClient, Client
from ganglion.protocol.errors import HostError, StateError
from ganglion.protocol.waiting import DeadlineError
from support.process import Process, Spawn
from support.shell import Shell
from support.until import until

KIT = str(Path(__file__).parent / "roles" / "kit.py")
TRANSPORTS = pytest.mark.parametrize("transport", ["mqueue", "unix"])


@pytest.fixture
def kit(coordinator: Process, spawn: Spawn) -> Process:
    return spawn.agent(KIT)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 100))


def forgets(client: Client) -> bool:
    """Whether a coordinator that dies loses what it had."""
    return str(client.status().get("journal", "none")) == "none"


@TRANSPORTS
def test_what_was_not_acknowledged_is_submitted_again(
    coordinator: Process, spawn: Spawn, transport: str
) -> None:
    with Client(transport=transport) as client:
        waiting = [client.start("UPPER", f"a{n}", ack=0) for n in range(2000)]
        waiting.append(client.start("UPPER", b"x" * 300_000, ack=0))
        client.ping()
        coordinator.kill()
        spawn.coordinator()
        spawn.agent(KIT)
        results = [bytes(client.wait(one, timeout=60).payload) for one in waiting]
        assert results == [*(b"A%d" % n for n in range(2000)), b"X" * 300_000]


@TRANSPORTS
def test_what_was_acknowledged_is_watched_again(
    coordinator: Process, spawn: Spawn, transport: str
) -> None:
    with Client(transport=transport) as client:
        submission = client.acknowledged(client.start("UPPER", "kept", task="kept"))
        lossy = forgets(client)
        coordinator.kill()
        spawn.coordinator()
        spawn.agent(KIT)
        if lossy:
            with pytest.raises(StateError, match="unknown_task"):
                client.wait(submission, timeout=30)
        else:
            assert client.wait(submission, timeout=30).payload == b"KEPT"


@TRANSPORTS
def test_thousands_of_calls_through_three_deaths(
    coordinator: Process, kit: Process, spawn: Spawn, transport: str
) -> None:
    living, got = coordinator, []
    with Client(transport=transport) as client:
        words = (f"w{n}" for n in range(12_000))
        for number, outcome in enumerate(client.map("UPPER", words, window=500)):
            got.append(outcome.payload)
            if number in (1500, 5000, 9000):
                living.kill()
                living = spawn.coordinator()
    assert got == [b"W%d" % n for n in range(12_000)]


@TRANSPORTS
def test_async_calls_through_two_deaths(
    coordinator: Process, kit: Process, spawn: Spawn, transport: str
) -> None:
    async def work() -> None:
        living, got = coordinator, []
        async with AsyncClient(transport=transport) as client:
            words = (f"w{n}" for n in range(6000))
            async for outcome in client.map("UPPER", words, window=300):
                got.append(outcome.payload)
                if len(got) in (1000, 4000):
                    living.kill()
                    living = spawn.coordinator()  # from this thread: its end is theirs
            assert await client.ping() > 0
        assert got == [b"W%d" % n for n in range(6000)]

    run(work())


@TRANSPORTS
def test_an_ordered_restart_is_survived_by_those_who_do_nothing(
    coordinator: Process, spawn: Spawn, transport: str
) -> None:
    """The queue is another one by then, under the same name."""
    with Client(transport=transport) as client:
        for name in ("first", "second"):
            coordinator.terminate()
            assert coordinator.wait() == 0
            coordinator = spawn.coordinator()
            assert client.ping() > 0
            assert client.submit("NOBODY", "x", task=name) == name
            client.cancel(name)


def test_a_client_follows_a_coordinator_that_comes_back_without_a_queue(
    coordinator: Process, spawn: Spawn
) -> None:
    with Client() as client:
        assert client.transport == "mqueue"
        waiting = client.start("UPPER", "moved", ack=0)
        coordinator.kill()
        spawn.coordinator("--transport", "unix")
        spawn.agent(KIT)
        assert client.wait(waiting, timeout=30).payload == b"MOVED"
        assert client.transport == "unix"


@TRANSPORTS
def test_who_does_not_want_to_wait_is_told_and_may_ask_again(
    coordinator: Process, spawn: Spawn, transport: str
) -> None:
    with Client(transport=transport, reconnect=0.3) as client:
        coordinator.kill()
        with pytest.raises(OSError, match=r"waited 0\.3 s"):
            client.ping()
        with pytest.raises(OSError, match="coordinator"):
            client.call("UPPER", "x", timeout=0.1)
        spawn.coordinator()

        def is_answered() -> bool:
            """0.3 s may be too short on a busy machine; whoever asks again waits again."""
            with suppress(OSError):
                return client.ping() > 0
            return False

        until(is_answered, what="the coordinator that came back")


@pytest.mark.usefixtures("instance")
def test_a_full_table_is_waited_out(spawn: Spawn) -> None:
    spawn.coordinator("--tasks-max", "20")
    spawn.agent(KIT)
    with Client() as client:
        got = [o.payload for o in client.map("UPPER", (f"a{n}" for n in range(500)), window=100)]
        assert got == [b"A%d" % n for n in range(500)]


def is_told_busy(attempt: Callable[[], object]) -> bool:
    """At the deadline it may just have been said again, with the answer on its way: False."""
    try:
        attempt()
    except DeadlineError:
        return False
    except HostError as error:
        return "busy" in str(error)
    raise AssertionError("a full table took a task")


@pytest.mark.usefixtures("instance")
def test_a_table_that_stays_full_is_said_within_the_limit(spawn: Spawn) -> None:
    spawn.coordinator("--tasks-max", "5")
    with Client(timeout=0.4) as client:
        names = [client.submit("NOBODY", "x") for _ in range(5)]
        until(lambda: is_told_busy(lambda: client.call("NOBODY", "x", timeout=0.4)), what="busy")
        until(lambda: is_told_busy(lambda: client.submit("NOBODY", "x", task="late")), what="busy")
        for name in names:
            client.cancel(name)
        assert client.submit("NOBODY", "x", task="late") == "late"
        client.cancel("late")


@TRANSPORTS
def test_the_command_line_goes_on(
    coordinator: Process, kit: Process, spawn: Spawn, transport: str
) -> None:
    shell = Shell(spawn)
    process = shell.start(
        "--transport", transport, "call", "UPPER", "--each", stdin=subprocess.PIPE, bufsize=0
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(b"a%d\n" % n for n in range(3000)))
    process.stdin.flush()
    assert process.stdout.readline() == b"A0\n"
    coordinator.signal(signal.SIGKILL)
    coordinator.wait()
    spawn.coordinator()
    out, err = process.communicate(b"last\n", timeout=60)
    assert process.returncode == 0, err.decode()
    assert out.splitlines() == [*(b"A%d" % n for n in range(1, 3000)), b"LAST"]
    assert b"the coordinator is back" in err


def test_everything_that_happens_is_watched_again(coordinator: Process, spawn: Spawn) -> None:
    process = Shell(spawn).start("watch", "--json", bufsize=0)
    names = (f"n{number}" for number in range(1000))
    with Client() as client:

        def told(since: list[str]) -> bool:
            since.append(client.submit("NOBODY", "x", task=next(names)))
            line = _ready_line(process)
            return any(f'"task": "{name}"'.encode() in line for name in since)

        first: list[str] = []
        second: list[str] = []
        until(lambda: told(first), what="an event")
        coordinator.kill()
        spawn.coordinator()
        until(lambda: told(second), what="an event of the new coordinator")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        for row in list(client.tasks(state="ready")):
            client.cancel(row["task"])


def _ready_line(process: subprocess.Popen[bytes]) -> bytes:
    """A line, if there is one soon."""
    assert process.stdout is not None
    found, _, _ = select.select([process.stdout], [], [], 0.3)
    return process.stdout.readline() if found else b""
