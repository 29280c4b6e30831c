"""The operator: cancels, kicks, pauses and resumes; each request is sent until it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganglion.protocol.message import Message
from ganglion.sim.client import Peer

if TYPE_CHECKING:
    from ganglion.sim.world import World

AGAIN_US = 1_000_000


class Operator(Peer):
    """One peer on a stream, named ops. Requests go one after the other, so an answer is known by its order."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "ops", "stream")
        self._queue: list[tuple[str, str]] = []  # (what the answer names, the line)
        self._asked = False
        world.clock.after(1, self.wire.connect)

    def ask(self, word: str, line: str) -> None:
        """Have a request made. ``word`` stands in the third field of the answer."""
        self._queue.append((word, line))
        self._next()

    def _next(self) -> None:
        if self.known and self._queue and not self._asked:
            self._asked = True
            self.wire.send(self._queue[0][1].encode() + b"\n")

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def on_linked(self) -> None:
        self.known = True
        self._asked = False
        self._next()

    def on_lost(self) -> None:
        self.known = False
        self.later(100_000, "_redial")

    def _redial(self) -> None:
        if not self.known:
            self.wire.connect()

    def read(self, message: Message) -> None:
        if not self._queue or message.task != self._queue[0][0]:
            return
        if message.code in ("busy", "journal", "draining"):
            self._asked = False
            self.later(AGAIN_US, "_next")
            return
        if message.type == "ACK" or message.code or message.action == "STATE":
            self._queue.pop(0)
            self._asked = False
            self._next()
