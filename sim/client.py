"""An honest client: it sends again what was not acknowledged, asks again for what it lost, and notes every answer.

It does so only where something can have been lost (its link broke, the coordinator began a new life, a queue had bad
weather): an answer that is missing without such a reason stays missing, and the run fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganglion.protocol.message import Message
from ganglion.sim.clock import Call
from ganglion.sim.ledger import ENDS
from ganglion.sim.wires import Queue, Stream

if TYPE_CHECKING:
    from ganglion.sim.world import World

BEAT_US = 500_000  # a client on a queue asks so often whether it is still known
AGAIN_US = 400_000  # after a refusal that may pass
SILENT_US = 2_000_000  # without an answer in bad weather, ask again
PASSING = frozenset(("busy", "journal", "draining", "unknown_sender"))


@dataclass
class Sent:
    """One of the client's tasks."""

    name: str
    line: bytes
    needs: tuple[str, ...] = ()  # tasks that must be acknowledged before this can be sent
    quiet: bool = False  # sent with ack=0
    sent_us: int = -1
    state: str = "new"  # new, sent, acked, ended, refused, expired
    doubt: bool = False  # what was sent or is to come may be lost
    refusal: str = ""


class Peer:
    """A named program with a wire."""

    def __init__(self, world: World, name: str, kind: str) -> None:
        self.world = world
        self.name = name
        self.wire: Stream | Queue = Stream(world, self) if kind == "stream" else Queue(world, self)
        self.known = False  # linked, and registered where that is needed
        self.epoch = ""
        self.paused_until = 0
        self._unheard: list[Call] = []

    @property
    def is_queue(self) -> bool:
        return self.wire.queue

    def hear(self, call: Call) -> None:
        """Something happened; a paused program finds out later, in order."""
        if self.world.clock.now < self.paused_until or self._unheard:
            if not self._unheard:
                self.world.clock.at(self.paused_until, self._wake)
            self._unheard.append(call)
        else:
            call()

    def _wake(self) -> None:
        if self.world.clock.now < self.paused_until:
            self.world.clock.at(self.paused_until, self._wake)
            return
        unheard, self._unheard = self._unheard, []
        for call in unheard:
            call()

    def got(self, messages: list[Message]) -> None:
        self.hear(lambda: self._read_all(messages))

    def _read_all(self, messages: list[Message]) -> None:
        for message in messages:
            self.read(message)

    def linked(self) -> None:
        self.hear(self.on_linked)

    def lost(self) -> None:
        self.hear(self.on_lost)

    def later(self, delay_us: int, call: str) -> None:
        """Have a method called, but not while this program is paused."""
        clock = self.world.clock

        def run() -> None:
            if clock.now < self.paused_until:
                clock.at(self.paused_until, run)
            else:
                getattr(self, call)()

        clock.after(delay_us, run)

    def on_linked(self) -> None:
        raise NotImplementedError

    def on_lost(self) -> None:
        raise NotImplementedError

    def read(self, message: Message) -> None:
        raise NotImplementedError


