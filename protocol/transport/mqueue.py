"""POSIX message queues: made, owned and removed here; read and written by C (csrc/src/link, loop).

The kernel lets one user hold 819,200 bytes of queues by default (RLIMIT_MSGQUEUE), counted over all
processes when a queue is made. A queue costs ``slots * (slot_bytes + 48)`` bytes and a little more
for its tree of priorities. The sizes below keep a coordinator and 30 agents under that limit
(tests/unit/test_mqueue_budget.py).
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

import posix_ipc

from ganglion.protocol.errors import TransportError
from ganglion.protocol.transport.ledger import Claim

COORDINATOR_SLOTS = 10
COORDINATOR_SLOT_BYTES = 8192
PEER_SLOTS = 8
PEER_SLOT_BYTES = 2048
# struct msg_msg and one posix_msg_tree_node a slot, as the kernel counts them on 64-bit machines.
KERNEL_BYTES_PER_SLOT = 96
RLIMIT_DEFAULT_BYTES = 819_200


def queue_cost(slots: int, slot_bytes: int) -> int:
    """Bytes of RLIMIT_MSGQUEUE that a queue takes (an upper bound; linux/ipc/mqueue.c,
    mqueue_get_inode).
    """
    return slots * (slot_bytes + KERNEL_BYTES_PER_SLOT)


# posix_ipc turns errno into words of its own and leaves the number out.
_NUMBERS = (
    ("maximum number of files", errno.EMFILE),
    ("nsufficient space", errno.ENOSPC),
    ("nvalid parameter", errno.EINVAL),
    ("ermission denied", errno.EACCES),
)


def errno_of(error: Exception) -> int:
    """The error number behind what posix_ipc raised; EIO when it does not tell."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    return next((code for words, code in _NUMBERS if words in str(error)), errno.EIO)


def explain(error: Exception, queue: str) -> str:
    """What went wrong with a queue, and what to do, in plain words."""
    number = errno_of(error)
    if number == errno.EMFILE:
        return (
            f"no room for queue {queue}: this user's POSIX queues are at the limit of bytes "
            "(ulimit -q, 819200 by default): raise LimitMSGQUEUE= or RLIMIT_MSGQUEUE"
        )
    if number == errno.ENOSPC:
        return f"no room for queue {queue}: the machine has fs.mqueue.queues_max queues (sysctl)"
    if number == errno.EINVAL:
        return f"queue {queue}: slots or slot size over fs.mqueue.msg_max or msgsize_max (sysctl)"
    if number == errno.ENOSYS:
        return "this kernel has no POSIX message queues"
    return f"queue {queue}: {error}"


class OwnedQueue:
    """A queue this process made, with its claim in the ledger; closing it removes both.

    ``reuse``: keep messages of an earlier owner that died, when the queue has the wanted size.

    Raises:
        NameTakenError: a living process owns the name.
        TransportError: the kernel refused; the text says why and what to do.
    """

    def __init__(
        self, ledger: Path, name: str, slots: int, slot_bytes: int, *, reuse: bool = False
    ) -> None:
        self.name = name
        self._claim = Claim(ledger, name)
        try:
            self._queue = self._make(slots, slot_bytes, reuse)
        except BaseException:
            self._claim.release()
            raise
        self.mqd: int = self._queue.mqd

    def _make(self, slots: int, slot_bytes: int, reuse: bool) -> posix_ipc.MessageQueue:
        try:
            if reuse:
                with contextlib.suppress(posix_ipc.ExistentialError):
                    old = posix_ipc.MessageQueue(self.name)
                    if (old.max_messages, old.max_message_size) == (slots, slot_bytes):
                        return old
                    old.close()
            with contextlib.suppress(posix_ipc.ExistentialError):
                posix_ipc.unlink_message_queue(self.name)
            return posix_ipc.MessageQueue(
                self.name,
                posix_ipc.O_CREX,
                mode=0o600,
                max_messages=slots,
                max_message_size=slot_bytes,
            )
        except (OSError, ValueError, posix_ipc.Error) as error:
            raise TransportError(errno_of(error), explain(error, self.name)) from error

    def close(self) -> None:
        """Close and unlink the queue, and give its name up."""
        self._queue.close()
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_message_queue(self.name)
        self._claim.release()


def open_queue(name: str) -> posix_ipc.MessageQueue | None:
    """Somebody else's queue, or None when there is none of this name."""
    try:
        return posix_ipc.MessageQueue(name)
    except posix_ipc.ExistentialError:
        return None


def exists(name: str) -> bool:
    """Whether there is a queue of this name."""
    queue = open_queue(name)
    if queue is None:
        return False
    queue.close()
    return True


def remove_stale(name: str) -> None:
    """Remove a queue that nobody reads; the caller holds the claim to its name."""
    with contextlib.suppress(posix_ipc.ExistentialError):
        posix_ipc.unlink_message_queue(name)
