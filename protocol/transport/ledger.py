"""The ledger of queues: who owns a POSIX queue, known even after a kill -9.

A queue outlives its process, and nothing in the kernel says who made it. So each owner keeps a file
``<runtime>/<instance>/queues/<queue>`` locked with flock(2) for as long as it lives; the kernel
drops the lock however the owner dies. A file that can be locked belongs to nobody: its queue is
removed.

Owns: those files. May import: posix_ipc, the names of the instance.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import posix_ipc

from ganglion.protocol.errors import UsageError

CLAIM_TRIES = 20
CLAIM_PAUSE_S = 0.005


class NameTakenError(UsageError):
    """A living process owns this name; ``pid`` is its number, as text."""

    def __init__(self, words: str, pid: str = "unknown") -> None:
        super().__init__(words)
        self.pid = pid


def _lock(path: Path) -> int | None:
    """An exclusively locked descriptor of ``path``, or None when a living process holds it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        # The file may have been removed between open and flock: then the lock is on a ghost.
        try:
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


class Claim:
    """The right to a queue's name, held until ``release`` or the death of the process."""

    def __init__(self, directory: Path, queue: str) -> None:
        self.queue = queue
        self.path = directory / queue.lstrip("/")
        fd = _lock(self.path)
        for _ in range(CLAIM_TRIES):  # who looks whether it is owned holds it for a moment, too
            if fd is not None:
                break
            time.sleep(CLAIM_PAUSE_S)
            fd = _lock(self.path)
        if fd is None:
            pid = self.path.read_text(errors="replace").strip() or "unknown"
            raise NameTakenError(f"{queue} belongs to a living process (pid {pid})", pid)
        self._fd: int | None = fd
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Remove the file and give the name up."""
        if self._fd is not None:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            os.close(self._fd)
            self._fd = None


def owner(directory: Path, queue: str) -> tuple[int, int] | None:
    """Which claim to ``queue`` is held now, as a mark that no other claim has; None: nobody's."""
    try:
        fd = os.open(directory / queue.lstrip("/"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        found = os.fstat(fd)  # a claim writes its file anew, whether it made it or found it
        return found.st_ino, found.st_mtime_ns
    finally:
        os.close(fd)
    return None


def is_owned(directory: Path, queue: str) -> bool:
    """Whether a living process holds the claim to ``queue``."""
    return owner(directory, queue) is not None


def owned_queues(directory: Path) -> Iterator[str]:
    """Every queue in the ledger, owned or not."""
    with contextlib.suppress(FileNotFoundError):
        for entry in sorted(os.listdir(directory)):
            yield f"/{entry}"


def sweep(directory: Path, keep: str = "") -> list[str]:
    """Remove every queue without an owner, but ``keep``. Returns the names removed."""
    gone = []
    for queue in owned_queues(directory):
        if queue == keep or (fd := _lock(directory / queue.lstrip("/"))) is None:
            continue
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_message_queue(queue)
        with contextlib.suppress(FileNotFoundError):
            (directory / queue.lstrip("/")).unlink()
        os.close(fd)
        gone.append(queue)
    return gone
