"""Who is there, and who does what: coordinators that die under agents at work, agents that stand still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ganglion.clients import Client
from support.instance import Sandbox
from support.process import Process, Spawn
from support.until import until

KIT = str(Path(__file__).parent / "roles" / "kit.py")
QUICK = ("--heartbeat-ms", "100", "--suspect-ms", "300", "--agent-timeout-ms", "3000")


def peek(task: str) -> dict[str, Any]:
    with Client() as client:
        return client.peek(task)


def rows() -> dict[str, dict[str, Any]]:
    with Client() as client:
        return {str(row["name"]): row for row in client.agents() if row["actions"]}


def begin_long_task(task: str, go_on: Path) -> Path:
    """A task that runs until ``go_on`` exists. Returns the file that appears whenever it begins."""
    running = Path(f"{go_on}.running")
    with Client() as client:
        client.submit("HOLD", str(go_on), task=task)
    until(running.exists, what="the long task's begin")
    running.unlink()
    return running


def is_noted(instance: Sandbox, task: str) -> bool:
    """Whether the journal has the task's lease."""
    wanted = f"CONTROL:LEASED:{task};".encode()
    files = (instance.names.state_dir / "journal").glob("*.journal")
    return any(wanted in file.read_bytes() for file in files)


@pytest.mark.parametrize("transport", ["mqueue", "unix"])
def test_a_task_outlives_the_coordinator(
    spawn: Spawn, instance: Sandbox, tmp_path: Path, transport: str
) -> None:
    first = spawn.coordinator()
    agent = spawn.agent(KIT, env={"GANGLION_TRANSPORT": transport})
    (name,) = rows()
    go_on = tmp_path / "go-on"
    running = begin_long_task("long", go_on)
    until(lambda: is_noted(instance, "long"), what="the lease in the journal")
    first.kill()
    spawn.coordinator()
    until(lambda: peek("long")["agent"] == name, what="the agent with its task")
    with Client() as client:  # its other slot is at work again
        assert bytes(client.call("UPPER", "x", timeout=20).payload) == b"X"
        assert client.peek("long")["try"] == 1
        go_on.touch()
        until(lambda: client.peek("long")["state"] == "done", what="the end of the long task")
    assert not running.exists()  # nobody began it again
    assert agent.returncode is None


@pytest.mark.parametrize("transport", ["mqueue", "unix"])
def test_an_outcome_waits_for_the_coordinator(
    spawn: Spawn, instance: Sandbox, tmp_path: Path, transport: str
) -> None:
    first = spawn.coordinator()
    spawn.agent(KIT, env={"GANGLION_TRANSPORT": transport})
    go_on = tmp_path / "go-on"
    running = begin_long_task("long", go_on)
    first.kill()
    go_on.touch()  # it ends while nobody is there to hear of it
    spawn.coordinator()
    until(lambda: peek("long")["state"] == "done", what="the outcome")
    with Client() as client:
        assert bytes(client.call("HOLD", str(go_on), task="long", timeout=20).payload) == b"held"
    assert not running.exists()


def test_an_agent_that_stands_still_is_suspect_then_gone(spawn: Spawn, tmp_path: Path) -> None:
    spawn.coordinator(*QUICK)
    still = spawn.agent(KIT)
    (name,) = rows()
    go_on = tmp_path / "go-on"
    running = begin_long_task("long", go_on)
    other = spawn.agent(KIT)
    still.freeze()
    until(lambda: rows()[name]["suspect"], what="the suspicion")
    with Client() as client:
        alarms = [alarm for alarm in client.status()["alarms"] if alarm["alarm"] == "suspect"]
        assert [alarm["agent"] for alarm in alarms] == [name]
    assert b"ALARM suspect" in spawn.run("ganglion", "status").stdout
    until(lambda: peek("long")["agent"] not in (name, None), what="the task with the other agent")
    assert running.exists() or until(running.exists, what="its second begin")
    still.thaw()
    until(lambda: stale() > 0, what="the late outcome's refusal")
    go_on.touch()
    until(lambda: peek("long")["state"] == "done", what="the end of the long task")
    assert peek("long")["try"] == 2
    assert other.returncode is None


def stale() -> int:
    with Client() as client:
        return int(client.status()["gauges"]["stale"]["value"])


def test_an_agent_goes_where_its_coordinator_is(
    spawn: Spawn, instance: Sandbox, tmp_path: Path
) -> None:
    """A coordinator that comes back without a queue is found at its socket, and with one again at that."""
    first = spawn.coordinator()
    spawn.agent(KIT, env={"GANGLION_TRANSPORT": "auto"})
    go_on = tmp_path / "go-on"
    begin_long_task("long", go_on)
    first.kill()
    second = spawn.coordinator(env={"GANGLION_TRANSPORT": "unix"})
    with Client(transport="unix") as client:
        until(lambda: client.peek("long")["state"] == "leased", what="the agent with its task")
        assert bytes(client.call("UPPER", "x", timeout=20).payload) == b"X"
    second.kill()
    spawn.coordinator()
    until(lambda: peek("long")["state"] == "leased", what="the agent with its task again")
    go_on.touch()
    until(lambda: peek("long")["state"] == "done", what="the end of the long task")
    assert peek("long")["try"] == 1


def test_a_coordinator_says_hello(spawn: Spawn, coordinator: Process) -> None:
    """With heartbeats far apart only HELLO can bring an agent on a queue back soon."""
    coordinator.kill()
    first = spawn.coordinator("--heartbeat-ms", "60000")
    spawn.agent(KIT, env={"GANGLION_TRANSPORT": "mqueue"})
    (name,) = rows()
    first.kill()
    spawn.coordinator("--heartbeat-ms", "60000")
    until(lambda: name in rows(), what="the agent")
