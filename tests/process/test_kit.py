"""The agent kit on real daemons: every kind of handler, every way to end a task, every way to die."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganglion.clients import Client
from ganglion.protocol.errors import StateError
from ganglion.protocol.session import DeadlineError, Outcome, TaskBuriedError, TaskCancelledError
from support.instance import is_running
from support.process import Process, Spawn
from support.until import until

KIT = str(Path(__file__).parent / "roles" / "kit.py")
pytestmark = pytest.mark.usefixtures("coordinator")


@pytest.fixture
def kit(coordinator: Process, spawn: Spawn) -> Process:
    return spawn.agent(KIT)


@pytest.fixture(params=["mqueue", "unix"])
def client(coordinator: Process, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(transport=request.param) as client:
        assert client.transport == request.param
        yield client


@pytest.fixture
def local(coordinator: Process) -> Iterator[Client]:
    with Client() as client:
        yield client


def state_is(client: Client, task: str, state: str) -> Callable[[], bool]:
    return lambda: bool(client.peek(task)["state"] == state)


@pytest.mark.usefixtures("kit")
def test_results_of_every_kind(client: Client) -> None:
    assert client.call("UPPER", "hello", timeout=30).payload == b"HELLO"
    assert client.call("UPPER", b"a\nb\0", timeout=30).payload == b"A\nB\0"
    assert client.call("UPPER", b"", timeout=30).payload == b""
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert (client.call("SHAPE", array, timeout=30).data == array * 2).all()
    assert client.call("NESTED", "in", timeout=30).payload == b"<IN>"
    assert client.call("NESTED_ASYNC", timeout=30).payload == b"0X,1X,2X,3X,4X"


@pytest.mark.usefixtures("kit")
@pytest.mark.parametrize("size", [6_000, 7_100, 65_536, 65_537, 3_000_000])
def test_any_size_goes_there_and_back(client: Client, size: int) -> None:
    payload = (b"abc\n" * (size // 4 + 1))[:size]
    assert bytes(client.call("UPPER", payload, timeout=60).payload) == payload.upper()


def test_a_handler_that_raises(local: Client, kit: Process) -> None:
    with pytest.raises(TaskBuriedError) as caught:
        local.call("FAIL", "it", tries=1, timeout=30)
    assert caught.value.outcome.reason == "tries"
    assert caught.value.outcome.words == "RuntimeError: no luck with it second line"
    until(lambda: "Traceback" in kit.stderr and "in fail" in kit.stderr, what="the traceback")
    assert local.call("FAIL_ONCE", timeout=30).payload == b"try 2"


@pytest.mark.usefixtures("kit")
def test_the_ways_to_end(local: Client, tmp_path: Path) -> None:
    assert local.call("GIVE_BACK", str(tmp_path / "marker"), timeout=30).payload == b"try 1"
    with pytest.raises(TaskBuriedError, match="never again") as caught:
        local.call("BURY", timeout=30)
    assert caught.value.outcome.reason == "agent"
    assert local.call("HAND_ON", task="whole", timeout=30).payload == b"whole PART"


@pytest.mark.usefixtures("kit")
def test_streams_come_in_order_and_before_the_result(client: Client) -> None:
    heard: list[tuple[str, str, bytes]] = []

    def hear(kind: str, params: dict[str, str], payload: bytes) -> None:
        heard.append((kind, params.get("seq", ""), payload))

    assert client.call("STREAM", on_stream=hear, timeout=30).payload == b"whole"
    assert heard == [
        ("progress", "", b'{"done":1,"total":2}'),
        ("partial", "0", b"one"),
        ("partial", "1", b"two\nlines"),
    ]


@pytest.mark.usefixtures("kit")
def test_batches_collect_and_one_bad_task_fails_alone(local: Client) -> None:
    payloads = ["x"] * 40 + ["bad"]
    outcomes = list(local.map("BATCHED", payloads, tries=1, check=False))
    sizes = [int(outcome.payload) for outcome in outcomes[:-1]]
    assert max(sizes) > 1
    assert max(sizes) <= 16
    assert outcomes[-1].status == "buried"
    assert "bad one" in outcomes[-1].words


@pytest.mark.usefixtures("kit")
def test_a_child_that_crashes_is_replaced(local: Client) -> None:
    assert int(local.call("CRASH", tries=2, timeout=30).payload) > 1
    with pytest.raises(TaskBuriedError, match="worker process died"):
        local.call("CRASH", tries=1, timeout=30)


@pytest.mark.usefixtures("kit")
def test_cancel_stops_what_looks_and_kills_what_does_not(local: Client, tmp_path: Path) -> None:
    held, spun = tmp_path / "held", tmp_path / "spun"
    local.submit("HOLD", str(held), task="held")
    local.submit("SPIN", str(spun), task="spun")
    until(Path(f"{held}.running").exists, what="the handler")
    until(lambda: spun.exists() and spun.read_text(), what="the child")
    local.cancel("held")
    # It looked up and returned: its result counts.
    assert local.watch_task("held", timeout=30).payload == b"cancelled"
    local.cancel("spun")
    with pytest.raises(TaskCancelledError):
        local.watch_task("spun", timeout=30)
    until(lambda: not Path(f"/proc/{spun.read_text()}").exists(), what="the child's end")


@pytest.mark.usefixtures("kit")
def test_map_keeps_order_and_is_lazy(client: Client) -> None:
    drawn: list[int] = []

    def source() -> Iterator[str]:
        for n in range(3000):
            drawn.append(n)
            yield f"x{n}"

    results = client.map("UPPER", source(), window=100)
    first = [next(results).payload for _ in range(10)]
    assert len(drawn) <= 200
    assert [*first, *(outcome.payload for outcome in results)] == [b"X%d" % n for n in range(3000)]


def test_sigterm_finishes_what_runs_and_gives_back_the_rest(
    local: Client, kit: Process, tmp_path: Path, spawn: Spawn
) -> None:
    files = [tmp_path / f"hold-{n}" for n in range(2)]
    for n, file in enumerate(files):
        local.submit("HOLD", str(file), task=f"hold-{n}")
        until(Path(f"{file}.running").exists, what="the handler")
    local.submit("UPPER", "late", task="late")
    kit.terminate()
    until(lambda: all(row["draining"] for row in local.agents()), what="draining")
    for file in files:
        file.touch()
    assert local.watch_task("hold-0", timeout=30).payload == b"held"
    assert local.watch_task("hold-1", timeout=30).payload == b"held"
    assert kit.wait() == 0
    assert local.peek("late")["state"] == "ready"
    spawn.agent(KIT)
    outcome = local.watch_task("late", timeout=30)
    assert (outcome.payload, outcome.params.get("try", "1")) == (b"LATE", "1")


def test_a_second_sigterm_gives_everything_back(
    local: Client, kit: Process, tmp_path: Path
) -> None:
    file = tmp_path / "hold"
    local.submit("HOLD", str(file), task="hold")
    until(Path(f"{file}.running").exists, what="the handler")
    kit.terminate()
    until(lambda: all(row["draining"] for row in local.agents()), what="draining")
    kit.terminate()
    assert kit.wait() == 0
    until(state_is(local, "hold", "ready"), what="the task to be given back")
    local.cancel("hold")


def test_a_second_sigterm_ends_the_command_it_gave_back(
    local: Client, spawn: Spawn, tmp_path: Path
) -> None:
    """Another agent runs the task: the command must not go on beside it."""
    file = tmp_path / "pid"
    script = f"echo $$ > {file}.new && mv {file}.new {file} && exec sleep 1000"
    agent = spawn("gangliond", "serve", "HOLD", "--", "sh", "-c", script)
    local.submit("HOLD", "", task="hold")
    until(file.exists, what="the command")
    agent.terminate()
    until(lambda: any(row["draining"] for row in local.agents()), what="draining")
    agent.terminate()
    assert agent.wait() == 0
    assert not is_running(int(file.read_text()))
    assert "could not be sent" not in agent.stderr
    until(state_is(local, "hold", "ready"), what="the task to be given back")
    local.cancel("hold")


def test_a_killed_agents_tasks_go_to_another(
    local: Client, kit: Process, tmp_path: Path, spawn: Spawn
) -> None:
    file = tmp_path / "hold"
    local.submit("HOLD", str(file), task="hold")
    until(Path(f"{file}.running").exists, what="the handler")
    Path(f"{file}.running").unlink()
    kit.kill()
    spawn.agent(KIT)
    until(Path(f"{file}.running").exists, timeout=60, what="the second agent")
    file.touch()
    outcome = local.watch_task("hold", timeout=30)
    assert outcome.payload == b"held"


def test_agents_come_back_to_a_new_coordinator(
    coordinator: Process, kit: Process, spawn: Spawn
) -> None:
    with Client() as client:
        assert client.call("UPPER", "a", timeout=30).payload == b"A"
    coordinator.kill()
    spawn.coordinator()
    with Client() as client:
        assert client.call("UPPER", "b", timeout=30).payload == b"B"
    assert kit.returncode is None


@pytest.mark.parametrize("transport", ["mqueue", "unix"])
def test_a_lost_coordinator_is_an_error_and_not_a_hang(
    coordinator: Process, spawn: Spawn, transport: str
) -> None:
    with Client(transport=transport, reconnect=0.3) as client:
        coordinator.freeze()
        submission = client.start("NOBODY", "x")
        with pytest.raises(DeadlineError):
            client.wait(submission, timeout=0.1)
        coordinator.thaw()
        submission = client.start("NOBODY", "y")
        coordinator.kill()
        with pytest.raises(OSError, match="coordinator"):
            client.wait(submission, timeout=30)
    spawn.coordinator().terminate()  # the next one cleans up after it


def test_what_came_late_ends_no_waiting(client: Client, spawn: Spawn) -> None:
    waiting = client.start("NOBODY", "x", task="t1")
    spawn.run("ganglion", "send", stdin=b"RESPONSE:TASK_COMPLETED:t1;token=7:too late\n")
    until(lambda: "late" in client.peek("t1"), what="the late outcome")
    late = client.result("t1", late=True)
    assert isinstance(late, Outcome)
    assert (late.status, late.payload, late.params["token"]) == ("completed", b"too late", "7")
    assert not waiting.done
    state = client.result("t1")
    assert isinstance(state, dict)
    assert state["late"]["bytes"] == 8
    client.cancel("t1")
    with pytest.raises(TaskCancelledError):
        client.wait(waiting, timeout=30)


@pytest.mark.usefixtures("kit")
def test_looking_and_steering(client: Client) -> None:
    client.pause("UPPER")
    name = client.submit("UPPER", "x" * 300, task="looked-at", prio="high")
    row: dict[str, Any] = client.peek(name)
    assert (row["state"], row["action"], row["prio"]) == ("ready", "UPPER", 7)
    assert [t["task"] for t in client.tasks(state="ready", action="UPPER")] == [name]
    state = client.result(name)
    assert isinstance(state, dict)
    assert state["state"] == "ready"
    client.resume("UPPER")
    assert client.watch_task(name, timeout=30).payload == b"X" * 300
    assert client.submit("UPPER", "x" * 300, task="looked-at") == name
    with pytest.raises(StateError, match="exists"):
        client.submit("UPPER", "other", task="looked-at")
    with pytest.raises(StateError, match="unknown_task"):
        client.peek("nothing")
    client.submit("BURY", task="dead")
    until(state_is(client, "dead", "buried"), what="the burial")
    assert client.kick_action("BURY") == 1
    until(state_is(client, "dead", "buried"), what="the second burial")
    client.cancel("dead")
    assert client.ping() > 0
    assert client.status()["draining"] is False
    assert any("UPPER" in row["actions"] for row in client.agents())


@pytest.mark.usefixtures("kit")
def test_many_tasks_list_in_pages(local: Client) -> None:
    local.pause("UPPER")
    for n in range(250):
        local.start("UPPER", str(n), task=f"page-{n:03}")
    until(lambda: len(list(local.tasks(action="UPPER"))) == 250, what="all tasks")
    names = [row["task"] for row in local.tasks(action="UPPER")]
    assert names == [f"page-{n:03}" for n in range(250)]
    local.resume("UPPER")


@pytest.mark.usefixtures("kit")
def test_events_tell_every_change(local: Client) -> None:
    seen: list[tuple[str, str]] = []

    def collect() -> None:
        with Client() as other:
            for event in other.watch(timeout=60):
                seen.append((event["task"], event["state"]))
                if seen[-1] == ("seen", "done"):
                    return

    thread = threading.Thread(target=collect)
    thread.start()

    def watching() -> bool:
        local.call("UPPER", "probe", timeout=30)
        return bool(seen)

    until(watching, what="the watch to begin")
    local.call("UPPER", "x", task="seen", timeout=30)
    thread.join(60)
    assert not thread.is_alive()
    assert [state for task, state in seen if task == "seen"] == ["ready", "leased", "done"]
