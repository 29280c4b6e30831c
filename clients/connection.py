"""The blocking client's line: sending, receiving, waiting, and coming back to a coordinator.

Whoever waits receives for all threads (one at a time), so that a lone caller pays for no extra
thread and no extra wake-up.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ganglion.clients.presence import LATER, Presence
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.batch import BATCH_MESSAGES, unpack
from ganglion.protocol.errors import PeerError, TransportError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import DeadlineError, Session, Waiter
from ganglion.protocol.transport.endpoint import Endpoint, choose, no_welcome

if TYPE_CHECKING:
    from typing_extensions import Self

# A wait is cut into pieces so that Ctrl-C and a coordinator that died are noticed.
WAIT_MS = 200
RECONNECT_S = 30.0
DRAIN_BATCHES = 64


def client_name() -> str:
    """A peer name that no other client has."""
    return f"c{os.getpid()}-{os.urandom(3).hex()}"


class Connection:
    """A registered peer without actions; arguments and errors are those of ``Client``."""

    def __init__(
        self,
        instance: str | Instance | None = None,
        *,
        transport: str = "auto",
        timeout: float = 10.0,
        reconnect: float = RECONNECT_S,
    ) -> None:
        if not isinstance(instance, Instance):
            instance = Instance.from_environment(instance)
        self.instance = instance
        self.timeout = timeout
        self._endpoint = Endpoint(instance, client_name(), choose(transport))
        self.session = Session.over(self._endpoint, self.instance)
        self._presence = Presence(instance, self._endpoint, self.session, reconnect)
        self._messages = ffi.new("gn_msg[]", BATCH_MESSAGES)
        self._base = ffi.new("uint8_t **")
        self._changed = threading.Condition()
        self._pumping = False
        self._closed = False
        try:
            self._register()
        except BaseException:
            self.close()
            raise

    def _register(self) -> None:
        waiter, line = self._presence.register()
        # One limit for both: a stopped coordinator's queue may be full as well.
        deadline = time.monotonic() + self.timeout
        try:
            self._send(line, deadline)
            self._wait(lambda: waiter.done, deadline, "CONTROL:REGISTER")
        except DeadlineError:
            refusal = self.session.refusal(waiter)
            raise refusal or DeadlineError(no_welcome(self.instance)) from None
        self._presence.welcomed(waiter.result())

    @property
    def transport(self) -> str:
        """The transport in use: ``mqueue`` or ``unix``."""
        return self._endpoint.kind

    @property
    def connected(self) -> bool:
        """False while the coordinator is away and waited for."""
        return self._presence.is_here

    def check_connected(self) -> None:
        """Raise NoCoordinatorError while the coordinator is away and waited for."""
        if not self._presence.is_here:
            raise self._presence.away()

    # -- waiting --------------------------------------------------------------------------

    def _send(self, data: bytes, deadline: float | None = None) -> None:
        """Send whole messages that the session knows; a full queue blocks until the deadline.

        While the coordinator is away it waits, up to the deadline; who brings it back says all of
        this again, so that nothing is left to send.

        Raises:
            DeadlineError: the queue stayed full, or nobody came back. NoCoordinatorError: given up.
            TransportError: it cannot be sent.
        """
        presence, generation = self._presence, self._presence.generation
        if presence.error is not None:
            with self._changed:
                presence.hope(time.monotonic())
        limit = time.monotonic() + self.timeout if deadline is None else deadline
        sent = 0
        while sent < len(data):
            if presence.is_behind:
                limit = self._settle(limit, deadline)
                if presence.generation != generation:
                    return
                continue
            chunk = data if sent == 0 else data[sent:]
            done = lib.gn_link_send(self._endpoint.link, chunk, len(chunk), WAIT_MS)
            if done > 0:
                sent += done
            elif -done in LATER:
                if time.monotonic() >= limit:
                    raise DeadlineError(
                        "the coordinator's queue stayed full: it is busy or stopped"
                    )
                self._receive(0)  # its answers may be what blocks it
                self._check_alive()
            elif self.transport == "unix" or not presence.look():
                self._drain(-done)
            else:
                raise TransportError(-done, f"cannot send: {os.strerror(-done)}")

    def _settle(self, limit: float, deadline: float | None) -> float:
        """One turn of waiting for the coordinator, or for room for what is to be said before.
        The limit from here on: time without a coordinator does not count unless the caller set it.
        """
        now = time.monotonic()
        if deadline is None and not self._presence.is_here:
            limit = now + self.timeout
        if now >= limit:
            self.check_connected()
            raise DeadlineError("the coordinator's queue stayed full: it is busy or stopped")
        if not self._turn(max(1, min(WAIT_MS, int((limit - now) * 1000)))):
            self._check_alive()
        return limit

    def _drain(self, number: int) -> None:
        """The line broke, or its reader died: take what it still said, then look for another."""
        for _ in range(DRAIN_BATCHES):
            if not self._presence.is_open or not self._receive(0):
                break
        self._lost(self._presence.generation, number)

    def _turn(self, timeout_ms: int) -> bool:
        """What is due, then receive for everybody. False when nothing came."""
        presence = self._presence
        if presence.is_unsettled:
            with self._changed:
                try:
                    wait_s = presence.step(time.monotonic())
                finally:
                    self._changed.notify_all()
                timeout_ms = min(timeout_ms, int(wait_s * 1000) + 1) if wait_s < 60 else timeout_ms
                if not presence.is_open:
                    self._changed.wait(timeout_ms / 1000)
                    return True
        return self._receive(timeout_ms)

    def _receive(self, timeout_ms: int) -> bool:
        """Receive one batch for everybody. False when nothing came."""
        with self._changed:
            if self._pumping:
                self._changed.wait(timeout_ms / 1000)
                return True
            self._pumping = True
            generation, link = self._presence.generation, self._endpoint.link
        count = 0
        try:
            count = lib.gn_link_recv(link, self._messages, BATCH_MESSAGES, timeout_ms, self._base)
            batch = unpack(self._messages, count, self._base[0]) if count > 0 else []
        finally:
            with self._changed:
                self._pumping = False
                if count > 0:
                    self.session.dispatch(batch)
                self._changed.notify_all()
        if count < 0:
            self._lost(generation, -count)
        return bool(count > 0)

    def _lost(self, generation: int, number: int) -> None:
        """The line broke; once for all threads that see it.

        Raises:
            NoCoordinatorError: it is not waited for.
        """
        words = f"the coordinator went away ({os.strerror(number)})" if number else ""
        with self._changed:
            if generation == self._presence.generation:
                self._presence.lost(time.monotonic(), words)

    def _check_alive(self) -> None:
        """Whether the reader of the queue is still the one we know (a socket tells by itself)."""
        if self._presence.is_open and not self._presence.look():
            self._drain(0)

    def _wait(
        self, done: Callable[[], bool], deadline: float | None, what: str, own_s: float = 0.0
    ) -> None:
        """``own_s``: it is the coordinator itself that owes the answer, within so many seconds of
        its being there.
        """
        while not done():
            left = WAIT_MS
            if deadline is not None:
                if own_s and not self._presence.is_here:
                    deadline = time.monotonic() + own_s
                left = min(left, int((deadline - time.monotonic()) * 1000) + 1)
                if left <= 0:
                    self.check_connected()
                    raise DeadlineError(f"{what}: no answer in time")
            if not self._turn(left) and not done():
                self._check_alive()

    def _wait_for(self, waiter: Waiter, timeout: float | None, what: str, own: bool = False) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self._wait(lambda: waiter.done, deadline, what, self.timeout if own else 0.0)
        except DeadlineError:
            raise self.session.refusal(waiter) or DeadlineError(
                f"{what}: no answer in time"
            ) from None
        return waiter.result()

    def _request(
        self, verb: str, subject: str | None = None, payload: bytes = b"", **params: Any
    ) -> Any:
        with self._changed:
            waiter, line = self.session.request(verb, subject, payload, **params)
        return self._ask(waiter, line, f"CONTROL:{verb}")

    def _ask(self, waiter: Waiter, line: bytes, what: str) -> Any:
        """Send a request and wait for its answer."""
        try:
            self._send(line)
            return self._wait_for(waiter, self.timeout, what, own=True)
        except BaseException:
            waiter.line = None  # it must not be made later, when nobody waits for it
            raise

    # -- life -----------------------------------------------------------------------------

    def close(self) -> None:
        """Say goodbye and remove this client's queue. Tasks go on without it."""
        if self._closed:
            return
        self._closed = True
        bye = f"CONTROL:BYE:{self._endpoint.name}\n".encode()
        lib.gn_link_send(self._endpoint.link, bye, len(bye), 100)
        self._endpoint.close()
        self.session.fail(PeerError("unknown_sender", "the client was closed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
