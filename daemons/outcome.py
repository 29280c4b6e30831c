"""What a handler returned or raised, as the line that the coordinator is told."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from ganglion.daemons.task import Bury, Continue, Packed, Release, Task
from ganglion.protocol import codec
from ganglion.protocol.blobs import Hold, Spool
from ganglion.protocol.session import format_line, format_params

log = logging.getLogger("ganglion")

WORDS_BYTES_MAX = 512


def one_line(text: str) -> bytes:
    """Words for the wire: no line ends, not too long."""
    return " ".join(text.split()).encode()[:WORDS_BYTES_MAX]


def failed(task: Task, error: BaseException) -> bytes:
    """TASK_FAILED in one line; the traceback goes to the agent's log."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    log.error(
        "task %s (%s, try %d) failed:\n%s", task.name, task.action, task.attempt, trace.rstrip()
    )
    words = traceback.format_exception_only(type(error), error)[-1]
    return ended(task, b"RESPONSE:TASK_FAILED", one_line(words))


def released(task: Task, delay_ms: int = 0) -> bytes:
    """TASK_RELEASED: given back, not counted."""
    return ended(task, b"RESPONSE:TASK_RELEASED", b"", {"delay": delay_ms} if delay_ms else None)


def ended(
    task: Task, head: bytes, payload: bytes | memoryview, params: dict[str, Any] | None = None
) -> bytes:
    described = b"token=" + task.token
    if params:
        described += b";" + format_params(params)
    return format_line(head, task.name.encode(), described, payload)


def completed(
    task: Task, result: Any, spool: Spool, inline_bytes_max: int
) -> tuple[bytes, Hold | None]:
    """The line for what a handler returned, and the hold on its blob when it needed one.

    Raises:
        UsageError: the result cannot be written as a payload. TransportError: no room for a blob.
    """
    if type(result) is bytes and len(result) <= inline_bytes_max:
        # The common case, without a dictionary.
        return format_line(
            b"RESPONSE:TASK_COMPLETED", task.name.encode(), b"token=" + task.token, result
        ), None
    if isinstance(result, Release):
        return released(task, result.delay_ms), None
    if isinstance(result, Bury):
        return ended(task, b"RESPONSE:TASK_BURIED", one_line(result.words)), None
    params: dict[str, Any] = {}
    if isinstance(result, Continue):
        params = {"via": list(result.via), "after": list(result.after) or None}
        result = result.payload
    if isinstance(result, Packed):
        raw, described = codec.encode(result.data, "msgpack")
    else:
        raw, described = codec.encode(b"" if result is None else result)
    params.update(described)
    if len(raw) <= inline_bytes_max:
        return ended(task, b"RESPONSE:TASK_COMPLETED", raw, params), None
    hold = spool.publish(raw)
    # Acknowledged, so that the segment is held until the coordinator refers to it.
    params.update(blob=hold.ref, ack=1)
    return ended(task, b"RESPONSE:TASK_COMPLETED", b"", params), hold
