"""Virtual time: what happens when, in order of (time, order of arrival), so always the same."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Call = Callable[[], None]


class Clock:
    """A heap of calls. Times are microseconds since the start of the run."""

    __slots__ = ("_heap", "_order", "now", "steps")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Call]] = []
        self._order = 0
        self.now = 0
        self.steps = 0

    def at(self, time_us: int, call: Call) -> None:
        """Have ``call`` happen at a time; one that has passed counts as now."""
        self._order += 1
        heappush(self._heap, (max(time_us, self.now), self._order, call))

    def after(self, delay_us: int, call: Call) -> None:
        """Have ``call`` happen so much later."""
        self.at(self.now + delay_us, call)

    def step(self, until_us: int) -> bool:
        """Do the next call, if there is one by ``until_us``; False: there is none."""
        heap = self._heap
        if not heap or heap[0][0] > until_us:
            return False
        self.now, _, call = heappop(heap)
        self.steps += 1
        call()
        return True
