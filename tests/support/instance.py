"""An instance of Ganglion for one test, and the proof that the test left nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

import posix_ipc

from ganglion.protocol.instance import Instance

SHM = Path("/dev/shm")
# Helpers of multiprocessing that live as long as the process that first used it.
RESIDENT = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


class Sandbox:
    """A coordinator's world of its own: a name nobody else has, and two folders.

    The folders lie directly under /tmp because the path of a Unix socket may have 107 bytes at most, and
    pytest's own folders are long.
    """

    def __init__(self) -> None:
        self.name = f"t{os.getpid():x}-{secrets.token_hex(4)}"
        self.base = Path(tempfile.mkdtemp(prefix="gn-", dir="/tmp"))
        self.names = Instance(self.name, self.base / "run", self.base / "state")
        self.names.runtime_base.mkdir()
        self.names.state_base.mkdir()
        self.settings = {
            "GANGLION_INSTANCE": self.name,
            "GANGLION_RUNTIME_DIR": str(self.names.runtime_base),
            "GANGLION_STATE_DIR": str(self.names.state_base),
        }
        self._children = set(descendants(os.getpid()))

    @property
    def socket(self) -> Path:
        return self.names.socket_path

    def queues(self) -> list[str]:
        """The queues of this instance that exist, by the ledger, by name, and by /dev/mqueue when it is mounted."""
        candidates = {self.names.queue}
        for folder in (self.names.ledger_dir, Path("/dev/mqueue")):
            with contextlib.suppress(OSError):
                candidates |= {f"/{name}" for name in os.listdir(folder) if self.name in name}
        return sorted(name for name in candidates if queue_exists(name))

    def ledger(self) -> list[str]:
        """Files in the ledger of queues."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(self.names.ledger_dir))
        return []

    def segments(self) -> list[str]:
        """Shared memory of this instance."""
        return sorted(path.name for path in SHM.glob(f"*{self.name}*"))

    def processes(self) -> list[int]:
        """Processes that run in this instance, or were started by this one since the test began."""
        marked = [pid for pid in all_processes() if self._is_marked(pid)]
        started = set(descendants(os.getpid())) - self._children
        mine = {pid for pid in started if not any(word in command(pid) for word in RESIDENT)}
        return sorted(mine | set(marked))

    def _is_marked(self, pid: int) -> bool:
        if pid == os.getpid():
            return False
        wanted = f"GANGLION_INSTANCE={self.name}".encode()
        return wanted in read(pid, "environ").split(b"\0")

    def leftovers(self) -> list[str]:
        """Everything that still exists and should not, in words."""
        return [
            *(f"process {pid}: {command(pid)}" for pid in self.processes()),
            *(f"queue {name}" for name in self.queues()),
            *(f"entry in the ledger of queues: {name}" for name in self.ledger()),
            *(f"shared memory segment {name}" for name in self.segments() if not self._kept(name)),
        ]

    def _kept(self, segment: str) -> bool:
        """Whether a journal has this blob, too: then it is there for the next coordinator."""
        return (self.names.state_dir / "blobs" / segment.rpartition(".")[2]).exists()

    def remove(self) -> None:
        """Take away whatever is left, so that one bad test does not spoil the next."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for name in self.queues():
            with contextlib.suppress(posix_ipc.ExistentialError):
                posix_ipc.unlink_message_queue(name)
        for name in self.segments():
            (SHM / name).unlink(missing_ok=True)
        shutil.rmtree(self.base, ignore_errors=True)


def queue_exists(name: str) -> bool:
    try:
        queue = posix_ipc.MessageQueue(name, read=False)
    except posix_ipc.ExistentialError:
        return False
    except posix_ipc.PermissionsError:
        return True
    queue.close()
    return True


def read(pid: int, name: str) -> bytes:
    """A file of a process; empty when it is gone or not ours to read."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie that waits to be collected."""
    return read(pid, "stat").rpartition(b") ")[2][:1] not in (b"", b"Z", b"X")


def command(pid: int) -> str:
    return read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def descendants(root: int) -> list[int]:
    """Living processes below ``root``."""
    parents: dict[int, list[int]] = {}
    for pid in all_processes():
        fields = read(pid, "stat").rpartition(b") ")[2].split()
        if len(fields) > 1 and fields[0] not in (b"Z", b"X"):
            parents.setdefault(int(fields[1]), []).append(pid)
    found: list[int] = []
    front = [root]
    while front:
        children = parents.get(front.pop(), [])
        found += children
        front += children
    return found
