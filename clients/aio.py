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
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

from ganglion.clients.aio_steering import AsyncSteering
from ganglion.protocol.session import DeadlineError, Outcome, Submission


class AsyncClient(AsyncSteering):
    """A connection to the coordinator of an instance, for one event loop.

    Arguments and errors are those of ``Client``. Use it with ``async with``, or call ``connect``
    and ``close``.
    """

    # -- tasks --------------------------------------------------------------------------------

    async def start(self, action: str, payload: Any = b"", **options: Any) -> Submission:
        """Send a task without waiting even for its acknowledgement. Options as
        ``Client.submit``.
        """
        submission, line = self.session.submit(action, payload, **options)
        await self._send_task(line, submission)
        return submission

    async def _send_task(
        self, line: bytes, submission: Submission, deadline: float | None = None
    ) -> None:
        try:
            await self._send(line, deadline)
        except BaseException:
            self.session.forget(submission)
            raise

    async def submit(self, action: str, payload: Any = b"", **options: Any) -> str:
        """As ``Client.submit``."""
        submission = await self.start(action, payload, **options)
        await self.acknowledged(submission)
        submission.is_left = True
        return submission.task

    async def acknowledged(self, submission: Submission) -> Submission:
        """As ``Client.acknowledged``."""
        try:
            what = f"task {submission.task}"
            await self._wait(submission.acked, self.timeout, what, own=True)
        except BaseException as error:
            refusal = self.session.refusal(submission)
            self.session.forget(submission)
            if refusal is not None and isinstance(error, DeadlineError):
                raise refusal from None
            raise
        return submission

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
        clock = asyncio.get_running_loop().time
        deadline = None if timeout is None else clock() + timeout
        submission, line = self.session.submit(action, payload, **options)
        submission.on_stream = on_stream
        await self._send_task(line, submission, deadline)
        left = None if deadline is None else max(0.0, deadline - clock())
        return await self.wait(submission, left)

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


async def _each(payloads: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(payloads, AsyncIterable):
        async for payload in payloads:
            yield payload
    else:
        for payload in payloads:
            yield payload
