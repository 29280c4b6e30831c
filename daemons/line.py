"""An agent's line to its coordinator: the C runtime, seen from Python.

Owns: the runtime (csrc/src/link/runtime.c: receiving, heartbeats, coming back), the session of what
this agent asks of others. Knows no handlers.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
import time
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
from ganglion.protocol.transport.mqueue import COORDINATOR_SLOT_BYTES

log = logging.getLogger("ganglion")

TAKE_MESSAGES = 64
TAKE_BYTES = 2 * lib.GN_MESSAGE_BYTES_MAX
WAIT_MS = 200
# A worker that took our answer with its tasks notifies, but cannot get us out of C: look again.
PUMP_MS = 20
_ALL = ffi.new("gn_wanted *", (lib.GN_TAKE_TASKS | lib.GN_TAKE_OTHERS, ffi.NULL, 0))
_OVERDUE = ffi.new("gn_wanted *", (lib.GN_TAKE_OTHERS | lib.GN_TAKE_OVERDUE, ffi.NULL, 0))
_OTHERS = ffi.new("gn_wanted *", (lib.GN_TAKE_OTHERS, ffi.NULL, 0))


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
        # A coordinator that comes back may have found no room for its queue.
        path = str(instance.socket_path) if "unix" in transports else self._route.socket_path
        config.socket_path = path.encode()
        config.inbox = inbox.name.encode() if inbox else b""
        config.inbox_mqd = inbox.mqd if inbox else -1
        config.heartbeat_ms = 1000
        config.spin_us = instance.spin_us
        keep_alive = config.register_line = ffi.from_buffer("uint8_t[]", line)
        config.register_len = len(line)
        runtime = lib.gn_runtime_new(config)
        del keep_alive
        if runtime == ffi.NULL:
            self._route.close()
            raise TransportError(ffi.errno, f"agent {name}: cannot start its protocol thread")
        self._runtime: Any = ffi.gc(runtime, lib.gn_runtime_free)
        # 0 while the coordinator is away: its slots are then what they always are.
        longest = lib.gn_runtime_message_bytes_max(self._runtime) or COORDINATOR_SLOT_BYTES
        self.inline_bytes_max: int = min(longest - HEADER_ROOM, lib.GN_INLINE_BYTES_MAX)
        self.session = Session(name, self.spool, self.inline_bytes_max)
        # Guards the session; notified when answers came.
        self.answered = threading.Condition()
        self._pumping = False
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

    def take(self, count: int, timeout_ms: int) -> list[Incoming]:
        """Up to ``count`` tasks, waiting for the first. Empty: none in time.

        What is no task is dealt with on the way.

        Raises:
            Closed: the line was closed.
        """
        return self._receive(_ALL, count, timeout_ms, 0)

    def take_more(self, action: bytes, count: int, window_us: int) -> list[Incoming]:
        """Up to ``count`` further tasks of ``action`` that come within ``window_us``; to fill a batch."""
        only = ffi.from_buffer("char[]", action)
        wanted = ffi.new("gn_wanted *", (lib.GN_TAKE_TASKS, only, len(action)))
        return self._receive(wanted, count, -(-window_us // 1000), window_us)

    def take_overdue(self, timeout_ms: int) -> None:
        """Deal with what is no task when every worker is too busy to: a CANCEL, say.

        Raises:
            Closed: the line was closed.
        """
        self._receive(_OVERDUE, TAKE_MESSAGES, timeout_ms, 0)

    def _receive(self, wanted: Any, count: int, timeout_ms: int, window_us: int) -> list[Incoming]:
        local = self._local
        if not hasattr(local, "messages"):
            local.messages = ffi.new("gn_msg[]", TAKE_MESSAGES)
            local.bytes = ffi.new("uint8_t[]", TAKE_BYTES)
        got = lib.gn_runtime_take_wanted(
            self._runtime,
            wanted,
            local.messages,
            min(count, TAKE_MESSAGES),
            local.bytes,
            TAKE_BYTES,
            timeout_ms,
            window_us,
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
        with self.answered:
            self.session.dispatch(m for m in messages if m.type != lib.GN_CONTROL)
            self.answered.notify_all()

    def wait_for(self, waiter: Waiter, timeout: float | None) -> Any:
        """Wait for an answer on a handler's thread; tasks that come meanwhile are left to others.

        Raises:
            DeadlineError: no answer in time. Closed: the line was closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not waiter.done:
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineError("no answer in time")
            with self.answered:
                if waiter.done:
                    break
                if self._pumping:  # another handler's thread receives for us too
                    self.answered.wait(WAIT_MS / 1000)
                    continue
                self._pumping = True
            try:
                self._receive(_OTHERS, TAKE_MESSAGES, PUMP_MS, 0)
            finally:
                with self.answered:
                    self._pumping = False
                    self.answered.notify_all()
        return waiter.result()

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

    def request(
        self, verb: str, subject: str | None, give_up: Callable[[], bool] = lambda: False
    ) -> Waiter:
        """Send a CONTROL request; the waiter of its answer.

        Raises:
            DeadlineError: ``give_up()`` said so before it could be sent.
        """
        with self.answered:
            waiter, line = self.session.request(verb, subject)
        self.send(line, give_up)
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
