"""The asyncio client's line: sending, receiving, waiting, and coming back to a coordinator.

All of it runs on the event loop's thread. One task, the keeper, does what is due beside what people
wait for: it looks whether the coordinator lives and brings the line back.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

from ganglion.clients.connection import RECONNECT_S, client_name
from ganglion.clients.presence import LATER, Presence
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.batch import BATCH_MESSAGES, unpack
from ganglion.protocol.errors import GanglionError, PeerError, TransportError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import DeadlineError, Session, Waiter
from ganglion.protocol.transport.endpoint import (
    Endpoint,
    NoCoordinatorError,
    choose,
    no_welcome,
)

if TYPE_CHECKING:
    from typing_extensions import Self

RETRY_SECONDS = 0.001
AWAY_SECONDS = 0.02
ALIVE_SECONDS = 0.2


class AsyncConnection:
    """A registered peer without actions; arguments and errors are those of ``Client``.

    Use it with ``async with``, or call ``connect`` and ``close``.
    """

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
        self._reconnect_s = reconnect
        self._kinds = choose(transport)
        self._endpoint: Endpoint | None = None
        self._sending = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._read_fd = -1

    async def connect(self) -> Self:
        """Open the line and register. Raises as ``Client``."""
        self._endpoint = Endpoint(self.instance, client_name(), self._kinds)
        self.session = Session.over(self._endpoint, self.instance)
        self._presence = Presence(self.instance, self._endpoint, self.session, self._reconnect_s)
        self._messages = ffi.new("gn_msg[]", BATCH_MESSAGES)
        self._base = ffi.new("uint8_t **")
        self._stir = asyncio.Event()
        self._listen()
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        waiter, line = self._presence.register()
        try:
            # One limit for sending and waiting: a stopped coordinator's queue may be full as well.
            await asyncio.wait_for(self._ask(waiter, line, "CONTROL:REGISTER"), self.timeout)
        except (DeadlineError, asyncio.TimeoutError):
            await self.close()
            raise DeadlineError(no_welcome(self.instance)) from None
        except BaseException:
            await self.close()
            raise
        self._presence.welcomed(waiter.result())
        return self

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Say goodbye and remove this client's queue. Tasks go on without it."""
        if self._endpoint is None:
            return
        endpoint, self._endpoint = self._endpoint, None
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        self._deafen()
        bye = f"CONTROL:BYE:{endpoint.name}\n".encode()
        lib.gn_link_send(endpoint.link, bye, len(bye), 0)
        endpoint.close()
        self.session.fail(PeerError("unknown_sender", "the client was closed"))

    @property
    def connected(self) -> bool:
        """False while the coordinator is away and waited for."""
        return self._endpoint is not None and self._presence.is_here

    # -- the line -----------------------------------------------------------------------------

    def _listen(self) -> None:
        """Watch the line that is open now, if there is one."""
        if self._endpoint is None or not self._presence.is_open:
            self._deafen()
            return
        fd = lib.gn_link_read_fd(self._endpoint.link)
        if fd != self._read_fd:
            self._deafen()
            self._read_fd = fd
            asyncio.get_running_loop().add_reader(fd, self._on_readable)

    def _deafen(self) -> None:
        if self._read_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._read_fd)
            self._read_fd = -1

    def _on_readable(self) -> None:
        if self._endpoint is None:
            return
        link, count = self._endpoint.link, BATCH_MESSAGES
        while count == BATCH_MESSAGES:
            count = lib.gn_link_recv(link, self._messages, BATCH_MESSAGES, 0, self._base)
            if count > 0:
                self.session.dispatch(unpack(self._messages, count, self._base[0]))
        if count < 0:
            self._lost(-count)
        elif self._presence.is_unsettled:
            self._stir.set()

    def _lost(self, number: int = 0) -> None:
        words = f"the coordinator went away ({os.strerror(number)})" if number else ""
        with contextlib.suppress(NoCoordinatorError):  # those who wait have been told
            self._presence.lost(asyncio.get_running_loop().time(), words)
        self._listen()
        self._stir.set()

    async def _keep(self) -> None:
        """What is due, as long as the client lives."""
        presence, clock = self._presence, asyncio.get_running_loop().time
        while self._endpoint is not None:
            if presence.is_here and not presence.look():  # a queue's reader died
                self._on_readable()  # what it still said
                self._lost()
            wait_s = ALIVE_SECONDS
            if presence.is_unsettled and presence.error is None:
                with contextlib.suppress(NoCoordinatorError):
                    wait_s = min(wait_s, presence.step(clock()))
                self._listen()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stir.wait(), max(wait_s, RETRY_SECONDS))
            self._stir.clear()

    async def _send(self, data: bytes, deadline: float | None = None) -> None:
        """As ``Connection._send``; ``deadline`` by the event loop's clock.

        Raises:
            DeadlineError: the queue stayed full. TransportError: the line broke.
        """
        if self._endpoint is None:
            raise TransportError(errno.ENOTCONN, "the client is not connected")
        clock, presence = asyncio.get_running_loop().time, self._presence
        presence.hope(clock())
        generation = presence.generation
        limit = clock() + self.timeout if deadline is None else deadline
        async with self._sending:
            sent = 0
            while sent < len(data):
                done = 0
                if presence.generation != generation:
                    return  # it was said again with all the rest
                if not presence.is_behind:
                    chunk = data[sent:] if sent else data
                    done = lib.gn_link_send(self._endpoint.link, chunk, len(chunk), 0)
                if done > 0:
                    sent += done
                    continue
                if presence.error is not None:
                    raise presence.error
                if not presence.is_here:
                    limit = clock() + self.timeout if deadline is None else deadline
                elif -done not in LATER:
                    self._broken(-done)
                if clock() > limit:
                    if not presence.is_here:
                        raise presence.away()
                    raise DeadlineError(
                        "the coordinator's queue stayed full: it is busy or stopped"
                    )
                await asyncio.sleep(RETRY_SECONDS if presence.is_here else AWAY_SECONDS)
                if self._endpoint is None:
                    raise TransportError(errno.ENOTCONN, "the client was closed")

    def _broken(self, number: int) -> None:
        """Nothing can be sent. A line that broke may still hold what was said before."""
        assert self._endpoint is not None
        if self._endpoint.kind == "mqueue" and self._presence.look():
            raise TransportError(number, f"cannot send: {os.strerror(number)}")
        self._on_readable()
        if self._presence.is_here:
            self._lost(number)

    async def _wait(
        self, waiter: Waiter, timeout: float | None, what: str, own: bool = False
    ) -> Any:
        """``own``: it is the coordinator that owes the answer; time without one does not count."""
        while not waiter.done:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiter.notify = lambda: None if future.done() else future.set_result(None)  # noqa: B023
            try:
                await asyncio.wait_for(future, timeout)
            except asyncio.TimeoutError:
                if own and not self._presence.is_here and self._presence.error is None:
                    continue
                if not self._presence.is_here:
                    raise self._presence.away() from None
                refusal: GanglionError | None = self.session.refusal(waiter)
                raise refusal or DeadlineError(f"{what}: no answer in time") from None
        return waiter.result()

    async def _request(
        self, verb: str, subject: str | None = None, payload: bytes = b"", **params: Any
    ) -> Any:
        waiter, line = self.session.request(verb, subject, payload, **params)
        return await self._ask(waiter, line, f"CONTROL:{verb}")

    async def _ask(self, waiter: Waiter, line: bytes, what: str) -> Any:
        """Send a request and wait for its answer."""
        try:
            await self._send(line)
            return await self._wait(waiter, self.timeout, what, own=True)
        except BaseException:
            waiter.line = None  # it must not be made later, when nobody waits for it
            raise
