"""What an agent serves: a handler per action, and how it wants to be run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganglion.protocol.errors import UsageError

ACTION = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
ISOLATIONS = ("inline", "process")


@dataclass(frozen=True, slots=True)
class Handler:
    """One action's handler.

    ``kind`` is ``sync``, ``async`` or ``batch``; ``batch`` the most tasks of one call,
    ``window_ms`` how long a batch waits for more; ``isolation`` is ``inline`` (a thread of the
    agent) or ``process`` (a warm child process that is killed when its task is cancelled and
    replaced when it dies).
    """

    action: str
    function: Callable[..., Any]
    kind: str
    batch: int = 0
    window_ms: float = 2.0
    isolation: str = "inline"


def make_handler(
    action: str,
    function: Callable[..., Any],
    batch: int = 0,
    window_ms: float = 2.0,
    isolation: str = "inline",
) -> Handler:
    """A checked ``Handler``.

    Raises:
        UsageError: a bad action, an unknown isolation, or a mix that cannot be run.
    """
    if not ACTION.fullmatch(action):
        raise UsageError(f"action {action!r}: A-Z, then up to 31 of A-Z 0-9 _")
    if isolation not in ISOLATIONS:
        raise UsageError(f"isolation {isolation!r}: use {' or '.join(ISOLATIONS)}")
    is_async = inspect.iscoroutinefunction(function)
    if is_async and (batch or isolation != "inline"):
        raise UsageError(f"{action}: an async handler runs inline and one task a call")
    if batch and isolation != "inline":
        raise UsageError(f"{action}: a batch handler runs inline")
    if batch < 0 or window_ms < 0:
        raise UsageError(f"{action}: batch and window_ms are 0 or more")
    kind = "async" if is_async else "batch" if batch else "sync"
    return Handler(action, function, kind, batch, window_ms, isolation)
