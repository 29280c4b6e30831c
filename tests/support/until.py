"""Wait for a state, never for a time.

This is the one place in the tests that sleeps; tests/tidy holds the others to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S_MIN = 0.002
POLL_S_MAX = 0.05


def until(predicate: Callable[[], T], timeout: float = 20.0, what: str = "the state") -> T:
    """Ask ``predicate`` until it says something true, and return that.

    Args:
        timeout: seconds. Generous: it decides how long a failure takes, not how long a success does.
        what: the state waited for, in words, for the message.

    Raises:
        AssertionError: the deadline passed; the message holds the last answer.
    """
    deadline = time.monotonic() + timeout
    pause = POLL_S_MIN
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s; last answer: {answer!r}")
        time.sleep(pause)
        pause = min(2 * pause, POLL_S_MAX)
