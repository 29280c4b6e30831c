"""The coordinator daemon: its doors, its names, its end, and peers that misbehave."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ganglion.clients import Client
from ganglion.protocol.errors import HostError
from ganglion.protocol.instance import Instance
from ganglion.protocol.transport.mqueue import open_queue
from support.instance import Sandbox, queue_exists
from support.line import ask, payload
from support.process import Process, Spawn, program
from support.until import until

KIT = str(Path(__file__).parent / "roles" / "kit.py")
TEXTBOOK = Path(__file__).parent / "textbook.c"
# With one, a signal ends it at once: tests/process/test_journal.py.
WITHOUT_JOURNAL = ("--journal-policy", "memory", "--journal-dir", "none")

# The lines of the grammar's promise: each is a message for ever, and what the coordinator makes of it.
SIX_LINES = (
    "CONTROL:ASSIGN_TASK:task_id:123",
    "DATA:EMBEDDING:[1.234, 2.345]",
    'DATA:QUERY:task_id_42:{"query": "Find relevant documents for AI"}',
    "DATA:EMBEDDING:task_id_43:[1.23, 4.56]",
    "RESPONSE:TASK_COMPLETED:task_id:123",
    "ACK:RECEIVED",
)


@pytest.fixture
def textbook(tmp_path: Path) -> Path:
    program = tmp_path / "textbook"
    subprocess.run(["cc", "-o", program, TEXTBOOK, "-lrt"], check=True)
    return program


def test_a_textbook_program_submits(
    coordinator: Process, textbook: Path, instance: Sandbox
) -> None:
    queue = Instance.from_environment().queue
    for line in SIX_LINES:
        subprocess.run([textbook, queue, line], check=True)
    with Client() as client:
        until(lambda: len(list(client.tasks())) == 3, what="three tasks")
        row = client.peek("task_id_43")
        assert (row["state"], row["action"]) == ("ready", "EMBEDDING")
        assert row["payload"] == "[1.23, 4.56]"
        assert client.peek("task_id_42")["action"] == "QUERY"


def test_no_second_coordinator(coordinator: Process, spawn: Spawn) -> None:
    done = spawn.run("gangliond", "coordinator")
    assert done.returncode == 64
    assert str(coordinator.pid).encode() in done.stderr
    with Client() as client:
        assert client.ping() > 0


def test_speaks_on_standard_input_and_output(spawn: Spawn, instance: Sandbox) -> None:
    process = spawn(
        "gangliond", "coordinator", "--stdio", stdin=b"CONTROL:PING:p:hi\nDATA:X:t1:payload\n"
    ).ready(instance.socket)
    until(lambda: "ACK:RECEIVED:t1" in process.stdout, what="the answers")
    assert process.stdout.splitlines()[0] == "ACK:PONG:p:hi"
    with Client() as client:
        client.cancel("t1")


def test_drains_and_says_no_meanwhile(spawn: Spawn, tmp_path: Path) -> None:
    coordinator = spawn.coordinator(*WITHOUT_JOURNAL)
    spawn.agent(KIT)
    with Client() as client:
        client.submit("HOLD", str(tmp_path / "hold"), task="held")
        until(Path(f"{tmp_path / 'hold'}.running").exists, what="the handler")
        coordinator.terminate()
        until(lambda: client.status()["draining"], what="draining")
        with pytest.raises(HostError, match="draining"):
            client.submit("UPPER", "x")
        (tmp_path / "hold").touch()
        assert client.watch_task("held", timeout=30).payload == b"held"
    assert coordinator.wait() == 0


def test_a_second_signal_leaves_at_once(spawn: Spawn) -> None:
    coordinator = spawn.coordinator(*WITHOUT_JOURNAL)
    with Client() as client:
        client.submit("NOBODY", "x")
        coordinator.signal(signal.SIGINT)
        until(lambda: client.status()["draining"], what="draining")
        coordinator.signal(signal.SIGINT)
        assert coordinator.wait() == 0


def test_dead_clients_leave_no_queues(coordinator: Process, instance: Sandbox) -> None:
    code = "import os,signal\nfrom ganglion.clients import Client\nc=Client(transport='mqueue')\n"
    code += "c.submit('NOBODY','x'*100000, task='orphan')\nos.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code], check=False)
    until(lambda: len(instance.queues()) == 1, what="the dead client's queue to go")
    assert len(instance.segments()) == 1
    with Client() as client:
        client.cancel("orphan")
    until(lambda: not instance.segments(), timeout=30, what="the blob to go")


def test_hostile_bytes_over_both_doors(coordinator: Process, instance: Sandbox) -> None:
    rng = random.Random(7)
    queue = open_queue(Instance.from_environment().queue)
    assert queue is not None
    for _ in range(300):
        size = rng.choice([0, 1, 10, 500, 8192])
        noise = rng.choice([rng.randbytes(size), b":" * size, b"DATA:X:t;len=" + b"9" * size])
        queue.send(noise[:8192])
    queue.close()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(instance.socket))
        sock.sendall(b"DATA:X:big;len=67108864:" + rng.randbytes(100_000))
    claims = (
        b"DATA:X:t;len=12:short\nDATA:X:t;prio=99:\nDATA:X:t;from=%zz:\nnonsense\nCONTROL:PING:p\n"
    )
    answers = ask(instance.socket, claims)
    assert answers.startswith(b"RESPONSE:REJECTED:")
    assert json.loads(payload(ask(instance.socket, b"CONTROL:STATUS:s")))["draining"] is False


def test_falls_back_to_the_socket_and_says_so_once(spawn: Spawn, instance: Sandbox) -> None:
    """With no room for queues everything works over the socket."""
    limit = "import resource,sys,os\nresource.setrlimit(resource.RLIMIT_MSGQUEUE,(0,0))\n"
    limit += "os.execvp(sys.argv[1],sys.argv[1:])"
    process = spawn(sys.executable, "-c", limit, *program("gangliond"), "coordinator")
    process.ready(instance.socket)
    assert process.stderr.count("serving the Unix socket only") == 1
    agent = spawn(sys.executable, "-c", limit, *program("gangliond"), "agent", KIT)
    agent.wait_for("over unix")
    done = spawn.run(sys.executable, "-c", limit, *program("ganglion"), "call", "UPPER", "hello")
    assert done.stdout.rstrip() == b"HELLO"
    assert done.returncode == 0


def test_an_agent_with_room_for_a_queue_follows_a_coordinator_without(spawn: Spawn) -> None:
    """What a coordinator needs is more than what an agent needs, so there is room for one only."""
    spawn.coordinator("--transport", "unix")
    agent = spawn(*program("gangliond"), "agent", KIT)
    agent.wait_for("over unix")
    assert agent.stderr.count("using the Unix socket instead of a queue") == 1
    done = spawn.run(*program("ganglion"), "call", "UPPER", "hello")
    assert (done.stdout.rstrip(), done.returncode) == (b"HELLO", 0)


def test_a_queue_left_by_a_dead_coordinator_leads_nobody_astray(spawn: Spawn) -> None:
    dead = spawn.coordinator()
    dead.kill()
    assert queue_exists(Instance.from_environment().queue)
    spawn.coordinator("--transport", "unix")
    assert not queue_exists(Instance.from_environment().queue)
    done = spawn.run(*program("ganglion"), "status")
    assert b"over unix" in done.stdout


def test_a_socket_path_that_is_too_long_is_named(spawn: Spawn, tmp_path: Path) -> None:
    done = spawn.run(
        "env",
        f"GANGLION_RUNTIME_DIR={tmp_path / ('x' * 120)}",
        *program("gangliond"),
        "coordinator",
    )
    assert done.returncode == 64
    assert b"GANGLION_RUNTIME_DIR" in done.stderr


def test_a_setting_out_of_range_is_named_and_leaves_nothing(
    spawn: Spawn, instance: Sandbox
) -> None:
    done = spawn.run("gangliond", "coordinator", "--tries", "99999999999")
    assert done.returncode == 64
    assert b"coordinator.tries = 99999999999 is too large" in done.stderr
    assert not instance.queues()
    assert not instance.socket.exists()
