"""An honest agent: it works on what it is handed, says what it holds, and sends its outcomes until they are answered.

What it does with a task (how long, and how it ends) is a choice by the seed, the task and how often it was tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganglion.protocol.message import Message
from ganglion.sim.client import Peer
from ganglion.sim.wires import Note

if TYPE_CHECKING:
    from ganglion.sim.world import World

RESEND_US = 700_000
SILENT_BEATS = 4


@dataclass
class Work:
    """One try of one task."""

    task: str
    token: int
    action: str
    payload: bytes
    via: str
    outcome: bytes = b""  # what it came to; empty while it runs
    sent_us: int = 0


class Agent(Peer):
    """Serves actions."""

    def __init__(self, world: World, name: str, settings: dict[str, object]) -> None:
        super().__init__(world, name, str(settings["kind"]))
        self.actions = settings["actions"]
        self.slots = settings["slots"]
        self.run = 1
        self.up = True
        self.held: dict[str, Work] = {}
        self._silent = 0
        self._life = 0
        self._newest = 0  # token of the newest lease that came here
        self.beat_us = world.settings["core"]["heartbeat_ms"] * 1000
        world.clock.after(1, self.wire.connect)
        self.later(self.beat_us, "_beat")

    # ---- the link -----------------------------------------------------------------------------------

    @property
    def _from(self) -> str:
        return f";from={self.name}" if self.is_queue else ""

    def on_linked(self) -> None:
        if self.up:
            self._register()

    def _register(self) -> None:
        actions = ",".join(f'"{a}"' for a in self.actions)  # type: ignore[attr-defined]
        more = f',"inbox":"/sim.{self.name}"' if self.is_queue else ""
        if self.world.abilities.leases and self.held:
            more += f',"holds":{len(self.held)}'
        text = (
            f'{{"actions":[{actions}],"slots":{self.slots},"run":"{self.name}.{self.run}"{more}}}'
        )
        self.wire.send(f"CONTROL:REGISTER:{self.name}{self._from}:{text}\n".encode())

    def on_lost(self) -> None:
        self.known = False
        if self.up:
            wait = self.world.chance.between(20, 200, "redial", self.name, self.world.clock.now)
            self.later(wait * 1000, "_redial")

    def _redial(self) -> None:
        if self.up and not self.known:
            self.wire.connect()

    def _beat(self) -> None:
        self.later(self.beat_us, "_beat")
        if not self.up:
            return
        if self.known:
            self._silent += 1
            if self._silent > SILENT_BEATS and self.is_queue:
                self._register()
            self._heartbeat()
        elif self.is_queue:
            self._register()
        now = self.world.clock.now
        for work in list(self.held.values()):
            if work.outcome and now - work.sent_us > RESEND_US:
                self._send(work)

    def _heartbeat(self) -> None:
        inbox = f";from={self.name};inbox=/sim.{self.name}" if self.is_queue else ""
        leases = ""
        if self.world.abilities.leases:
            leases = f";token={self._newest}:" + ",".join(
                f"{w.task}={w.token}" for w in self.held.values()
            )
        self.wire.send(f"CONTROL:HEARTBEAT:{self.name}{inbox}{leases}\n".encode())

    # ---- its own ends ---------------------------------------------------------------------------

    def crash(self, down_us: int) -> None:
        """The process dies; another start of it follows."""
        self.up = self.known = False
        self.held.clear()
        self._newest = 0
        self._unheard.clear()
        self.paused_until = 0
        self._life += 1
        self.wire.cut()
        self.world.clock.after(down_us, self._start)

    def _start(self) -> None:
        if not self.up:
            self.up = True
            self.run += 1
            self._silent = 0
            self.wire.connect()

    def pause(self, for_us: int) -> None:
        """SIGSTOP, and SIGCONT later."""
        self.paused_until = max(self.paused_until, self.world.clock.now + for_us)

    # ---- messages -----------------------------------------------------------------------------------

    def read(self, message: Message) -> None:
        if not self.up:
            return
        self._silent = 0
        kind, verb = message.type, message.action
        if kind == "DATA":
            self._begin(message)
        elif kind == "ACK" and verb == "WELCOME":
            self._welcome(message)
        elif kind == "ACK" and verb == "PONG":
            if message.params.get("epoch", self.epoch) != self.epoch:
                self._register()
        elif kind == "ACK" and verb == "DONE":
            self._answered(message.task)
        elif kind == "RESPONSE" and verb == "REJECTED":
            self._refused(message)
        elif kind == "CONTROL" and verb == "CANCEL":
            self._stop(message)
        elif kind == "CONTROL" and verb == "HELLO":
            self._register()

    def _welcome(self, message: Message) -> None:
        again = message.params.get("epoch", "") != self.epoch
        self.known = True
        self.epoch = message.params.get("epoch", "")
        self._heartbeat()
        if again:
            for work in list(self.held.values()):
                if work.outcome:
                    self._send(work)

    def _answered(self, task: str) -> None:
        work = self.held.get(task)
        if work is not None and work.outcome:
            del self.held[task]

    def _refused(self, message: Message) -> None:
        if message.task == self.name and message.code == "unknown_sender":
            self.known = False
            if self.is_queue:
                self._register()
            return
        if message.code not in ("busy", "journal", "no_memory"):
            self._answered(message.task)

    def _stop(self, message: Message) -> None:
        work = self.held.get(message.task)
        if work is None or work.token != int(message.params.get("token", work.token)):
            return
        if work.outcome:
            return  # it is on its way, and will be answered
        if self.world.chance.yes(0.8, "heed", work.task, work.token):
            self._finish(work, "RESPONSE:TASK_RELEASED", b"")

    # ---- work ---------------------------------------------------------------------------------------

    def _begin(self, message: Message) -> None:
        world, params = self.world, message.params
        token = int(params.get("token", 0))
        self._newest = max(self._newest, token)
        old = self.held.get(message.task)
        if old is not None and old.token == token:
            return
        world.ledger.started(message)
        work = Work(message.task, token, message.action, message.payload, params.get("via", ""))
        self.held[message.task] = work
        record = world.ledger.record(message.task)
        key = (message.task, record.starts)
        chance, calm = world.chance, world.calm
        us = int(chance.exponential(40_000, "work", *key))
        if not calm and chance.yes(0.06, "long", *key):
            us = chance.between(500_000, 6_000_000, "how long", *key)
        life = self._life
        if chance.yes(0.1, "tell", *key):
            world.clock.after(us // 2, lambda: self._tell(work, life))
        if not calm and world.abilities.leases and chance.yes(0.02, "wedged", *key):
            del self.held[
                message.task
            ]  # its handler never comes back, and the agent has no more of it
            return
        world.clock.after(us, lambda: self._ready(work, life, key))

    def _tell(self, work: Work, life: int) -> None:
        if self.up and life == self._life and self.held.get(work.task) is work and not work.outcome:
            line = f"RESPONSE:PROGRESS:{work.task}{self._from};token={work.token}:half\n"
            self.wire.send(line.encode())

    def _ready(self, work: Work, life: int, key: tuple[str, int]) -> None:
        """The handler returns."""
        clock = self.world.clock
        if (
            not self.up
            or life != self._life
            or self.held.get(work.task) is not work
            or work.outcome
        ):
            return
        if clock.now < self.paused_until:
            clock.at(self.paused_until, lambda: self._ready(work, life, key))
            return
        x = self.world.chance.part("outcome", *key)
        if x < 0.84:
            result = f"{work.action}({work.task},{work.token},{self.name}.{self.run})".encode()
            self._finish(work, "RESPONSE:TASK_COMPLETED", result)
        elif x < 0.93:
            self._finish(work, "RESPONSE:TASK_FAILED", b"it did not work")
        elif x < 0.97:
            self._finish(work, "RESPONSE:TASK_RELEASED", b"")
        else:
            self._finish(work, "RESPONSE:TASK_BURIED", b"it never will")

    def _finish(self, work: Work, verb: str, payload: bytes) -> None:
        head = f"{verb}:{work.task}{self._from};token={work.token};ack=1:".encode()
        work.outcome = head + payload + b"\n"
        if verb.endswith("RELEASED"):
            self.world.ledger.record(work.task).given_back += 1
        self._send(work)

    def _send(self, work: Work) -> None:
        work.sent_us = self.world.clock.now
        if self.known:
            self.wire.send(work.outcome, Note(work.task, work.token))
