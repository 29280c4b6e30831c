"""What an asyncio client asks beside submitting: ``steering.py`` with ``await``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from ganglion.clients import requests
from ganglion.clients.aio_connection import AsyncConnection
from ganglion.protocol.batch import Incoming
from ganglion.protocol.session import Outcome, Submission, parse_params, tasks_filter


class AsyncSteering(AsyncConnection):
    """The requests of ``AsyncClient``."""

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

    async def result(self, task: str, *, late: bool = False) -> Outcome | dict[str, Any]:
        """As ``Client.result``."""
        answer = await self._request("RESULT", task, late=1 if late else None)
        return answer if isinstance(answer, Outcome) else json.loads(answer.payload)

    async def watch_task(
        self,
        task: str,
        on_stream: Callable[[str, dict[str, str], bytes], None] | None = None,
        timeout: float | None = None,
        from_seq: int | None = None,
    ) -> Outcome:
        """As ``Client.watch_task``."""
        submission = self.session.follow(task)
        submission.on_stream = on_stream
        await self._request("WATCH", task, seq=from_seq)
        return await self.wait(submission, timeout)

    # -- steering and looking: each as the method of Client ------------------------------------

    async def cancel(self, task: str) -> None:
        await self._request("CANCEL", task)

    async def kick(self, task: str) -> None:
        await self._request("KICK", task)

    async def kick_edited(self, task: str, payload: Any, **options: Any) -> None:
        params = {"edit": 1, **requests.edits(options)}
        raw, hold = self.session.encode(payload, options.get("ct"), params)
        try:
            await self._request("KICK", task, raw, **params)
        finally:
            if hold is not None:
                hold.release()

    async def kick_action(self, action: str, count: int | None = None) -> int:
        return requests.count(await self._request("KICK", None, requests.some(action, count)))

    async def purge(self, task: str) -> None:
        await self._request("PURGE", task)

    async def purge_action(self, action: str, count: int | None = None) -> int:
        return requests.count(await self._request("PURGE", None, requests.some(action, count)))

    async def limit(self, kind: str, name: str, **bounds: float | None) -> None:
        await self._request("LIMIT", None, requests.limit(kind, name, bounds))

    async def limits(self) -> AsyncIterator[dict[str, Any]]:
        async for row in self._pages("LIMITS", lambda after: after.encode()):
            yield row

    async def schedule(
        self,
        name: str,
        action: str,
        payload: Any = b"",
        *,
        cron: str | None = None,
        every: int | None = None,
        offset: int | None = None,
        missed: str | None = None,
        overlap: str | None = None,
        **options: Any,
    ) -> int | None:
        params = requests.schedule(
            action, options, cron=cron, every=every, offset=offset, missed=missed, overlap=overlap
        )
        raw, hold = self.session.encode(payload, options.get("ct"), params)
        try:
            answer = await self._request("SCHEDULE", requests.schedule_name(name), raw, **params)
        finally:
            if hold is not None:
                hold.release()
        return requests.next_ms(answer)

    async def unschedule(self, name: str) -> None:
        await self._request("UNSCHEDULE", requests.schedule_name(name))

    async def schedules(self) -> AsyncIterator[dict[str, Any]]:
        async for row in self._pages("SCHEDULES", lambda after: after.encode()):
            yield row

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
