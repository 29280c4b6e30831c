"""What a running task asks of other agents, over its own agent's line.

The plain methods are for sync handlers: while they wait they receive answers, and leave tasks to
other workers. The ``*_async`` ones are for async handlers: workers receive for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ganglion.daemons.line import Line
from ganglion.protocol.session import DeadlineError, Outcome, Submission, Waiter

ANSWER_SECONDS = 30.0


class Requests:
    """The ``Host`` of an agent's tasks.

    Args:
        send: sends whole messages, waiting out a full queue.
    """

    def __init__(self, line: Line, send: Callable[[bytes], None]) -> None:
        self._line = line
        self._send = send

    def emit(self, line: bytes) -> None:
        """Send a message about the task itself: progress, a partial result."""
        self._send(line)

    async def _await_async(self, waiter: Waiter, timeout: float | None) -> Any:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            loop.call_soon_threadsafe(settle)

        waiter.notify = wake
        if waiter.done:
            wake()
        try:
            await asyncio.wait_for(done, timeout)
        except asyncio.TimeoutError:
            raise DeadlineError("no answer in time") from None
        return waiter.result()

    def _start(self, action: str, payload: Any, options: dict[str, Any]) -> Submission:
        with self._line.answered:
            submission, line = self._line.session.submit(action, payload, **options)
        self._send(line)
        return submission

    def call(
        self, action: str, payload: Any, *, timeout: float | None = None, **options: Any
    ) -> Outcome:
        submission = self._start(action, payload, {"ack": 0, **options})
        outcome: Outcome = self._line.wait_for(submission.outcome, timeout)
        return outcome.check()

    async def call_async(
        self, action: str, payload: Any, *, timeout: float | None = None, **options: Any
    ) -> Outcome:
        submission = self._start(action, payload, {"ack": 0, **options})
        outcome: Outcome = await self._await_async(submission.outcome, timeout)
        return outcome.check()

    def submit(self, action: str, payload: Any, **options: Any) -> str:
        submission = self._start(action, payload, options)
        name: str = self._line.wait_for(submission.acked, ANSWER_SECONDS)
        return name

    async def submit_async(self, action: str, payload: Any, **options: Any) -> str:
        submission = self._start(action, payload, options)
        name: str = await self._await_async(submission.acked, ANSWER_SECONDS)
        return name

    def result(self, task: str) -> Outcome:
        waiter = self._line.request("RESULT", task)
        return self._line.outcome_of(self._line.wait_for(waiter, ANSWER_SECONDS))

    async def result_async(self, task: str) -> Outcome:
        waiter = self._line.request("RESULT", task)
        return self._line.outcome_of(await self._await_async(waiter, ANSWER_SECONDS))
