"""Waiting for one task: deadlines, and a word when nobody is there who could do it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.clients.client import Client
    from ganglion.protocol.session import Submission

HINT_S = 3.0  # when to say that nobody serves the action
STEP_S = 0.2
# Whom to start for an action that people call by a command of its own.
STARTERS = {"ASK": "gangliond up", "INGEST": "gangliond up"}


def wait(
    context: Context, client: Client, submission: Submission, action: str, timeout_ms: int | None
) -> None:
    """Until the task has ended.

    Raises:
        DeadlineError: not within ``timeout_ms``; the task goes on.
        NoCoordinatorError: nor is the coordinator there.
    """
    from ganglion.protocol.session import DeadlineError

    start = time.monotonic()
    limit = None if timeout_ms is None else start + timeout_ms / 1000
    hint = start + HINT_S
    while not submission.outcome.done:
        now = time.monotonic()
        if limit is not None and now >= limit:
            client.check_connected()
            raise DeadlineError(f"no result within --timeout; {goes_on(submission.task)}")
        if now >= hint:
            hint = float("inf")
            _say_who_is_missing(context, client, action)
        client.pump(STEP_S if limit is None else max(0.001, min(STEP_S, limit - now)))


def is_served(client: Client, action: str) -> bool:
    """Whether an agent serves the action now."""
    return any(action in agent.get("actions", ()) for agent in client.agents())


def note_if_unserved(context: Context, client: Client, action: str, done: str) -> None:
    """A word about an action that nobody serves, for it may be misspelt; ``done`` is what was."""
    if not is_served(client, action):
        context.note(f"nobody serves {action}; {done} all the same")


def _say_who_is_missing(context: Context, client: Client, action: str) -> None:
    if is_served(client, action):
        return
    starter = STARTERS.get(action, f"ganglion serve {action} -- COMMAND")
    context.note(f"no agent serves {action} now: the task waits for one (start one: {starter})")


def goes_on(task: str) -> str:
    """How to come back to a task."""
    return f"task {task} goes on (ganglion result {task}, or: ganglion cancel {task})"
