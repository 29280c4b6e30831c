"""What a blocking client asks beside submitting: steer tasks, look at them, set limits."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from ganglion.clients import requests
from ganglion.clients.connection import Connection
from ganglion.protocol.batch import Incoming
from ganglion.protocol.session import (
    DeadlineError,
    Outcome,
    Submission,
    parse_params,
    tasks_filter,
)


class Steering(Connection):
    """The requests of ``Client``; each waits for its answer and raises what the answer says."""

    def wait(self, submission: Submission, timeout: float | None = None) -> Outcome:
        """The outcome of a started task. Raises as ``call``."""
        try:
            outcome: Outcome = self._wait_for(
                submission.outcome, timeout, f"task {submission.task}"
            )
        except BaseException:
            with self._changed:
                self.session.forget(submission)
            raise
        return outcome.check()

    def result(self, task: str, *, late: bool = False) -> Outcome | dict[str, Any]:
        """The outcome of a task that has ended, or a dictionary with its state.

        ``late``: the outcome that came under a lease that was over, which was kept and not applied
        (its first 4096 bytes; ``status`` may be ``failed`` too).

        Raises:
            StateError: ``unknown_task``; with ``late`` also when there is none.
        """
        answer = self._request("RESULT", task, late=1 if late else None)
        return answer if isinstance(answer, Outcome) else _json(answer)

    # -- steering -------------------------------------------------------------------------

    def cancel(self, task: str) -> None:
        """Cancel: at once when it is not running, else its agent is told to stop."""
        self._request("CANCEL", task)

    def kick(self, task: str) -> None:
        """Bring a buried task back with fresh tries; make a delayed one ready now."""
        self._request("KICK", task)

    def kick_edited(self, task: str, payload: Any, **options: Any) -> None:
        """Bring a buried task back with another payload, and other parameters where given.

        Options: ``ct``, and the parameters of ``submit`` that are to replace those it has.
        """
        params = {"edit": 1, **requests.edits(options)}
        with self._changed:
            raw, hold = self.session.encode(payload, options.get("ct"), params)
        try:
            self._request("KICK", task, raw, **params)
        finally:
            if hold is not None:
                hold.release()

    def kick_action(self, action: str, count: int | None = None) -> int:
        """Kick the ``count`` oldest (None: all) buried tasks of an action; returns how many."""
        return requests.count(self._request("KICK", None, requests.some(action, count)))

    def purge(self, task: str) -> None:
        """Forget a buried task for good."""
        self._request("PURGE", task)

    def purge_action(self, action: str, count: int | None = None) -> int:
        """Forget the ``count`` oldest (None: all) buried tasks of an action; returns how many."""
        return requests.count(self._request("PURGE", None, requests.some(action, count)))

    def pause(self, action: str) -> None:
        """Hand out no task of this action until ``resume``."""
        self._request("PAUSE", None, action.encode())

    def resume(self, action: str) -> None:
        """Hand out tasks of this action again."""
        self._request("RESUME", None, action.encode())

    def assign(self, task: str, agent: str) -> None:
        """Hand a ready or delayed task to this agent now."""
        self._request("ASSIGN_TASK", task, agent.encode())

    def drain(self, agent: str | None = None) -> None:
        """An agent takes no more tasks; without one the coordinator finishes all and ends."""
        self._request("DRAIN", agent)

    def limit(self, kind: str, name: str, **bounds: float | None) -> None:
        """Set a limit, live; without bounds: remove it.

        Args:
            kind: ``action``, ``sender`` or ``label``; ``name`` is which.
            bounds: ``rate`` (tasks handed out a second), ``burst`` (how many at once after a rest),
                ``running`` (how many at a time).

        Raises:
            UsageError: no such kind or bound.
        """
        self._request("LIMIT", None, requests.limit(kind, name, bounds))

    def schedule(
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
        """Have a task submitted whenever it is due, as ``<name>.<unix seconds>``, until
        ``unschedule``. The same name again replaces the schedule.

        Args:
            cron: five fields as in cron(5), or ``@hourly`` and the like; ``offset`` is the time
                zone in minutes east of UTC.
            every: ms between two tasks, at least 100. Give this or ``cron``.
            missed: ``one`` (default), ``all`` or ``none`` of what was due while it could not be.
            overlap: ``allow`` (default), or ``skip`` what is due before the last task has ended.
            options: of each task, as for ``submit``.

        Returns:
            When it is due next, in unix ms; None: never.

        Raises:
            UsageError: a name, word or option that could not mean what was meant.
            PeerError: ``bad_param``, ``bad_number``: times that there are not. ``busy``.
        """
        params = requests.schedule(
            action, options, cron=cron, every=every, offset=offset, missed=missed, overlap=overlap
        )
        with self._changed:
            raw, hold = self.session.encode(payload, options.get("ct"), params)
        try:
            answer = self._request("SCHEDULE", requests.schedule_name(name), raw, **params)
        finally:
            if hold is not None:
                hold.release()
        return requests.next_ms(answer)

    def unschedule(self, name: str) -> None:
        """Submit no more tasks of a schedule; those that were submitted go on.

        Raises:
            StateError: ``unknown_task``: there is none of this name.
        """
        self._request("UNSCHEDULE", requests.schedule_name(name))

    # -- looking --------------------------------------------------------------------------

    def peek(self, task: str) -> dict[str, Any]:
        """Everything about a task, and the beginning of its payload."""
        found: dict[str, Any] = _json(self._request("PEEK", task))
        return found

    def status(self) -> dict[str, Any]:
        """Gauges with their bounds, the journal, alarms, and counts for each action."""
        found: dict[str, Any] = _json(self._request("STATUS"))
        return found

    def agents(self) -> Iterator[dict[str, Any]]:
        """A dictionary for every agent."""
        return self._pages("AGENTS", lambda after: after.encode())

    def limits(self) -> Iterator[dict[str, Any]]:
        """A dictionary for every limit: its bounds, what runs and waits under it."""
        return self._pages("LIMITS", lambda after: after.encode())

    def schedules(self) -> Iterator[dict[str, Any]]:
        """A dictionary for every schedule: what it does, when it is due, what it has done."""
        return self._pages("SCHEDULES", lambda after: after.encode())

    def tasks(
        self, state: str | None = None, action: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """A dictionary for every task, in order of acceptance."""
        return self._pages("TASKS", lambda after: tasks_filter(state, action, after))

    def _pages(self, verb: str, body: Callable[[str], bytes]) -> Iterator[dict[str, Any]]:
        after = ""
        while True:
            answer: Incoming = self._request(verb, None, body(after))
            yield from _json(answer)
            after = parse_params(answer.params).get("next", "")
            if not after:
                return

    def ping(self) -> float:
        """Round trip to the coordinator in seconds."""
        start = time.perf_counter()
        self._request("PING")
        return time.perf_counter() - start

    def watch(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Every change of every task, as dictionaries with ``task`` and what SPEC.md's EVENT
        holds.
        """
        events: deque[dict[str, Any]] = deque()
        self.session.on_event = lambda params, task, payload: events.append(
            {"task": task.decode(), **json.loads(payload)}
        )
        with self._changed:
            waiter, line = self.session.watch_all()
        self._ask(waiter, line, "CONTROL:WATCH")
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                self._wait(lambda: bool(events), deadline, "watch")
            except DeadlineError:
                return
            while events:
                yield events.popleft()

    def watch_task(
        self,
        task: str,
        on_stream: Callable[[str, dict[str, str], bytes], None] | None = None,
        timeout: float | None = None,
        from_seq: int | None = None,
    ) -> Outcome:
        """Wait for a task that somebody else submitted. Raises as ``call``.

        ``from_seq``: the partial results that were kept, from this number on, are told to
        ``on_stream`` first.
        """
        with self._changed:
            submission = self.session.follow(task)
            submission.on_stream = on_stream
        self._request("WATCH", task, seq=from_seq)
        return self.wait(submission, timeout)


def _json(message: Incoming) -> Any:
    return json.loads(message.payload)
