"""What is said again: what was refused for a reason that passes, and what a lost coordinator owes.

A refusal with one of the codes ``PASSING`` says "not now": the same line goes out again after the
pauses ``PAUSES_S`` (the last one repeats), until it is taken or nobody waits for it any more. After
a restart of the coordinator all that was not answered goes out again, but requests that may mean
something else the second time (``ONCE_ONLY``). No IO, no clock.
"""

from __future__ import annotations

import heapq
import itertools
import re

from ganglion.protocol.errors import GanglionError
from ganglion.protocol.waiting import UnansweredError, Waiter

PASSING = frozenset({"busy", "journal", "no_memory"})
PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# Carried out already, these are refused when they come again: the answer would mislead.
ONCE_ONLY = frozenset(
    {b"CANCEL", b"KICK", b"PURGE", b"UNSCHEDULE", b"ASSIGN_TASK", b"REGISTER", b"BYE"}
)
_REPLACE = re.compile(rb";dup=replace(?=[;:]|$)")


class Refusals:
    """Who waits to say something again, and until when. True when anybody does."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Waiter, bytes]] = []
        self._fresh: list[tuple[Waiter, bytes]] = []
        self._told: dict[Waiter, tuple[int, GanglionError | None]] = {}
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._heap or self._fresh)

    def add(self, waiter: Waiter, word: bytes, error: GanglionError) -> None:
        """It was refused (again)."""
        count = self._told[waiter][0] + 1 if waiter in self._told else 0
        self._told[waiter] = (count, error)
        self._fresh.append((waiter, word))

    def why(self, waiter: Waiter) -> GanglionError | None:
        """The last refusal, while it waits to be said again."""
        return self._told[waiter][1] if waiter in self._told else None

    def forget(self, waiter: Waiter) -> None:
        """It was taken, or nobody waits for it."""
        self._told.pop(waiter, None)

    def due(self, now_s: float) -> list[tuple[Waiter, bytes]]:
        """Whose pause is over by now, with the word on which it is answered."""
        for waiter, word in self._fresh:
            count = self._told[waiter][0] if waiter in self._told else 0
            pause_s = PAUSES_S[min(count, len(PAUSES_S) - 1)]
            heapq.heappush(self._heap, (now_s + pause_s, next(self._numbers), waiter, word))
        self._fresh.clear()
        found = []
        while self._heap and self._heap[0][0] <= now_s:
            _, _, waiter, word = heapq.heappop(self._heap)
            found.append((waiter, word))
            if waiter in self._told:
                self._told[waiter] = (self._told[waiter][0], None)
        for waiter in [w for w in self._told if w.done]:
            del self._told[waiter]
        return found

    def wait_s(self, now_s: float) -> float:
        """Seconds until ``due`` has something; infinite when there is nothing."""
        return max(0.0, self._heap[0][0] - now_s) if self._heap else float("inf")

    def clear(self) -> list[tuple[Waiter, bytes]]:
        """Forget all; who was waiting."""
        left = [(waiter, word) for _, _, waiter, word in sorted(self._heap)] + self._fresh
        self._heap.clear()
        self._fresh.clear()
        self._told.clear()
        return left


def verb_of(line: bytes) -> bytes:
    """The second field of a message."""
    return line.split(b":", 2)[1].rstrip(b"\n")


def repeatable(line: bytes | None) -> bool:
    """Whether a request may be made a second time when nobody knows what became of the first."""
    return line is not None and verb_of(line) not in ONCE_ONLY


def unanswered(line: bytes | None) -> UnansweredError:
    """What is said of a request that may not be made a second time."""
    verb = verb_of(line).decode("ascii", "replace") if line else "request"
    return UnansweredError(
        f"CONTROL:{verb}: the coordinator went away before it answered; "
        "whether it was done is not known: look, then try again"
    )


def without_replace(line: bytes) -> bytes:
    """A submission's line less its ``dup=replace``.

    >>> without_replace(b"DATA:A:t;dup=replace;prio=1:x;dup=replace:")
    b'DATA:A:t;prio=1:x;dup=replace:'
    """
    if b";dup=replace" not in line:
        return line
    kind, action, field, *rest = line.split(b":", 3)
    return b":".join([kind, action, _REPLACE.sub(b"", field), *rest])
