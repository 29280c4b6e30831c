"""The journal of a real coordinator: what was accepted is there again, whatever happened to process, files and disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganglion.clients import Client
from support.instance import SHM, Sandbox
from support.line import ask, payload
from support.process import Process, Spawn
from support.until import until

KIT = str(Path(__file__).parent / "roles" / "kit.py")
POLICIES = ("sync", "group", "memory")
SMALL = ("--journal-segment-bytes", "65536", "--journal-compact-bytes", "65536")
# A journal that is not compacted while a test looks at its files.
LONG = ("--journal-segment-bytes", "65536", "--journal-compact-bytes", "1000000000")


def segments(instance: Sandbox) -> list[Path]:
    return sorted((instance.names.state_dir / "journal").glob("*.journal"))


def submit(instance: Sandbox, task: str, text: str = "x") -> bytes:
    return ask(instance.socket, f"DATA:NOBODY:{task}:{text}".encode())


def state(instance: Sandbox, task: str) -> bytes:
    """What the coordinator says of a task: its state, or why not."""
    return ask(instance.socket, f"CONTROL:PEEK:{task}".encode())


def is_ready(instance: Sandbox, task: str) -> bool:
    return b'"state":"ready"' in state(instance, task)


def submit_many(instance: Sandbox, names: list[str], size: int) -> None:
    """Over one connection, each acknowledged before the next."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(str(instance.socket))
        lines = peer.makefile("rwb")
        for name in names:
            lines.write(f"DATA:NOBODY:{name}:{'x' * size}\n".encode())
            lines.flush()
            assert lines.readline().startswith(f"ACK:RECEIVED:{name};".encode())
        lines.close()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_killed_coordinator_has_it_all_again(
    spawn: Spawn, instance: Sandbox, policy: str
) -> None:
    options = ("--journal-policy", policy)
    first = spawn.coordinator(*options)
    agent = spawn.agent(KIT)
    with Client() as client:
        assert client.call("UPPER", "before", task="done", timeout=30).payload == b"BEFORE"
        for i in range(100):
            client.submit("NOBODY", f"{i}", task=f"t{i}")
    assert submit(instance, "t0", "0") == f"ACK:RECEIVED:t0;again=1;journal={policy}".encode()
    first.kill()
    spawn.coordinator(*options)
    assert ask(instance.socket, b"CONTROL:RESULT:done").endswith(b":BEFORE")
    assert all(is_ready(instance, f"t{i}") for i in range(100))
    assert b";again=1" in submit(instance, "t7", "7")
    assert b'"journal":"%s"' % policy.encode() in ask(instance.socket, b"CONTROL:STATUS:s")
    with Client() as client:  # the agent found its way back
        assert client.call("UPPER", "after", timeout=30).payload == b"AFTER"
    assert agent.returncode is None


def test_a_signal_ends_it_at_once_and_loses_nothing(
    coordinator: Process, spawn: Spawn, instance: Sandbox, tmp_path: Path
) -> None:
    spawn.agent(KIT)
    with Client() as client:
        client.submit("HOLD", str(tmp_path / "hold"), task="held")
        until(Path(f"{tmp_path / 'hold'}.running").exists, what="the handler")
    assert submit(instance, "waits").startswith(b"ACK:RECEIVED:waits")
    coordinator.terminate()
    assert coordinator.wait() == 0
    spawn.coordinator()
    assert is_ready(instance, "waits")
    (tmp_path / "hold").touch()
    with Client() as client:
        assert client.watch_task("held", timeout=30).payload == b"held"


def test_without_a_journal_nothing_is_kept(spawn: Spawn, instance: Sandbox) -> None:
    options = ("--journal-policy", "memory", "--journal-dir", "none")
    first = spawn.coordinator(*options)
    assert submit(instance, "t1") in (b"ACK:RECEIVED:t1", b"ACK:RECEIVED:t1;journal=none")
    first.kill()
    assert not instance.names.state_dir.exists()
    spawn.coordinator(*options)
    assert b"unknown_task" in state(instance, "t1")


