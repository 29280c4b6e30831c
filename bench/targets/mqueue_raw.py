"""The floor: two C processes and two POSIX message queues, no broker between them (c/pingpong.c).

One in flight: two queue hops, two wake-ups; with a broker in the middle there are four hops.
Throughput: the queues' depth of 10 in each direction bounds the messages under way to 20, whatever
window is asked for; one task is one message each way, so messages per second are twice the figure.

The queues exist only while a measurement runs, so that they take nothing from the RLIMIT_MSGQUEUE
budget of the targets measured in turn with this one, and pingpong unlinks them as soon as they are
open.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import posix_ipc

from targets.base import (
    Target,
    UnavailableError,
    compile_c,
    measure,
    parse_roundtrips,
    parse_throughput,
)

SLOT_BYTES = 8192  # with a depth of 10: the kernel's defaults, which any user may create


class MqueueRaw(Target):
    """Raw mqueue ping-pong between two processes."""

    name = "mqueue_raw"
    max_window = 20

    def __init__(self, slot: int = SLOT_BYTES) -> None:
        self.slot = slot
        self.size = 0
        self.names: list[str] = []  # every queue ever asked for: what `stop` looks after
        self._program = Path()
        self._numbers = itertools.count()

    def start(self, size: int) -> None:
        """Compile the program; the queues come with each measurement."""
        if not 1 <= size <= self.slot:
            raise UnavailableError(f"a slot holds 1 to {self.slot} bytes, not {size}")
        self.size = size
        self._program = compile_c("pingpong", "rt")

    def roundtrip(self, seconds: float) -> list[float]:
        """One message in flight; microseconds per round trip."""
        return parse_roundtrips(self._run("rtt", seconds))

    def throughput(self, seconds: float, window: int) -> float:
        """Both queues full, 20 in flight whatever `window` says; tasks per second."""
        return parse_throughput(self._run("stream", seconds))

    def stop(self) -> None:
        """Unlink what a pingpong killed between its mq_open and its mq_unlink may have left."""
        for name in self.names:
            try:
                posix_ipc.unlink_message_queue(name)
            except posix_ipc.ExistentialError:
                continue

    def _run(self, mode: str, seconds: float) -> str:
        instance = os.environ.get("GANGLION_INSTANCE", "ganglion")
        name = f"/{instance}.bench.{os.getpid()}.{next(self._numbers)}"
        self.names += [f"{name}.req", f"{name}.rep"]
        words = (mode, name, str(self.size), str(seconds), str(self.slot))
        return measure(seconds, self._program, *words)


TARGET = MqueueRaw