class Client(Peer):
    """Submits what the plan says."""

    def __init__(self, world: World, name: str, kind: str) -> None:
        super().__init__(world, name, kind)
        self.tasks: dict[str, Sent] = {}
        self._open: dict[str, Sent] = {}  # those that are not settled
        self._heard_us = 0
        self._run = 0
        self._retrying = False
        world.clock.after(1, self.wire.connect)
        self.later(BEAT_US, "_beat")

    @property
    def _from(self) -> str:
        return f";from={self.name}" if self.is_queue else ""

    # ---- the link ---------------------------------------------------------------------------------

    def on_linked(self) -> None:
        if self.is_queue:
            self._register()
        else:
            self._welcome("stream")

    def _register(self) -> None:
        self.wire.send(
            f'CONTROL:REGISTER:{self.name};from={self.name}:{{"inbox":"/sim.{self.name}","run":"{self.name}"}}\n'.encode()
        )

    def on_lost(self) -> None:
        self.known = False
        self._doubt()
        self.later(
            self.world.chance.between(20, 200, "redial", self.name, self.world.clock.now) * 1000,
            "_redial",
        )

    def _redial(self) -> None:
        if not self.known:
            self.wire.connect()

    def _doubt(self) -> None:
        for task in self._open.values():
            task.doubt = task.doubt or task.state in ("sent", "acked")

    def _welcome(self, epoch: str) -> None:
        """Known (again): settle what is in doubt."""
        self.known = True
        self.epoch = epoch
        for task in list(self._open.values()):
            if task.doubt or task.state == "new":
                self._push(task)

    def _beat(self) -> None:
        clock = self.world.clock
        self.later(BEAT_US, "_beat")
        if self.is_queue:
            if self.known:
                self.wire.send(
                    f"CONTROL:HEARTBEAT:{self.name};from={self.name};inbox=/sim.{self.name}\n".encode()
                )
            else:
                self._register()
            lossy_at = self.world.weather.lossy_at
            for task in list(self._open.values()):
                lossy = task.state in ("sent", "acked") and task.sent_us <= lossy_at
                if lossy and clock.now - task.sent_us > SILENT_US:
                    self._push(task)
        if self.known:
            for task in list(self._open.values()):
                if task.state == "new":
                    self._push(task)

    # ---- tasks --------------------------------------------------------------------------------------

    def submit(self, task: Sent) -> None:
        """The plan wants it submitted now."""
        self.tasks[task.name] = self._open[task.name] = task
        if self.known:
            self._push(task)

    def _push(self, task: Sent) -> None:
        """Send it, or ask for it, as its state asks for."""
        if not self.known:
            return
        if task.state in ("new", "sent") or task.quiet:
            if any(not self.world.is_acked(name) for name in task.needs):
                if any(self.world.is_refused(name) for name in task.needs):
                    self._settle(task, "refused", "needs")
                return
            self.wire.send(task.line)
            task.state = "sent" if task.state == "new" else task.state
        elif task.state == "acked":
            self.wire.send(f"CONTROL:WATCH:{task.name}{self._from}\n".encode())
        task.sent_us = self.world.clock.now
        task.doubt = False

    def _settle(self, task: Sent, state: str, why: str = "") -> None:
        task.state = state
        task.refusal = why
        self._open.pop(task.name, None)

    @property
    def waiting(self) -> list[Sent]:
        """Tasks without an end."""
        return list(self._open.values())

    # ---- answers ------------------------------------------------------------------------------------

    def read(self, message: Message) -> None:
        self._heard_us = self.world.clock.now
        kind, verb = message.type, message.action
        if kind == "ACK":
            self._ack(message)
        elif kind == "RESPONSE" and verb in ENDS:
            task = self._open.get(message.task)
            if task is not None:
                self._settle(task, "ended")
                self.world.ended(task.name)
        elif kind == "RESPONSE" and verb == "REJECTED":
            self._refused(message)
        elif kind == "CONTROL" and verb == "HELLO":
            self._doubt()
            self._register()

    def _ack(self, message: Message) -> None:
        verb = message.action
        if verb == "RECEIVED":
            task = self._open.get(message.task)
            if task is not None and task.state in ("new", "sent"):
                task.state = "acked"
            self.world.acked(message.task)
        elif verb == "WELCOME":
            self._doubt()
            self._welcome(message.params.get("epoch", ""))
        elif verb == "PONG" and message.params.get("epoch", self.epoch) != self.epoch:
            self._register()

    def _refused(self, message: Message) -> None:
        task, code = self._open.get(message.task), message.code
        if task is None:
            if code == "unknown_sender":
                self.known = False
                self._register()
            return
        if code in PASSING:
            task.state = "new" if task.state in ("new", "sent") else task.state
            task.doubt = True
            if not self._retrying:
                self._retrying = True
                self.later(AGAIN_US, "_retry")
        elif code == "exists" and "dup=reject" in task.line.decode():
            task.state = (
                "acked"  # an earlier copy of this very submission was taken: ask for its outcome
            )
            task.quiet = False
            task.doubt = True
            self.later(0, "_retry")
        elif code == "unknown_task" and task.state == "acked":
            self._vanished(task)
        else:
            self._settle(task, "refused", code)

    def _retry(self) -> None:
        self._retrying = False
        for task in list(self._open.values()):
            if task.doubt:
                self._push(task)

    def _vanished(self, task: Sent) -> None:
        """It was acknowledged, and now nobody knows it."""
        record = self.world.ledger.record(task.name)
        if record.excused:
            self._settle(task, "expired", "damaged")
        elif record.ended or record.cancelled or record.forgotten:
            self._settle(
                task, "expired"
            )  # it ended while nobody here could hear it, and was kept for its time
        else:
            self.world.fail(
                "lost", f"{task.name} was acknowledged, and is not known to the coordinator"
            )