def test_a_torn_tail_is_cut_and_told(coordinator: Process, spawn: Spawn, instance: Sandbox) -> None:
    submit(instance, "whole")
    coordinator.kill()
    (segment,) = segments(instance)
    size = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(b"DATA:NOBODY:half;ts=1:never commit")
    second = spawn.coordinator()
    assert is_ready(instance, "whole")
    assert b"unknown_task" in state(instance, "half")
    assert segment.stat().st_size == size
    second.wait_for("ended inside a batch that was never committed: its 34 bytes are cut off")
    second.wait_for("tasks named there: half")


def test_a_flipped_bit_costs_one_batch_and_names_its_tasks(
    coordinator: Process, spawn: Spawn, instance: Sandbox
) -> None:
    for task in ("t1", "t2", "t3"):
        submit(instance, task, f"payload-of-{task}")
    coordinator.kill()
    (segment,) = segments(instance)
    data = bytearray(segment.read_bytes())
    data[data.index(b"payload-of-t2") + 3] ^= 1
    segment.write_bytes(data)
    second = spawn.coordinator()
    assert is_ready(instance, "t1")
    assert is_ready(instance, "t3")
    assert b"unknown_task" in state(instance, "t2")
    second.wait_for("tasks named there: t2;")
    (kept,) = segment.parent.glob("*.damaged")
    assert b":t2;" in kept.read_bytes()
    # What was damaged is written anew, so that the next start has nothing to complain about.
    until(lambda: not segment.exists(), what="the damaged segment to be replaced")
    second.kill()
    third = spawn.coordinator()
    assert is_ready(instance, "t1")
    assert is_ready(instance, "t3")
    assert "damaged" not in third.stderr


def test_a_missing_segment_is_named(spawn: Spawn, instance: Sandbox) -> None:
    first = spawn.coordinator(*LONG)
    names = [f"t{i}" for i in range(400)]
    submit_many(instance, names, 900)
    first.kill()
    gone = segments(instance)[2]
    text = gone.read_bytes()
    gone.unlink()
    second = spawn.coordinator(*LONG)
    second.wait_for("segment 3 is missing")
    second.wait_for("missing at byte")  # and the numbers of its batches
    for name in names:
        assert is_ready(instance, name) != (f"DATA:NOBODY:{name};".encode() in text)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_full_disk_stops_acceptance_and_nothing_else(
    spawn: Spawn, instance: Sandbox, small_disk: Path, policy: str
) -> None:
    options = ("--journal-policy", policy, "--journal-dir", str(small_disk / "journal"))
    first = spawn.coordinator(*options)
    spawn.agent(KIT)
    with Client() as client:
        assert client.call("UPPER", "early", task="early", timeout=30).payload == b"EARLY"
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 8192)))
    accepted = []
    for i in range(1000):
        answer = submit(instance, f"t{i}", "x" * 20_000)
        if answer.startswith(b"RESPONSE:REJECTED"):
            break
        accepted.append(f"t{i}")
    assert answer.startswith(b"RESPONSE:REJECTED:t%d:journal " % len(accepted))
    assert len(accepted) > 5
    first.wait_for("No new task is accepted")
    status = payload(ask(instance.socket, b"CONTROL:STATUS:s"))
    assert b'"journal"' in status
    assert b"No space left" in status
    assert ask(instance.socket, b"CONTROL:RESULT:early").endswith(b":EARLY")
    assert is_ready(instance, accepted[-1])
    (small_disk / "ballast").unlink()
    until(lambda: submit(instance, "late").startswith(b"ACK:"), what="new tasks to be accepted")
    first.wait_for("it can be written again")
    first.kill()
    spawn.coordinator(*options)
    assert all(is_ready(instance, task) for task in [*accepted, "late"])
    assert ask(instance.socket, b"CONTROL:RESULT:early").endswith(b":EARLY")


def test_outcomes_are_taken_while_the_disk_is_full(
    spawn: Spawn, instance: Sandbox, small_disk: Path, tmp_path: Path
) -> None:
    options = ("--journal-dir", str(small_disk / "journal"))
    first = spawn.coordinator(*options)
    spawn.agent(KIT)
    with Client() as client:
        client.submit("HOLD", str(tmp_path / "hold"), task="held")
        until(Path(f"{tmp_path / 'hold'}.running").exists, what="the handler")
        room = os.statvfs(small_disk)
        (small_disk / "ballast").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 8192)))
        until(
            lambda: b":journal " in submit(instance, "", "x" * 20_000), what="the disk to be full"
        )
        (tmp_path / "hold").touch()
        assert client.watch_task("held", timeout=30).payload == b"held"
    first.kill()
    (small_disk / "ballast").unlink()
    spawn.coordinator(*options)
    assert ask(instance.socket, b"CONTROL:RESULT:held").endswith(b":held")


