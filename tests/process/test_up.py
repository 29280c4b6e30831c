"""``gangliond up`` and ``gangliond serve``: the supervisor and commands as agents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ganglion.clients import Client
from ganglion.protocol.session import DeadlineError, TaskBuriedError, TaskCancelledError
from support.instance import Sandbox
from support.line import pings
from support.process import Process, Spawn, program
from support.until import until

KIT = str(Path(__file__).parent / "roles" / "kit.py")


def agent_pid(client: Client) -> int:
    """The process of the one agent there is, 0 when there is none."""
    rows = list(client.agents())
    return int(rows[0]["info"]["pid"]) if rows else 0


def test_up_starts_again_what_dies_and_drains_at_the_end(spawn: Spawn, instance: Sandbox) -> None:
    up = spawn("gangliond", "up", KIT).ready(instance.socket)
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    with Client() as client:
        first = agent_pid(client)
        os.kill(first, signal.SIGKILL)
        assert client.call("UPPER", "again", timeout=60).payload == b"AGAIN"
        assert agent_pid(client) != first
    owner = instance.names.ledger_dir / instance.names.queue.lstrip("/")
    coordinator = owner.read_text()
    os.kill(int(coordinator), signal.SIGKILL)
    until(
        lambda: owner.read_text() not in ("", coordinator) and pings(instance.socket),
        what="another coordinator",
    )
    with Client() as client:
        assert client.call("UPPER", "back", timeout=60).payload == b"BACK"
    assert "coordinator ended (-9)" in up.stderr
    up.terminate()
    assert up.wait() == 0


def test_up_tells_its_coordinator_where_the_journal_is(
    spawn: Spawn, instance: Sandbox, tmp_path: Path
) -> None:
    up = spawn("gangliond", "up", KIT, "--journal-dir", str(tmp_path / "kept")).ready(
        instance.socket
    )
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["00000001.journal"]
    up.terminate()
    assert up.wait() == 0


def test_nothing_outlives_a_killed_supervisor(spawn: Spawn, instance: Sandbox) -> None:
    up = spawn("gangliond", "up", KIT).ready(instance.socket)
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    up.kill()
    until(lambda: not instance.processes(), what="coordinator and agent to end")


def test_up_lives_on_when_nobody_reads_what_it_says(spawn: Spawn, instance: Sandbox) -> None:
    reader, writer = os.pipe()
    up = subprocess.Popen([*program("gangliond"), "up", KIT], stderr=writer)
    os.close(writer)
    os.close(reader)
    until(lambda: pings(instance.socket), what="the coordinator")
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    with Client() as client:
        os.kill(agent_pid(client), signal.SIGKILL)
        assert client.call("UPPER", "again", timeout=60).payload == b"AGAIN"
    up.terminate()
    assert up.wait(60) == 0


def test_an_agent_leaves_without_its_coordinator(coordinator: Process, spawn: Spawn) -> None:
    agent = spawn.agent(KIT)
    coordinator.terminate()
    assert coordinator.wait() == 0
    agent.terminate()
    assert agent.wait(timeout=15) == 0


def test_looking_makes_nothing(spawn: Spawn, instance: Sandbox) -> None:
    done = spawn.run("ganglion", "status")
    assert done.returncode == 69
    assert not instance.names.runtime_dir.exists()


def test_up_names_an_unknown_role(spawn: Spawn) -> None:
    done = spawn.run("gangliond", "up", "nobody")
    assert done.returncode == 64
    assert b"embedder" in done.stderr


def test_up_ends_when_its_coordinator_cannot_start(coordinator: Process, spawn: Spawn) -> None:
    done = spawn.run("gangliond", "up", KIT, timeout=60)
    assert done.returncode == 1
    assert str(coordinator.pid).encode() in done.stderr


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.sh"
    path.write_text(
        "#!/bin/sh\n"
        'read -r word\ncase "$word" in\n'
        'env) echo "$GANGLION_ACTION $GANGLION_TASK $GANGLION_TRY" ;;\n'
        "fail) echo first >&2; echo 'the last line' >&2; exit 3 ;;\n"
        "bury) echo never >&2; exit 100 ;;\n"
        'later) [ "$GANGLION_TRY" = 1 ] && [ ! -e "$0.later" ] && touch "$0.later" && exit 75\n'
        "   echo now ;;\n"
        'hang) touch "$0.hangs"; exec sleep 300 ;;\n'
        "*) cat ;;\nesac\n"
    )
    path.chmod(0o755)
    return path


def test_commands_end_tasks_as_their_status_says(
    coordinator: Process, spawn: Spawn, script: Path
) -> None:
    spawn("gangliond", "serve", "-j", "2", "RUN,ALSO", "--", str(script))
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    with Client() as client:
        assert client.call("ALSO", b"env\n", task="t9", timeout=30).payload == b"ALSO t9 1\n"
        with pytest.raises(TaskBuriedError, match=r"script.sh: exit 3: the last line"):
            client.call("RUN", b"fail\n", tries=1, timeout=30)
        with pytest.raises(TaskBuriedError, match="never") as caught:
            client.call("RUN", b"bury\n", timeout=30)
        assert caught.value.outcome.reason == "agent"
        assert client.call("RUN", b"later\n", timeout=30).payload == b"now\n"
        client.submit("RUN", b"hang\n", task="hangs")
        until(Path(f"{script}.hangs").exists, what="the command")
        client.cancel("hangs")
        with pytest.raises(TaskCancelledError):
            client.watch_task("hangs", timeout=30)
        big = os.urandom(300_000).hex().encode()
        assert bytes(client.call("RUN", b"x\n" + big, timeout=30).payload) == big


def test_a_command_is_fed_what_its_task_waited_for(coordinator: Process, spawn: Spawn) -> None:
    spawn("gangliond", "serve", "CAT,SUM", "--", "cat")
    until(lambda: len(spawn.agents()) == 1, what="the agent")
    with Client() as client:
        parts = [client.submit("CAT", f"part {n}\n", task=f"part-{n}") for n in range(3)]
        joined = client.call("SUM", b"", after=parts, timeout=30)
    assert joined.payload == b"part 0\npart 1\npart 2\n"


def test_a_missing_command_is_wrong_use(spawn: Spawn) -> None:
    done = spawn.run("gangliond", "serve", "X", "--", "no-such-program-here")
    assert done.returncode == 64
    assert b"no-such-program-here" in done.stderr


def send_many(client: Client, count: int) -> None:
    for n in range(count):
        client.start("X", b"y" * 4000, task=f"full-{n}")


def test_a_full_queue_blocks_until_the_deadline_and_then_says_so(coordinator: Process) -> None:
    with Client(transport="mqueue", timeout=0.5) as client:
        coordinator.freeze()
        try:
            with pytest.raises(DeadlineError, match="stayed full"):
                send_many(client, 100)
        finally:
            coordinator.thaw()
        until(lambda: len(list(client.tasks(action="X"))) >= 10, what="what was sent")
        for row in list(client.tasks(action="X")):
            client.cancel(row["task"])


def test_a_full_shared_memory_is_an_error_in_words(spawn: Spawn, coordinator: Process) -> None:
    """A limit on file size stands for a full /dev/shm: write(2) fails in the same place."""
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from ganglion.clients import Client\n"
        "from ganglion.protocol.errors import TransportError\n"
        "with Client() as client:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "    try:\n"
        "        client.submit('X', b'z' * 200000)\n"
        "    except TransportError as error:\n"
        "        print(error.strerror)\n"
    )
    done = spawn.run(sys.executable, "-c", code)
    assert b"blob of 200000 bytes" in done.stdout, done.stderr
