"""The asyncio client: ``Client`` with ``await``.

>>> import asyncio
>>> from ganglion.clients import AsyncClient
>>> async def ask() -> bytes:
...     async with AsyncClient() as client:
...         outcome = await client.call("UPPER", "hello", timeout=30)
...         return outcome.payload
>>> asyncio.run(ask())  # an agent serves UPPER
b'HELLO'

A queue's descriptor is watched by the event loop as a socket's is (Linux). Everything runs on the
loop's thread; sending never blocks it: a full queue is waited out between other work.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

from ganglion.clients.client import client_name
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.batch import BATCH_MESSAGES, Incoming, unpack
from ganglion.protocol.errors import PeerError, TransportError
from ganglion.protocol.instance import Instance
from ganglion.protocol.session import (
    DeadlineError,
    Outcome,
    Session,
    Submission,
    Waiter,
    parse_params,
    registration,
    tasks_filter,
)
from ganglion.protocol.transport.endpoint import (
    Endpoint,
    NoCoordinatorError,
    choose,
    no_coordinator,
    no_welcome,
)
from ganglion.protocol.transport.ledger import is_owned

RETRY_SECONDS = 0.001
ALIVE_SECONDS = 0.5


class AsyncClient:
    """A connection to the coordinator of an instance, for one event loop.

    Arguments and errors are those of ``Client``. Use it with ``async with``, or call ``connect``
    and ``close``.
    """

    def __init__(
        self,
        instance: str | Instance | None = None,
        *,
        transport: str = "auto",
        timeout: float = 10.0,
    ) -> None:
        if not isinstance(instance, Instance):
            instance = Instance.from_environment(instance)
        self.instance = instance
        self.timeout = timeout
        self._kinds = choose(transport)
        self._endpoint: Endpoint | None = None
        self._sending = asyncio.Lock()
        self._watchdog: asyncio.Task[None] | None = None

    async def connect(self) -> AsyncClient:
        """Open the line and register. Raises as ``Client``."""
        self._endpoint = Endpoint(self.instance, client_name(), self._kinds)
        self._link = self._endpoint.link
        self.session = Session.over(self._endpoint, self.instance)
        self._messages = ffi.new("gn_msg[]", BATCH_MESSAGES)
        self._base = ffi.new("uint8_t **")
        loop = asyncio.get_running_loop()
        loop.add_reader(lib.gn_link_read_fd(self._link), self._on_readable)
        self._watchdog = loop.create_task(self._watch_coordinator())
        body = json.dumps(registration(self._endpoint.inbox_name)).encode()
        try:
            # One limit for sending and waiting: a stopped coordinator's queue may be full as well.
            request = self._request("REGISTER", self._endpoint.name, body)
            await asyncio.wait_for(request, self.timeout)
        except (DeadlineError, asyncio.TimeoutError):
            await self.close()
            raise DeadlineError(no_welcome(self.instance)) from None
        except BaseException:
            await self.close()
            raise
        return self

    async def __aenter__(self) -> AsyncClient:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Say goodbye and remove this client's queue. Tasks go on without it."""
        if self._endpoint is None:
            return
        endpoint, self._endpoint = self._endpoint, None
        if self._watchdog is not None:
            self._watchdog.cancel()
        asyncio.get_running_loop().remove_reader(lib.gn_link_read_fd(self._link))
        bye = f"CONTROL:BYE:{endpoint.name}\n".encode()
        lib.gn_link_send(self._link, bye, len(bye), 0)
        endpoint.close()
        self.session.fail(PeerError("unknown_sender", "the client was closed"))

    # -- the line -----------------------------------------------------------------------------

    def _on_readable(self) -> None:
        count = lib.gn_link_recv(self._link, self._messages, BATCH_MESSAGES, 0, self._base)
        while count > 0:
            self.session.dispatch(unpack(self._messages, count, self._base[0]))
            if count < BATCH_MESSAGES:
                return
            count = lib.gn_link_recv(self._link, self._messages, BATCH_MESSAGES, 0, self._base)
        if count < 0:
            self._gone(f"the coordinator went away ({os.strerror(-count)})", -count)

    def _gone(self, words: str, number: int = 0) -> None:
        asyncio.get_running_loop().remove_reader(lib.gn_link_read_fd(self._link))
        self.session.fail(NoCoordinatorError(number, words))

    async def _watch_coordinator(self) -> None:
        """A queue does not tell that its reader is gone: the ledger does."""
        if self._endpoint is None or self._endpoint.route.kind != "mqueue":
            return
        while is_owned(self.instance.ledger_dir, self.instance.queue):
            await asyncio.sleep(ALIVE_SECONDS)
        self._gone(no_coordinator(self.instance))

    async def _send(self, data: bytes) -> None:
        """Raises DeadlineError when the queue stayed full, TransportError when the line broke."""
        if self._endpoint is None:
            raise TransportError(errno.ENOTCONN, "the client is not connected")
        deadline = asyncio.get_running_loop().time() + self.timeout
        async with self._sending:
            sent = 0
            while sent < len(data):
                chunk = data[sent:] if sent else data
                done = lib.gn_link_send(self._link, chunk, len(chunk), 0)
                if done > 0:
                    sent += done
                elif -done not in (0, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR):
                    raise TransportError(-done, f"cannot send: {os.strerror(-done)}")
                elif asyncio.get_running_loop().time() > deadline:
                    raise DeadlineError(
                        "the coordinator's queue stayed full: it is busy or stopped"
                    )
                else:
                    await asyncio.sleep(RETRY_SECONDS)

    async def _wait(self, waiter: Waiter, timeout: float | None, what: str) -> Any:
        if not waiter.done:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiter.notify = lambda: None if future.done() else future.set_result(None)
            try:
                await asyncio.wait_for(future, timeout)
            except asyncio.TimeoutError:
                raise DeadlineError(f"{what}: no answer in time") from None
        return waiter.result()

    async def _request(
        self, verb: str, subject: str | None = None, payload: bytes = b"", **params: Any
    ) -> Any:
        waiter, line = self.session.request(verb, subject, payload, **params)
        await self._send(line)
        return await self._wait(waiter, self.timeout, f"CONTROL:{verb}")

    # -- tasks --------------------------------------------------------------------------------

    async def start(self, action: str, payload: Any = b"", **options: Any) -> Submission:
        """Send a task without waiting even for its acknowledgement. Options as
        ``Client.submit``.
        """
        submission, line = self.session.submit(action, payload, **options)
        await self._send(line)
        return submission

    async def submit(self, action: str, payload: Any = b"", **options: Any) -> str:
        """As ``Client.submit``."""
        submission = await self.start(action, payload, **options)
        name: str = await self._wait(submission.acked, self.timeout, f"task {submission.task}")
        return name

    async def call(
        self,
        action: str,
        payload: Any = b"",
        *,
        timeout: float | None = None,
        on_stream: Callable[[str, dict[str, str], bytes], None] | None = None,
        **options: Any,
    ) -> Outcome:
        """As ``Client.call``."""
        options.setdefault("ack", 0)
        submission, line = self.session.submit(action, payload, **options)
        submission.on_stream = on_stream
        await self._send(line)
        return await self.wait(submission, timeout)

    async def wait(self, submission: Submission, timeout: float | None = None) -> Outcome:
        """As ``Client.wait``."""
        try:
            outcome: Outcome = await self._wait(
                submission.outcome, timeout, f"task {submission.task}"
            )
        except BaseException:
            self.session.forget(submission)
            raise
        return outcome.check()

    async def map(
        self,
        action: str,
        payloads: Iterable[Any] | AsyncIterable[Any],
        *,
        window: int = 1000,
        check: bool = True,
        **options: Any,
    ) -> AsyncIterator[Outcome]:
        """As ``Client.map``; ``payloads`` may be an async iterable."""
        waiting: deque[Submission] = deque()
        options["ack"] = 0
        try:
            async for payload in _each(payloads):
                waiting.append(await self.start(action, payload, **options))
                while len(waiting) >= window or (waiting and waiting[0].outcome.done):
                    yield await self._next(waiting, action, check)
            while waiting:
                yield await self._next(waiting, action, check)
        finally:
            for submission in waiting:
                self.session.forget(submission)

    async def _next(self, waiting: deque[Submission], action: str, check: bool) -> Outcome:
        outcome: Outcome = await self._wait(waiting[0].outcome, None, action)
        waiting.popleft()
        return outcome.check() if check else outcome

    async def result(self, task: str) -> Outcome | dict[str, Any]:
        """As ``Client.result``."""
        answer = await self._request("RESULT", task)
        return answer if isinstance(answer, Outcome) else json.loads(answer.payload)

    async def watch_task(
        self,
        task: str,
        on_stream: Callable[[str, dict[str, str], bytes], None] | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """As ``Client.watch_task``."""
        submission = self.session.follow(task)
        submission.on_stream = on_stream
        await self._request("WATCH", task)
        return await self.wait(submission, timeout)

    # -- steering and looking: each as the method of Client ------------------------------------

    async def cancel(self, task: str) -> None:
        await self._request("CANCEL", task)

    async def kick(self, task: str) -> None:
        await self._request("KICK", task)

    async def kick_action(self, action: str, count: int | None = None) -> int:
        payload = action if count is None else f"{action} {count}"
        return int((await self._request("KICK", None, payload.encode())).payload or 0)

    async def pause(self, action: str) -> None:
        await self._request("PAUSE", None, action.encode())

    async def resume(self, action: str) -> None:
        await self._request("RESUME", None, action.encode())

    async def assign(self, task: str, agent: str) -> None:
        await self._request("ASSIGN_TASK", task, agent.encode())

    async def drain(self, agent: str | None = None) -> None:
        await self._request("DRAIN", agent)

    async def peek(self, task: str) -> dict[str, Any]:
        return await self._object("PEEK", task)

    async def status(self) -> dict[str, Any]:
        return await self._object("STATUS", None)

    async def _object(self, verb: str, subject: str | None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await self._request(verb, subject)).payload)
        return found

    async def agents(self) -> AsyncIterator[dict[str, Any]]:
        async for row in self._pages("AGENTS", lambda after: after.encode()):
            yield row

    async def tasks(
        self, state: str | None = None, action: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        async for row in self._pages("TASKS", lambda after: tasks_filter(state, action, after)):
            yield row

    async def _pages(
        self, verb: str, body: Callable[[str], bytes]
    ) -> AsyncIterator[dict[str, Any]]:
        after = ""
        while True:
            answer: Incoming = await self._request(verb, None, body(after))
            for row in json.loads(answer.payload):
                yield row
            after = parse_params(answer.params).get("next", "")
            if not after:
                return

    async def ping(self) -> float:
        """Round trip to the coordinator in seconds."""
        clock = asyncio.get_running_loop().time
        start = clock()
        await self._request("PING")
        return clock() - start


async def _each(payloads: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(payloads, AsyncIterable):
        async for payload in payloads:
            yield payload
    else:
        for payload in payloads:
            yield payload