def test_two_coordinators_cannot_have_one_journal(
    spawn: Spawn, instance: Sandbox, tmp_path: Path
) -> None:
    options = ("--journal-dir", str(tmp_path / "shared"))
    first = spawn.coordinator(*options)
    other = spawn.run("gangliond", "coordinator", "-i", f"{instance.name[:20]}-b", *options)
    assert other.returncode == 64
    assert b"another coordinator writes the journal" in other.stderr
    first.terminate()
    first.wait()
    other = spawn.run("gangliond", "coordinator", "-i", f"{instance.name[:20]}-b", *options)
    assert other.returncode == 64
    assert f"belongs to the instance {instance.name}".encode() in other.stderr


def test_without_a_place_for_it_there_is_no_coordinator(
    spawn: Spawn, instance: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    wrong = (
        ("--journal-dir", str(tmp_path / "file" / "journal")),
        ("--journal-dir", "/proc/journal"),
        ("--journal-dir", "none"),
        ("--journal-policy", "paper"),
        ("--journal-segment-bytes", "1"),
    )
    for options in wrong:
        done = spawn.run("gangliond", "coordinator", *options)
        assert done.returncode == 64, options
        assert b"journal" in done.stderr
    done = spawn.run("gangliond", "coordinator", *wrong[0])
    assert b"--journal-policy memory --journal-dir none" in done.stderr
    assert not instance.queues()


def test_compaction_bounds_the_disk(spawn: Spawn, instance: Sandbox) -> None:
    first = spawn.coordinator(*SMALL)
    spawn.agent(KIT)
    with Client() as client:
        submit(instance, "stays", "y" * 5000)
        for _ in range(10):
            tasks = [client.submit("UPPER", "x" * 1000, keep=1000) for _ in range(100)]
            for task in tasks:
                client.watch_task(task, timeout=30)
    written = 10 * 100 * 2 * 1000

    def bytes_on_disk() -> int:
        sizes = []
        for path in segments(instance):
            with contextlib.suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
        return sum(sizes)

    until(lambda: bytes_on_disk() < written // 4, what="the journal to be compacted")
    first.kill()
    spawn.coordinator(*SMALL)
    assert is_ready(instance, "stays")
    assert b"y" * 200 in state(instance, "stays")


@pytest.mark.parametrize("policy", ["sync", "group"])
def test_a_blob_is_as_safe_as_its_task(spawn: Spawn, instance: Sandbox, policy: str) -> None:
    options = ("--journal-policy", policy)
    first = spawn.coordinator(*options)
    big = os.urandom(300_000)
    with Client() as client:
        client.submit("UPPER", big.hex(), task="big")
    first.kill()
    assert len(instance.segments()) == 1
    (SHM / instance.segments()[0]).unlink()  # as the end of the machine would
    second = spawn.coordinator(*options)
    assert len(instance.segments()) == 1
    spawn.agent(KIT)
    with Client() as client:
        assert client.watch_task("big", timeout=30).payload == big.hex().upper().encode()
    second.kill()
    shutil.rmtree(instance.names.state_dir / "journal")
    third = spawn.coordinator(*options)  # nobody refers to anything any longer
    assert not instance.segments()
    assert not list((instance.names.state_dir / "blobs").iterdir())
    third.signal(signal.SIGTERM)
    assert third.wait() == 0


def test_a_blob_without_a_copy_gets_one_at_the_next_start(spawn: Spawn, instance: Sandbox) -> None:
    copies = instance.names.state_dir / "blobs"
    first = spawn.coordinator("--journal-policy", "memory")
    with Client() as client:
        client.submit("NOBODY", "x" * 100_000, task="big")
    first.kill()
    assert not copies.exists()
    spawn.coordinator()
    until(lambda: copies.exists() and len(list(copies.iterdir())) == 1, what="the copy")
    assert is_ready(instance, "big")
