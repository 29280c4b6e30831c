"""Whether the coordinator is there, and the way back to it when it is not.

The common part of ``Client`` and ``AsyncClient``: it notices that the coordinator is another one,
opens the line again every ``RETRY_S``, registers, and has the session say again what was not
answered. It never waits: ``step`` does what is due and says when it wants to be called next.

Owns: the state of the line. Knows no threads and no event loop: the caller holds the session's
lock.
"""

from __future__ import annotations

import errno
import json
import logging

from ganglion.protocol._native import lib
from ganglion.protocol.batch import Incoming, param
from ganglion.protocol.errors import TransportError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import Session, Waiter, registration
from ganglion.protocol.transport.endpoint import Endpoint, NoCoordinatorError, no_coordinator

log = logging.getLogger("ganglion")

RETRY_S = 0.1  # between attempts to open the line
WELCOME_S = 1.0  # a REGISTER not answered by then may lie in a queue that nobody empties
FLUSH_BYTES = 1 << 16
NOT_YET = float("inf")
LATER = frozenset({0, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR})


class Presence:
    """The line of one client.

    Args:
        reconnect_s: how long a lost coordinator is waited for; 0: not at all.
    """

    def __init__(
        self, instance: Instance, endpoint: Endpoint, session: Session, reconnect_s: float
    ) -> None:
        self._instance = instance
        self._endpoint = endpoint
        self._session = session
        self._reconnect_s = reconnect_s
        self._body = json.dumps(registration(endpoint.inbox_name)).encode()
        self._owner = endpoint.owner()
        self._epoch = b""
        self._register: Waiter | None = None
        self._lost_at = self._next_at = 0.0
        self._words = ""
        self._rest = b""
        self.is_here = True  # registered, as far as is known
        self.is_open = True  # there is somebody at the other end of the line
        self.generation = 0  # counts the coordinators that were registered with
        self.error: Exception | None = None  # why nobody waits for it any more
        session.on_hello = self._on_hello

    @property
    def is_unsettled(self) -> bool:
        """Whether ``step`` has something to do."""
        session = self._session
        return not self.is_here or bool(session.outbox or self._rest or session.refused)

    @property
    def is_behind(self) -> bool:
        """Whether something is to be said before anything new."""
        return not self.is_here or bool(self._session.outbox or self._rest)

    # -- registering ----------------------------------------------------------------------

    def register(self) -> tuple[Waiter, bytes]:
        """The first REGISTER, for the caller to send; ``welcomed`` takes its answer."""
        return self._session.request("REGISTER", self._endpoint.name, self._body)

    def welcomed(self, answer: Incoming) -> None:
        """The coordinator knows us."""
        self._epoch = param(answer.params, b"epoch") or b""
        self._owner = self._endpoint.owner()
        self.is_here, self.error = True, None

    # -- losing it ------------------------------------------------------------------------

    def look(self) -> bool:
        """False when the coordinator we know is gone or another one has come (queues)."""
        return self._endpoint.kind != "mqueue" or self._endpoint.owner() == self._owner

    def lost(self, now_s: float, words: str = "") -> None:
        """The line broke, or its reader died.

        Raises:
            NoCoordinatorError: it is not waited for.
        """
        self.is_open = False
        self._rest = b""
        if not self.is_here:
            return
        self.is_here = False
        self._lost_at = self._next_at = now_s
        self._words = words or no_coordinator(self._instance)
        if self._reconnect_s <= 0:
            self._give_up()
        log.warning(
            "the coordinator went away; waiting up to %g s for it to come back", self._reconnect_s
        )

    def _give_up(self) -> None:
        words = self._words
        if self._reconnect_s > 0:
            words += f" (waited {self._reconnect_s:g} s for it to come back)"
        self.error = NoCoordinatorError(0, words)
        self._session.fail(self.error)
        raise self.error

    def away(self) -> NoCoordinatorError:
        """What to say to somebody who cannot wait longer."""
        return NoCoordinatorError(0, f"{self._words}; it has not come back in time")

    def hope(self, now_s: float) -> None:
        """Somebody asks for something anew: a coordinator that was given up is waited for again.

        Raises:
            NoCoordinatorError: it is not waited for.
        """
        if self.error is not None:
            if self._reconnect_s <= 0:
                raise self.error
            self.error = None
            self._lost_at = self._next_at = now_s

    # -- coming back ----------------------------------------------------------------------

    def step(self, now_s: float) -> float:
        """Do what is due; seconds until there is more.

        Raises:
            NoCoordinatorError: it did not come back in time, and everybody who waits is told so.
        """
        if self.error is not None:
            raise self.error
        wait_s = self._session.due(now_s)
        if not self.is_here:
            if self._lost_at == NOT_YET:
                self._lost_at = now_s
            if now_s > self._lost_at + self._reconnect_s or self._reconnect_s <= 0:
                self._give_up()
            if now_s >= self._next_at:
                self._next_at = now_s + RETRY_S
                self._try(now_s)
            wait_s = min(wait_s, max(0.0, self._next_at - now_s))
        if self.is_open and not self._flush():
            wait_s = min(wait_s, RETRY_S / 10)
        return wait_s

    def _try(self, now_s: float) -> None:
        """Open the line and say who we are; or see to it that the WELCOME comes."""
        if self._register is not None:
            self._session.withdraw(self._endpoint.name.encode(), self._register)
            self._register = None
        try:
            self.is_open = self._endpoint.reopen()
        except TransportError as error:
            log.debug("cannot open the line: %s", error)
            self.is_open = False
        if not self.is_open:
            return
        self._body = json.dumps(registration(self._endpoint.inbox_name)).encode()
        waiter, self._rest = self.register()
        waiter.line = None  # if it is refused, it is tried from the beginning
        waiter.notify = lambda: self._answered(waiter)
        self._register = waiter
        self._next_at = now_s + WELCOME_S

    def _answered(self, waiter: Waiter) -> None:
        """The REGISTER that went over a new line was answered."""
        if waiter is not self._register:
            return
        self._register = None
        if waiter.error is not None:
            log.debug("not registered: %s", waiter.error)
            return
        answer: Incoming = waiter.value
        self.welcomed(answer)
        self.generation += 1
        log.warning("the coordinator is back")
        self._session.resume()

    def _on_hello(self, message: Incoming) -> None:
        """A coordinator has started. The one we know says nothing new."""
        if self.is_here and param(message.params, b"epoch") != self._epoch:
            self.is_here = self.is_open = False
            self._lost_at, self._next_at = NOT_YET, 0.0
            self._words = "the coordinator was started anew"

    # -- saying ---------------------------------------------------------------------------

    def _flush(self) -> bool:
        """Send what is to be said, as much as goes. True: that was all."""
        session = self._session
        while self._rest or (self.is_here and session.outbox):
            if not self._rest:
                self._rest = self._next_lines()
            done = lib.gn_link_send(self._endpoint.link, self._rest, len(self._rest), 0)
            if done <= 0:
                return False  # a line that broke is noticed where it is read
            self._rest = self._rest[done:]
        return True

    def _next_lines(self) -> bytes:
        outbox = self._session.outbox
        size = count = 0
        while count < len(outbox) and size < FLUSH_BYTES:
            size += len(outbox[count])
            count += 1
        lines = b"".join(outbox[:count])
        del outbox[:count]
        return lines
