"""Blobs: payloads too long for a message, in POSIX shared memory, named by their content.

A segment lives while somebody holds a shared flock on it or the coordinator refers to it, so a
crash at any point leaves nothing for long: locks die with their process and the coordinator sweeps
what neither a lock nor a task keeps (csrc/src/loop/blob.c).

Owns: segments and their locks. Knows no messages.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import re
from typing import Any

import posix_ipc

from ganglion.protocol.errors import PeerError, TransportError
from ganglion.protocol.instance import Instance

_REF = re.compile(rb"([0-9a-f]{64})\.([0-9]{1,15})")
Buffer = bytes | bytearray | memoryview


class Hold:
    """A shared lock that keeps a published segment alive until ``release``."""

    __slots__ = ("_fd", "ref")

    def __init__(self, ref: str, fd: int) -> None:
        self.ref = ref
        self._fd = fd

    @property
    def fd(self) -> int:
        """The descriptor that carries the lock; -1 once released."""
        return self._fd

    def release(self) -> None:
        """Let go; the coordinator keeps the segment for as long as a task refers to it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Spool:
    """The blobs of one instance on this host."""

    def __init__(self, instance: Instance) -> None:
        self._prefix = instance.blob_prefix

    def publish(self, data: Buffer) -> Hold:
        """Put ``data`` into the spool and hold it. The same content again is the same segment.

        Raises:
            TransportError: no room left in shared memory (nothing is left behind), or it cannot be
            used.
        """
        view = memoryview(data).cast("B")
        digest = hashlib.sha256(view).hexdigest()
        name = self._prefix + digest
        try:
            while (fd := self._try_publish(name, view)) is None:
                pass
        except (OSError, posix_ipc.Error) as error:
            number = getattr(error, "errno", None) or errno.EIO
            words = "no room in shared memory (/dev/shm)" if number == errno.ENOSPC else str(error)
            raise TransportError(number, f"blob of {view.nbytes} bytes: {words}") from error
        return Hold(f"{digest}.{view.nbytes}", fd)

    def restored(self, hold: Hold) -> Hold:
        """``hold``, or one on the same content published anew when the segment was removed.

        Raises:
            TransportError: as ``publish``.
        """
        found = os.fstat(hold.fd)
        if found.st_nlink or not found.st_size:
            return hold
        with mmap.mmap(hold.fd, found.st_size, prot=mmap.PROT_READ) as mapped:
            again = self.publish(mapped[:])
        hold.release()
        return again

    @staticmethod
    def _try_publish(name: str, view: memoryview) -> int | None:
        """A locked descriptor of the complete segment, or None when somebody interfered: again."""
        segment = posix_ipc.SharedMemory(name, posix_ipc.O_CREAT, mode=0o600)
        fd = segment.fd
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if not _holds(fd, view):
                # Fresh, or half written by a writer that died: make it whole, alone.
                fcntl.flock(fd, fcntl.LOCK_EX)
                if not _holds(fd, view):
                    _fill(name, fd, view)
                fcntl.flock(fd, fcntl.LOCK_SH)
            if os.fstat(fd).st_nlink and _holds(fd, view):
                fd, kept = -1, fd
                return kept
            return None  # swept between our opening and our locking it
        finally:
            if fd >= 0:
                os.close(fd)

    def fetch(self, ref: bytes | str) -> memoryview:
        """Map the blob ``<sha256>.<bytes>`` read-only, without copying it.

        Raises:
            PeerError: ``bad_param`` for a malformed reference; ``no_blob`` when it is not there or
            its
                length or hash is not what its name says.
        """
        raw = ref.encode() if isinstance(ref, str) else ref
        match = _REF.fullmatch(raw)
        if match is None:
            raise PeerError("bad_param", "a blob is named <sha256>.<bytes>")
        digest, size = match[1].decode(), int(match[2])
        mapped = self._map(digest, size)
        if hashlib.sha256(mapped).hexdigest() != digest:
            raise PeerError("no_blob", f"blob {digest[:12]} does not match its hash")
        return memoryview(mapped)

    def _map(self, digest: str, size: int) -> Any:
        try:
            segment = posix_ipc.SharedMemory(self._prefix + digest, 0)
        except (posix_ipc.Error, OSError) as error:
            raise PeerError("no_blob", f"blob {digest[:12]} is not in the spool") from error
        try:
            if segment.size != size:
                raise PeerError(
                    "no_blob", f"blob {digest[:12]} has {segment.size} bytes, not {size}"
                )
            return mmap.mmap(segment.fd, size, prot=mmap.PROT_READ) if size else b""
        finally:
            segment.close_fd()


def _holds(fd: int, view: memoryview) -> bool:
    """Whether the segment has exactly this content."""
    if os.fstat(fd).st_size != view.nbytes:
        return False
    if not view.nbytes:
        return True
    with mmap.mmap(fd, view.nbytes, prot=mmap.PROT_READ) as mapped:
        return memoryview(mapped) == view if view.nbytes < 4096 else _same(mapped, view)


def _same(mapped: mmap.mmap, view: memoryview) -> bool:
    step = 1 << 20
    return all(mapped[i : i + step] == view[i : i + step] for i in range(0, view.nbytes, step))


def _fill(name: str, fd: int, view: memoryview) -> None:
    """Write with write(2): a full /dev/shm is then an error and not a SIGBUS."""
    try:
        os.ftruncate(fd, 0)
        done = 0
        while done < view.nbytes:
            done += os.pwrite(fd, view[done : done + (1 << 24)], done)
    except OSError:
        with contextlib.suppress(posix_ipc.Error):
            posix_ipc.unlink_shared_memory(name)
        raise
