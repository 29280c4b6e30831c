"""Links: a stream that keeps order until it breaks, and queues, which a message can be lost on its way to.

Neither changes bytes. A stream that breaks loses what is under way in both directions, and both ends learn of it. A
queue outlives the processes at its ends; in bad weather a message to or from a queue is lost, late or (by a sender
that sends again) there twice, and nobody is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ganglion.protocol.message import Message
    from ganglion.sim.world import World

SLOT_BYTES, SLOTS = 2048, 8  # of a peer's queue
SOCKET_BYTES = 65536  # what a stream holds that was not read yet
CONNECT_US = 200
BASE_US = 40  # an undisturbed hop


class Note(NamedTuple):
    """An outcome on its way to the coordinator: what the ledger must know when it is read."""

    task: str
    token: int


class End(Protocol):
    """The peer's end of a wire."""

    name: str

    def got(self, messages: list[Message]) -> None: ...
    def linked(self) -> None: ...
    def lost(self) -> None: ...


class Wire:
    """What a peer talks through. ``link`` is the core's number, -1 when it has none."""

    queue = False

    def __init__(self, world: World, peer: End) -> None:
        self.world = world
        self.peer = peer
        self.link = -1
        self.unread = 0  # bytes (or messages) sent to the peer that it has not taken yet
        self._sent = 0
        self._up_at = 0
        self._down_at = 0

    def delay(self, direction: str) -> int:
        """Microseconds to the other end."""
        self._sent += 1
        chance, weather = self.world.chance, self.world.weather
        us = BASE_US + chance.between(0, 100, "hop", self.peer.name, direction, self._sent)
        if weather.delay_us and chance.yes(0.3, "late", self.peer.name, direction, self._sent):
            us += chance.between(0, weather.delay_us, "by", self.peer.name, direction, self._sent)
        return us

    def send(self, data: bytes, note: Note | None = None) -> None:
        """To the coordinator."""
        raise NotImplementedError

    def push(self, size: int, messages: list[Message]) -> None:
        """From the coordinator: these are the messages that end in the ``size`` bytes it wrote."""
        raise NotImplementedError

    def room(self) -> int:
        """Bytes that the coordinator can write at once."""
        raise NotImplementedError

    def cut(self) -> None:
        """It breaks, if it is of the kind that does."""
        raise NotImplementedError

    def luck(self, likely: float, what: str) -> bool:
        return self.world.chance.yes(likely, what, self.peer.name, self._sent)


class Stream(Wire):
    """A connection. Broken and made again by the peer."""

    def __init__(self, world: World, peer: End) -> None:
        super().__init__(world, peer)
        self.open = self._trying = False
        self.life = 0  # which connection this is: what was under way on an older one is gone

    def connect(self) -> None:
        """Try, unless it is open or being tried; the peer hears ``linked`` or ``lost``."""
        if self.open or self._trying:
            return
        self._trying = True
        self.life += 1
        life = self.life

        def accept() -> None:
            if life != self.life:
                return
            self._trying = False
            self.open = self.world.coordinator.accept(self)
            if self.open:
                self._up_at = self._down_at = 0
                self.unread = 0
                self.peer.linked()
            else:
                self.peer.lost()

        self.world.clock.after(CONNECT_US, accept)

    def send(self, data: bytes, note: Note | None = None) -> None:
        if not self.open:
            return
        life, clock = self.life, self.world.clock
        self._up_at = max(self._up_at, clock.now + self.delay("up"))

        def arrive() -> None:
            if life == self.life and self.open:
                self.world.coordinator.arrived(self, data, note)

        clock.at(self._up_at, arrive)

    def room(self) -> int:
        return SOCKET_BYTES - self.unread if self.open else 0

    def push(self, size: int, messages: list[Message]) -> None:
        life, clock = self.life, self.world.clock
        self._down_at = max(self._down_at, clock.now + self.delay("down"))
        self.unread += size

        def arrive() -> None:
            if life != self.life or not self.open:
                return
            self.unread -= size
            self.world.coordinator.roomy(self)
            if messages:
                self.peer.got(messages)

        clock.at(self._down_at, arrive)

    def cut(self) -> None:
        self.life += 1
        tried, self._trying = self._trying, False
        if not self.open and not tried:
            return
        self.open = False
        if self.link >= 0:
            self.world.coordinator.gone(self)
        self.world.clock.after(BASE_US, self.peer.lost)


class Queue(Wire):
    """The peer's own queue, and the coordinator's, which all peers write to."""

    queue = True

    def __init__(self, world: World, peer: End) -> None:
        super().__init__(world, peer)
        self.address = f"/sim.{peer.name}"
        world.queues[self.address] = self

    def connect(self) -> None:
        self.world.clock.after(CONNECT_US, self.peer.linked)

    def send(self, data: bytes, note: Note | None = None) -> None:
        weather, clock = self.world.weather, self.world.clock
        wait = self.delay("up")
        if self.luck(weather.loss, "lost up"):
            return
        twice = self.luck(weather.twice, "twice")

        def arrive() -> None:
            self.world.inbox.append((data, note))
            self.world.coordinator.wake()

        clock.after(wait, arrive)
        if twice:
            clock.after(wait + self.world.chance.between(0, 300_000, "again", self._sent), arrive)

    def room(self) -> int:
        return SLOT_BYTES if self.unread < SLOTS else 0

    def push(self, size: int, messages: list[Message]) -> None:
        clock = self.world.clock
        self._down_at = max(self._down_at, clock.now + self.delay("down"))
        lost = self.world.lossy_queues and self.luck(self.world.weather.loss, "lost down")
        self.unread += 1

        def arrive() -> None:
            self.unread -= 1
            self.world.coordinator.roomy(self)
            if messages and not lost:
                self.peer.got(messages)

        clock.at(self._down_at, arrive)

    def cut(self) -> None:
        pass
