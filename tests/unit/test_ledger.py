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


def test_thirty_agents_fit_the_default_limit() -> None:
    coordinator = mqueue.queue_cost(mqueue.COORDINATOR_SLOTS, mqueue.COORDINATOR_SLOT_BYTES)
    agents = 30 * mqueue.queue_cost(mqueue.PEER_SLOTS, mqueue.PEER_SLOT_BYTES)
    clients = 4 * mqueue.queue_cost(mqueue.PEER_SLOTS, mqueue.PEER_SLOT_BYTES)
    assert coordinator + agents + clients <= mqueue.RLIMIT_DEFAULT_BYTES


def test_the_kernel_counts_no_more_than_we_do(tmp_path: Path) -> None:
    """In a child with a limit of exactly our arithmetic, the queues can be made, and not one more."""
    program = f"""
import resource, sys
from pathlib import Path
from ganglion.protocol.errors import TransportError
from ganglion.protocol.transport.mqueue import OwnedQueue, queue_cost
uid = 54321
import os
cost = queue_cost(8, 2048)
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (3 * cost, 3 * cost))
os.chmod({str(tmp_path)!r}, 0o777)
if os.geteuid() == 0:
    os.setuid(uid)  # the kernel counts by user: one that has no other queues
made = []
try:
    for n in range(9):
        made.append(OwnedQueue(Path({str(tmp_path)!r}), f"/ganglion-test.{os.getpid()}.{{n}}", 8, 2048))
except TransportError as error:
    print(len(made), error.strerror)
for queue in made:
    queue.close()
"""
    # Another user must be able to reach the folder and the interpreter's files.
    path = tmp_path
    while path != path.parent and os.geteuid() == 0:
        path.chmod(path.stat().st_mode | 0o711)
        path = path.parent
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if os.geteuid() == 0 and not done.stdout:
        pytest.skip(f"another user cannot run this interpreter: {done.stderr[-200:]}")
    count, _, words = done.stdout.partition(" ")
    assert int(count) >= 3, done.stderr
    assert "RLIMIT_MSGQUEUE" in words


def test_a_refusal_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(TransportError, match="msg_max"):
        mqueue.OwnedQueue(tmp_path, name, 1 << 24, 8192)
    assert list(tmp_path.iterdir()) == []
