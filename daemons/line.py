"""An agent's line to its coordinator: the C runtime, seen from Python.

Owns: the runtime (csrc/src/link/runtime.c: receiving, heartbeats, coming back), the session of what
this agent asks of others, and the tasks received but not started. Knows no handlers.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ganglion.protocol._native import ffi, lib
from ganglion.protocol.batch import Incoming, unpack
from ganglion.protocol.blobs import Spool
from ganglion.protocol.errors import StateError, TransportError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import (
    HEADER_ROOM,
    DeadlineError,
    Outcome,
    Session,
    Waiter,
    registration,
)
from ganglion.protocol.transport.endpoint import prepare

log = logging.getLogger("ganglion")

TAKE_MESSAGES = 64
TAKE_BYTES = 2 * lib.GN_MESSAGE_BYTES_MAX
WAIT_MS = 200


class Closed(Exception):
    """The line was closed."""


class Line:
    """One agent's line.

    Args:
        name: the peer name. actions, slots: what it registers for.
        on_control: called with every CONTROL message (CANCEL, DRAIN), where it was received.

    Raises:
        TransportError: neither a queue nor a socket can be had. NameTakenError: the name is in use.
    """

    def __init__(
        self,
        instance: Instance,
        name: str,
        actions: list[str],
        slots: int,
        transports: tuple[str, ...],
        on_control: Callable[[Incoming], None],
        **info: Any,
    ) -> None:
        self.name = name
        self.spool = Spool(instance)
        self._on_control = on_control
        self._route = prepare(instance, name, transports)
        inbox = self._route.inbox
        body = json.dumps(registration(inbox.name if inbox else "", actions, slots, **info))
        line = f"CONTROL:REGISTER:{name}:{body}\n".encode()
        config = ffi.new("gn_runtime_config *")
        config.name = name.encode()
        config.queue = self._route.queue.encode()
        config.socket_path = self._route.socket_path.encode()
        config.inbox = inbox.name.encode() if inbox else b""
        config.inbox_mqd = inbox.mqd if inbox else -1
        config.heartbeat_ms = 1000
        keep_alive = config.register_line = ffi.from_buffer("uint8_t[]", line)
        config.register_len = len(line)
        runtime = lib.gn_runtime_new(config)
        del keep_alive
        if runtime == ffi.NULL:
            self._route.close()
            raise TransportError(ffi.errno, f"agent {name}: cannot start its protocol thread")
        self._runtime: Any = ffi.gc(runtime, lib.gn_runtime_free)
        inline = lib.gn_runtime_message_bytes_max(self._runtime) - HEADER_ROOM
        self.inline_bytes_max: int = min(inline, lib.GN_INLINE_BYTES_MAX)
        self.session = Session(name, self.spool, self.inline_bytes_max)
        self.lock = threading.Lock()
        self.backlog: deque[Incoming] = deque()
        self._local = threading.local()

    @property
    def transport(self) -> str:
        return self._route.kind

    def stats(self) -> Any:
        """The runtime's ``gn_runtime_stats``."""
        stats = ffi.new("gn_runtime_stats *")
        lib.gn_runtime_read_stats(self._runtime, stats)
        return stats

    # -- in -------------------------------------------------------------------------------

    def take(self, count: int, timeout_ms: int, window_us: int = 0) -> list[Incoming]:
        """Up to ``count`` tasks: those left over from a nested wait first, then what comes.

        Everything that is not a task is dealt with on the way. Empty: nothing in time.

        Raises:
            Closed: the line was closed.
        """
        if self.backlog:
            with self.lock:
                room = min(count, len(self.backlog))
                return [self.backlog.popleft() for _ in range(room)]
        return self._receive(min(count, TAKE_MESSAGES), timeout_ms, window_us)

    def _receive(self, count: int, timeout_ms: int, window_us: int) -> list[Incoming]:
        local = self._local
        if not hasattr(local, "messages"):
            local.messages = ffi.new("gn_msg[]", TAKE_MESSAGES)
            local.bytes = ffi.new("uint8_t[]", TAKE_BYTES)
        got = lib.gn_runtime_take(
            self._runtime, local.messages, count, local.bytes, TAKE_BYTES, timeout_ms, window_us
        )
        if got == 0:
            return []
        if got < 0:
            raise Closed
        batch = unpack(local.messages, got, local.bytes)
        tasks = [message for message in batch if message.type == lib.GN_DATA]
        if len(tasks) != len(batch):
            self._dispatch([message for message in batch if message.type != lib.GN_DATA])
        return tasks

    def _dispatch(self, messages: list[Incoming]) -> None:
        for message in messages:
            if message.type == lib.GN_CONTROL:
                self._on_control(message)
        with self.lock:
            self.session.dispatch(m for m in messages if m.type != lib.GN_CONTROL)

    def receive_for(self, waiter: Waiter, timeout_ms: int) -> None:
        """Receive while waiting for an answer; tasks that come meanwhile are kept for ``take``."""
        tasks = self._receive(TAKE_MESSAGES, 0 if waiter.done else timeout_ms, 0)
        if tasks:
            with self.lock:
                self.backlog.extend(tasks)

    # -- out ------------------------------------------------------------------------------

    def send(self, data: bytes, give_up: Callable[[], bool] = lambda: False) -> None:
        """Send whole messages, waiting out a full queue or a coordinator that is away.

        Raises:
            DeadlineError: ``give_up()`` said so. TransportError: a message can never be sent.
        """
        sent = 0
        while sent < len(data):
            chunk = data[sent:] if sent else data
            done = lib.gn_runtime_send(self._runtime, chunk, len(chunk), WAIT_MS)
            if done > 0:
                sent += done
            elif -done == errno.EMSGSIZE:
                raise TransportError(-done, "a message is longer than the coordinator's slot")
            elif give_up():
                raise DeadlineError("the coordinator does not take messages")
            elif -done not in (0, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR):
                time.sleep(0.02)  # disconnected: the runtime is opening it again

    # -- requests of this agent ---------------------------------------------------------------

    def request(self, verb: str, subject: str | None, payload: bytes = b"") -> Waiter:
        """Send a CONTROL request; the waiter of its answer."""
        with self.lock:
            waiter, line = self.session.request(verb, subject, payload)
        self.send(line)
        return waiter

    def outcome_of(self, answer: Any) -> Outcome:
        """The outcome in the answer to CONTROL:RESULT.

        Raises:
            StateError: the task has not ended.
        """
        if isinstance(answer, Outcome):
            return answer
        raise StateError("bad_state", f"{answer.task.decode()} has not ended")

    def close(self) -> None:
        """Say goodbye, stop the runtime, remove the queue."""
        bye = f"CONTROL:BYE:{self.name}\n".encode()
        lib.gn_runtime_send(self._runtime, bye, len(bye), 100)
        lib.gn_runtime_close(self._runtime)

    def abandon(self) -> None:
        """As ``free`` when a handler does not return: its thread keeps the runtime, the queue
        goes.
        """
        self._route.close()

    def free(self) -> None:
        """After ``close``, and when no thread is inside ``take`` or ``send`` any longer."""
        ffi.release(self._runtime)
        self._route.close()
