"""A coordinator that begins tells every queue that has an owner: register again, now.

Without it an agent on a queue would notice at its next heartbeat. One that cannot be told (its queue
is full) does so. Owns nothing; may import: queues and their ledger.
"""

from __future__ import annotations

import contextlib

import posix_ipc

from ganglion.protocol.instance import Instance
from ganglion.protocol.transport import ledger, mqueue


def greet(instance: Instance, epoch: int) -> int:
    """Put CONTROL:HELLO into every peer's queue, without waiting for room. Returns how many were told."""
    told = 0
    for queue in ledger.owned_queues(instance.ledger_dir):
        name = queue.removeprefix(f"{instance.queue}.")
        if name == queue or not ledger.is_owned(instance.ledger_dir, queue):
            continue
        # A datagram of its own that begins with a line end: half a message of the coordinator that is
        # gone may stand before it (SPEC.md, HELLO).
        told += _put(queue, f"\nCONTROL:HELLO:{name};epoch={epoch}\n".encode())
    return told


def _put(queue: str, datagram: bytes) -> bool:
    with contextlib.suppress(posix_ipc.Error, OSError, ValueError):
        opened = mqueue.open_queue(queue)
        if opened is not None:
            try:
                opened.send(datagram, timeout=0)
                return True
            finally:
                opened.close()
    return False
