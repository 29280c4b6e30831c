"""A task in an agent's hands, and the ways in which a handler may end it.

A handler returns what the task's result is (bytes, text, an array, anything JSON can hold), or one
of ``Release``, ``Bury`` and ``Continue``; an exception fails the task, which is then tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ganglion.protocol import codec
from ganglion.protocol.session import Content, Outcome, format_line, format_params


@dataclass(frozen=True, slots=True)
class Release:
    """Give the task back; it does not count as a try. ``delay_ms`` before it is handed out
    again.
    """

    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Bury:
    """Give the task up for good, in words for the operator."""

    words: str


@dataclass(frozen=True, slots=True)
class Continue:
    """Hand the task on: ``payload`` goes through the actions ``via`` once the tasks ``after`` are
    done.

    The agent's slot is free at once, and the submitter gets the last action's result.
    """

    payload: Any
    via: Sequence[str]
    after: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """A result written as msgpack (``ct=msgpack``): for objects that hold bytes."""

    data: Any


class Host(Protocol):
    """What a task needs of the agent that runs it."""

    def emit(self, line: bytes) -> None: ...
    def call(self, action: str, payload: Any, **options: Any) -> Outcome: ...
    async def call_async(self, action: str, payload: Any, **options: Any) -> Outcome: ...
    def submit(self, action: str, payload: Any, **options: Any) -> str: ...
    async def submit_async(self, action: str, payload: Any, **options: Any) -> str: ...
    def result(self, task: str) -> Outcome: ...
    async def result_async(self, task: str) -> Outcome: ...


class Task(Content):
    """One task, for the time that an agent holds it.

    Attributes:
        action, name: whose queue it came from and what it is called.
        payload: its bytes (a memoryview over shared memory when they travelled as a blob).
        cancelled: the coordinator asked to stop; a handler that looks at it may just return.
    """

    __slots__ = (
        "_host", "_seq", "action", "cancelled", "name", "on_cancel", "token",
    )  # fmt: skip

    def __init__(
        self, host: Host, action: str, name: bytes, token: bytes, raw_params: bytes, payload: Any
    ) -> None:
        self._host = host
        self.action = action
        self.name = name.decode()
        self.token = token
        self.raw_params = raw_params
        self.payload = payload
        self.cancelled = False
        self.on_cancel: Callable[[], None] | None = None
        self._params = None
        self._seq = 0

    @property
    def attempt(self) -> int:
        """Which try this is, from 1."""
        return int(self.params.get("try", "1"))

    @property
    def after(self) -> list[str]:
        """The tasks that this one waited for; their results can be had with ``result``."""
        return [name for name in self.params.get("after", "").split(",") if name]

    def progress(self, report: Any) -> None:
        """Tell whoever waits how far it is: text, or an object sent as JSON."""
        raw, params = codec.encode(report)
        self._host.emit(self._line(b"RESPONSE:PROGRESS", params, bytes(raw)))

    def partial(self, data: Any) -> None:
        """Send part of the result ahead of it; numbered from 0."""
        raw, params = codec.encode(data)
        self._host.emit(
            self._line(b"RESPONSE:PARTIAL", {**params, "seq": str(self._seq)}, bytes(raw))
        )
        self._seq += 1

    def _line(self, head: bytes, params: dict[str, str], payload: bytes) -> bytes:
        described = b"token=" + self.token
        if params:
            described += b";" + format_params(params)
        return format_line(head, self.name.encode(), described, payload)

    # Work for other agents. The plain forms are for sync handlers, the *_async ones for async
    # handlers.

    def call(self, action: str, payload: Any = b"", **options: Any) -> Outcome:
        """Submit a task to another agent and wait for its result. Options and errors:
        ``Client.call``.
        """
        return self._host.call(action, payload, **options)

    async def call_async(self, action: str, payload: Any = b"", **options: Any) -> Outcome:
        return await self._host.call_async(action, payload, **options)

    def submit(self, action: str, payload: Any = b"", **options: Any) -> str:
        """Submit a task and return its name once it is accepted. Options and errors:
        ``Client.submit``.
        """
        return self._host.submit(action, payload, **options)

    async def submit_async(self, action: str, payload: Any = b"", **options: Any) -> str:
        return await self._host.submit_async(action, payload, **options)

    def result(self, task: str) -> Outcome:
        """The outcome of a task that has ended (of one in ``after``, say).

        Raises:
            StateError: unknown, or not ended.
        """
        return self._host.result(task)

    async def result_async(self, task: str) -> Outcome:
        return await self._host.result_async(task)

    def __repr__(self) -> str:
        return f"<Task {self.name} {self.action} {len(self.payload)} bytes>"
