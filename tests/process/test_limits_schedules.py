"""Limits and schedules as people use them: through the clients and the command, and over a death of the coordinator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganglion.clients import AsyncClient, Client
from ganglion.protocol.errors import PeerError, StateError, UsageError
from ganglion.protocol.session import TaskBuriedError
from support.process import Process, Spawn
from support.shell import Shell
from support.until import until

KIT = str(Path(__file__).parent / "roles" / "kit.py")


@pytest.fixture
def client(coordinator: Process, spawn: Spawn) -> Iterator[Client]:
    """Beside a coordinator with a journal (policy group, the default) and an agent."""
    spawn.agent(KIT)
    with Client() as client:
        assert client.status()["journal"] == "group"
        yield client


def state(client: Client, task: str) -> str:
    return str(client.peek(task)["state"])


def schedule(client: Client, name: str) -> dict[str, Any]:
    """What is known of a schedule; empty when there is none."""
    return next((row for row in client.schedules() if row["name"] == name), {})


def test_a_limit_holds_a_task_back_until_it_is_removed(client: Client, tmp_path: Path) -> None:
    client.limit("label", "one", running=1)
    client.submit("HOLD", str(tmp_path / "go"), task="first", label=["one"])
    until(lambda: state(client, "first") == "leased", what="the first task")
    second = client.start("UPPER", "x", task="second", label=["one", "other"])
    third = client.call("UPPER", "y", timeout=30)  # not limited: it passes
    assert third.payload == b"Y"
    (row,) = client.limits()
    assert (row["label"], row["running"], row["now"], row["parked"]) == ("one", 1, 1, 1)
    assert state(client, "second") == "ready"
    client.limit("label", "one")
    assert client.wait(second, timeout=30).payload == b"X"
    assert list(client.limits()) == []
    (tmp_path / "go").touch()
    until(lambda: state(client, "first") == "done", what="the first task")


def test_a_schedule_fires_until_it_is_taken_away(client: Client) -> None:
    due_ms = client.schedule("tick", "UPPER", "tock", every=100, prio="high")
    assert due_ms is not None
    fired = until(lambda: schedule(client, "tick").get("fired", 0) >= 3, what="three tasks")
    assert fired
    client.unschedule("tick")
    assert list(client.schedules()) == []
    with pytest.raises(StateError, match="unknown_task"):
        client.unschedule("tick")
    names = [row["task"] for row in client.tasks(action="UPPER")]
    assert len(names) >= 3
    assert all(name.startswith("tick.") for name in names)
    assert client.watch_task(names[0], timeout=30).payload == b"TOCK"


def test_times_that_there_are_not(client: Client) -> None:
    with pytest.raises(PeerError, match="cron"):
        client.schedule("s", "UPPER", cron="61 * * * *")
    with pytest.raises(PeerError, match="every"):
        client.schedule("s", "UPPER", every=99)
    with pytest.raises(UsageError, match="cron= or every="):
        client.schedule("s", "UPPER")
    with pytest.raises(PeerError, match="no such date"):
        client.schedule("s", "UPPER", cron="0 0 30 2 *")
    assert list(client.schedules()) == []


def test_both_survive_a_death_of_the_coordinator(
    client: Client, coordinator: Process, spawn: Spawn
) -> None:
    client.limit("action", "NOBODY", rate=0.5, burst=3)
    client.schedule("often", "UPPER", "x" * 100_000, every=100, keep=60_000)
    client.schedule("daily", "REVERSE", {"a": 1}, cron="30 4 * * *", offset=60, overlap="skip")
    until(lambda: schedule(client, "often").get("fired", 0) >= 1, what="a task")
    before = schedule(client, "daily")
    coordinator.kill()
    spawn.coordinator()
    fired = schedule(client, "often")["fired"]
    assert schedule(client, "daily") == before
    assert [(row["action"], row["rate"], row["burst"]) for row in client.limits()] == [
        ("NOBODY", 0.5, 3)
    ]
    until(lambda: schedule(client, "often").get("fired", 0) > fired + 1, what="tasks after it")
    newest = [row["task"] for row in client.tasks(action="UPPER")][-1]
    assert bytes(client.watch_task(newest, timeout=30).payload) == b"X" * 100_000
    client.unschedule("often")
    client.unschedule("daily")
    client.limit("action", "NOBODY")


def test_the_asyncio_client_has_them_too(client: Client) -> None:
    async def work() -> None:
        async with AsyncClient() as other:
            await other.limit("sender", "bulk", running=2)
            assert [row["sender"] async for row in other.limits()] == ["bulk"]
            await other.limit("sender", "bulk")
            assert await other.schedule("tick", "UPPER", every=3_600_000, missed="none")
            (row,) = [row async for row in other.schedules()]
            assert (row["name"], row["every"], row["on_missed"]) == ("tick", 3_600_000, "none")
            await other.unschedule("tick")
            outcome = await other.call(
                "UPPER", "x", timeout=30, once=True, retry=[10], key="k", label=["a"], dup="reject"
            )
            assert outcome.payload == b"X"
            with pytest.raises(UsageError, match="needs"):
                await other.call("UPPER", "x", needs="any")

    asyncio.run(asyncio.wait_for(work(), 60))


def test_the_options_of_call(client: Client, spawn: Spawn) -> None:
    shell = Shell(spawn)
    argv = ["UPPER", "x", "--task", "t1", "--once", "--key", "k", "--label", "a,b"]
    done = shell("call", *argv, "--retry", "10ms,1s", "--json")
    assert (done.json()["task"], done.json()["result"]) == ("t1", "X")
    assert shell("call", *argv, "--dup", "existing").ok().out == "X\n"
    refused = shell("call", *argv, "--dup", "reject")
    assert (refused.status, refused.out) == (1, "")
    assert "dup=reject" in refused.err
    last = shell("call", "UPPER", "y", "--after", "t1", "--needs", "any")
    assert last.ok().out == "Y\n"


def test_the_limit_command(client: Client, spawn: Spawn) -> None:
    shell = Shell(spawn)
    nothing = shell("limit", "list").ok()
    assert nothing.out.split()[:2] == ["LIMIT", "RATE"]
    assert "no limits" in nothing.err
    assert shell("limit", "set", "label:one", "--running", "1").ok().out == ""
    set_ = shell("limit", "set", "action:UPPER", "--rate", "2.5", "--burst", "10", "--json").json()
    assert set_ == {"action": "UPPER", "rate": 2.5, "burst": 10, "status": "set"}
    rows = [line.split() for line in shell("limit", "list").ok().out.splitlines()[1:]]
    assert rows == [
        ["action:UPPER", "2.5/s", "10", "10", "0", "0"], ["label:one", "1", "0", "0"]
    ]  # fmt: skip
    first, _ = shell("limit", "list", "--json").ok().out.splitlines()
    assert json.loads(first)["rate"] == 2.5
    removed = shell("limit", "remove", "action:UPPER", "label:none", "label:one")
    assert (removed.status, removed.out) == (1, "")
    assert "no limit on label:none" in removed.err
    assert list(client.limits()) == []


def test_the_schedule_command(client: Client, spawn: Spawn) -> None:
    shell = Shell(spawn)
    assert "no schedules" in shell("schedule", "list").ok().err
    argv = ["--every", "100ms", "--prio", "high", "--keep", "1h"]
    added = shell("schedule", "add", "tick", "UPPER", "tock", *argv).ok()
    assert "Z (" in added.out
    made = ["nightly", "REVERSE", "-", "--cron", "30 4 * * MON-FRI", "--offset=-05:00"]
    next_ms = shell("schedule", "add", *made, "--json", stdin=b"a\nb").json()["next_ms"]
    assert next_ms % 86_400_000 == (9 * 60 + 30) * 60_000
    until(lambda: schedule(client, "tick")["fired"] >= 2, what="two tasks")
    rows = shell("schedule", "list").ok().out.splitlines()
    assert rows[1].startswith("nightly   REVERSE  30 4 * * MON-FRI -05:00  ")
    assert "every 100.0 ms" in rows[2]
    assert json.loads(shell("schedule", "list", "--json").out.splitlines()[0])["size"] == 3
    wrong = shell("schedule", "add", "x", "UPPER", "--cron", "61 * * * *")
    assert (wrong.status, wrong.out) == (64, "")
    assert "cron" in wrong.err
    removed = shell("schedule", "remove", "tick", "none", "nightly", "--json")
    assert removed.status == 1
    assert [json.loads(line)["schedule"] for line in removed.out.splitlines()] == [
        "tick", "none", "nightly"
    ]  # fmt: skip
    assert list(client.schedules()) == []


def test_the_options_of_a_task_mean_what_they_say(client: Client, tmp_path: Path) -> None:
    client.submit("HOLD", str(tmp_path / "go"), task="first", key="k")
    behind = client.start("UPPER", "behind", task="behind", key="k")
    client.submit("UPPER", "free", task="free", key="another")
    either = client.start("UPPER", "either", after=["first", "free"], needs="any")
    assert client.wait(either, timeout=30).payload == b"EITHER"
    assert state(client, "behind") == "ready"
    with pytest.raises(StateError, match="exists"):
        client.submit("UPPER", "free", task="free", dup="reject")
    client.submit("UPPER", "old", task="late", delay=3_600_000)
    client.submit("UPPER", "new", task="late", dup="replace")
    assert client.watch_task("late", timeout=30).payload == b"NEW"
    (tmp_path / "go").touch()
    assert client.wait(behind, timeout=30).payload == b"BEHIND"
    with pytest.raises(TaskBuriedError) as failed:
        client.call("FAIL", "x", once=True, timeout=30)
    assert failed.value.outcome.params["try"] == "1"
    assert client.call("FAIL_ONCE", "x", retry=[1], timeout=30).payload == b"try 2"
