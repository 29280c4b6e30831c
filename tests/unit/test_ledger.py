"""The ledger of queues: owners die in any way, their queues go; living ones stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import posix_ipc
import pytest

from ganglion.protocol.errors import TransportError
from ganglion.protocol.transport import ledger, mqueue

OWNER = """
import sys, time
from pathlib import Path
from ganglion.protocol.transport.mqueue import OwnedQueue
queue = OwnedQueue(Path(sys.argv[1]), sys.argv[2], 2, 128)
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name() -> Iterator[str]:
    name = f"/ganglion-test.{uuid.uuid4().hex[:12]}"
    yield name
    try:
        posix_ipc.unlink_message_queue(name)
    except posix_ipc.ExistentialError:
        return
    pytest.fail(f"queue {name} was left behind")


def exists(name: str) -> bool:
    queue = mqueue.open_queue(name)
    if queue is not None:
        queue.close()
    return queue is not None


def owner(tmp_path: Path, name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "made\n"
    return process


def test_a_killed_owner_is_swept_and_a_living_one_is_not(tmp_path: Path, name: str) -> None:
    with owner(tmp_path, name) as process:
        assert ledger.is_owned(tmp_path, name)
        assert ledger.sweep(tmp_path) == []
        assert exists(name)
        with pytest.raises(ledger.NameTakenError, match=str(process.pid)):
            ledger.Claim(tmp_path, name)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not ledger.is_owned(tmp_path, name)
        assert ledger.sweep(tmp_path, keep=name) == []
        assert ledger.sweep(tmp_path) == [name]
        assert not exists(name)
        assert list(tmp_path.iterdir()) == []


def test_close_removes_queue_and_claim(tmp_path: Path, name: str) -> None:
    queue = mqueue.OwnedQueue(tmp_path, name, 2, 128)
    assert exists(name)
    queue.close()
    assert not exists(name)
    assert list(tmp_path.iterdir()) == []


def test_messages_outlive_a_killed_coordinator(tmp_path: Path, name: str) -> None:
    with owner(tmp_path, name) as process:
        writer = mqueue.open_queue(name)
        assert writer is not None
        writer.send(b"PING")
        process.kill()
        process.wait()
    again = mqueue.OwnedQueue(tmp_path, name, 2, 128, reuse=True)
    assert writer.receive(0)[0] == b"PING"
    again.close()
    other = mqueue.OwnedQueue(tmp_path, name, 3, 128, reuse=True)
    assert other._queue.max_messages == 3
    other.close()
    writer.close()


MAKE = """
import os, resource, sys
from pathlib import Path
from ganglion.protocol.errors import TransportError
from ganglion.protocol.transport import mqueue
folder, limit, sizes = Path(sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3])
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (limit, limit))
if os.geteuid() == 0:
    os.chmod(folder, 0o777)
    os.setuid(54321)  # the kernel counts by user: one that has no other queues
made, words = [], ""
try:
    for n, (slots, slot_bytes) in enumerate(sizes):
        name = f"/ganglion-test.{os.getpid()}.{n}"
        made.append(mqueue.OwnedQueue(folder, name, slots, slot_bytes))
except TransportError as error:
    words = error.strerror
print(len(made), words)
for queue in made:
    queue.close()
"""


def make_queues(tmp_path: Path, limit: int, sizes: list[tuple[int, int]]) -> tuple[int, str]:
    """How many of these queues a user with this limit can have, and why not more."""
    if os.geteuid() == 0:  # the other user must be able to reach the folder
        for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            folder.chmod(folder.stat().st_mode | 0o711)
    argv = [sys.executable, "-c", MAKE, str(tmp_path), str(limit), repr(sizes)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    count, _, words = done.stdout.strip().partition(" ")
    assert count, done.stderr
    return int(count), words


def test_a_coordinator_thirty_agents_and_four_clients_fit_the_default_limit(tmp_path: Path) -> None:
    coordinator = (mqueue.COORDINATOR_SLOTS, mqueue.COORDINATOR_SLOT_BYTES)
    sizes = [coordinator] + 34 * [(mqueue.PEER_SLOTS, mqueue.PEER_SLOT_BYTES)]
    assert sum(mqueue.queue_cost(*size) for size in sizes) <= mqueue.RLIMIT_DEFAULT_BYTES
    assert make_queues(tmp_path, mqueue.RLIMIT_DEFAULT_BYTES, sizes) == (35, "")


def test_the_kernel_counts_no_more_than_we_do(tmp_path: Path) -> None:
    count, words = make_queues(tmp_path, 3 * mqueue.queue_cost(8, 2048), 9 * [(8, 2048)])
    assert 3 <= count < 9
    assert "RLIMIT_MSGQUEUE" in words


def test_a_refusal_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(TransportError, match="msg_max"):
        mqueue.OwnedQueue(tmp_path, name, 1 << 24, 8192)
    assert list(tmp_path.iterdir()) == []
