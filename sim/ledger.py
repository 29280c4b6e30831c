"""What was promised, kept apart from the system: every ack, outcome and start, and every line of the journal.

The ledger sees what leaves the coordinator, what reaches agents and clients, and what is written. It decides whether a
promise is broken; the words of each are in ``INVARIANTS``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from ganglion.protocol.message import Message, parse_batch
from ganglion.sim.limits import Limits

if TYPE_CHECKING:
    from ganglion.sim.journal import Report
    from ganglion.sim.native import Core, View
    from ganglion.sim.wires import Note
    from ganglion.sim.world import World

INVARIANTS = {
    "grammar": "what the coordinator writes can be read",
    "replay": "a journal is taken whole by a fresh core",
    "batches": "batches are numbered without a gap",
    "early": "nothing is promised before its batch is committed",
    "lost": "no acknowledged task is lost",
    "changed": "no result changes once delivered",
    "fence": "only the valid lease's outcome is applied, and no task has two",
    "once": "a task with once=1 starts at most once, but when its agent gave it back",
    "cancelled": "a cancelled task is not started again",
    "payload": "an agent gets what was submitted, or what the action before made of it",
    "key": "tasks of one key run one at a time, in order",
    "limit": "rates and numbers of running tasks stay in their limits",
    "bound": "every table stays in its bound",
    "check": "the core's own invariants hold (gn_core_check)",
    "scan": "of a damaged journal only the damaged batches are lost, and all of them are reported",
    "same": "a restart gives the same table",
    "answer": "every submission and request is answered",
    "end": "every task ends",
    "schedule": "a schedule makes each of its tasks, once, under its name",
    "crash": "the process of the core does not die",
}
ENDS = {"TASK_COMPLETED": "done", "TASK_BURIED": "buried", "TASK_CANCELLED": "cancelled"}
GAUGES_EVERY, CHECK_EVERY = 8, 64  # rounds


@dataclass
class Record:
    """One task, from all sides. Batches are the journal's numbers; 0: none."""

    name: str
    params: dict[str, str] = field(default_factory=dict)
    action: str = ""
    payloads: set[bytes] = field(default_factory=set)  # an agent may be given any of these
    acked: bool = False
    accepted: int = 0  # the batch with the line that made it
    place: int = 0  # among all acceptances
    life: int = (
        0  # of the coordinator that handed it out first: an agent may claim it from a later one
    )
    ended: int = 0  # the batch with the last line that ended it
    forgotten: int = 0
    cancelled: int = 0
    revived: int = 0  # the batch with the last KICK, or submission in its place
    outcome: tuple[str, bytes] | None = None  # as it was delivered first
    outcome_at: int = 0  # committed batch when it was delivered
    token: int = 0  # of the newest lease
    starts: int = 0
    legs: dict[str, int] = field(default_factory=dict)  # starts at each action of its way
    given_back: int = 0
    excused: bool = False  # its lines were in a damaged batch
    no_more: bool = False  # its cancel was acknowledged
    kicks: int = 0
    counted: int = 0  # the token of the newest lease that limits.py has seen


class Ledger:
    """Records by name, and the checks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks: dict[str, Record] = {}
        self.batches: dict[int, list[str]] = {}  # the tasks that a batch has lines of
        self._sums: dict[int, int] = {}  # CRC-32 of what was written
        self.dependents: dict[str, list[str]] = {}
        self.written = 0  # the last batch that was sealed
        self.safe = 0  # the last batch that was committed
        self.damaged: set[int] = set()
        self._rounds = self._places = 0
        self.hurt = False
        self.limits = Limits(world)
        self._limit_lines: set[int] = set()  # batches with a LIMIT
        self._over: dict[str, int] = {}  # gauges over their bound by damage, and how far
        self.counts = {"acked": 0, "outcomes": 0, "dispatched": 0, "again": 0}

    def record(self, name: str) -> Record:
        found = self.tasks.get(name)
        if found is None:
            found = self.tasks[name] = Record(name)
        return found

    def fail(self, invariant: str, words: str) -> None:
        self.world.fail(invariant, words)

    # ---- the journal ------------------------------------------------------------------------------

    def sealed(self, batch: int, data: bytes) -> None:
        """A batch, about to be written."""
        names: list[str] = []
        defined = ""
        for message in parse_batch(data):
            name, verb = message.task, message.action
            if verb == "KEPT":
                defined = name
                names.append(name)
                continue
            if name and defined == name and message.type in ("DATA", "RESPONSE"):
                defined = ""  # the definition that a KEPT announced: nothing new
                continue
            defined = ""
            if verb == "LIMIT":
                self.limits.line(message, batch)
                self._limit_lines.add(batch)
            if message.type == "DATA":
                self._accepted(message, batch)
            elif "late" in message.params:
                pass  # kept beside the task, and not applied
            elif message.type == "RESPONSE" or verb in ("CANCEL", "KICK", "FORGET", "PURGE"):
                self._line(message, batch)
            if name:
                names.append(name)
        self.batches[batch] = names
        self._sums[batch] = crc32(data)
        self.written = batch

    def _accepted(self, message: Message, batch: int) -> None:
        record = self.record(message.task)
        if record.forgotten:
            record.legs.clear()  # another task of the same name
        record.accepted = record.revived = batch
        record.ended = record.forgotten = record.cancelled = 0
        record.no_more = False
        self._places += 1
        record.place = self._places
        record.action = message.action
        record.params = dict(message.params)
        record.payloads = {message.payload}
        self.world.orders.accepted(record)
        for other in filter(None, message.params.get("after", "").split(",")):
            self.dependents.setdefault(other, []).append(message.task)

    def _line(self, message: Message, batch: int) -> None:
        record, verb = self.record(message.task), message.action
        if verb == "KICK":
            record.revived = batch
            record.kicks += 1
            record.ended = 0
            record.cancelled = 0
        elif verb in ("FORGET", "PURGE"):
            record.forgotten = batch
        elif verb == "CANCEL":
            record.cancelled = record.revived = (
                batch  # of a buried task: it is cancelled from now on
            )
        elif verb == "TASK_COMPLETED":
            record.ended = batch
            record.payloads.add(message.payload)
        elif verb == "TASK_BURIED":
            record.ended = batch

    def committed(self, batch: int) -> None:
        self.safe = max(self.safe, batch)

    # ---- crashes ------------------------------------------------------------------------------------

    def died(self) -> None:
        """The coordinator is gone; what it had in memory is unknown from here on."""

    def damage(self, batches: set[int]) -> None:
        """Bits of these were hurt: their tasks, and those that wait for them, may be missing."""
        self.damaged |= batches
        todo = [name for batch in batches for name in self.batches.get(batch, ())]
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            self.record(name).excused = True
            todo += self.dependents.get(name, ())

    def recovering(self) -> None:
        """What the disk holds now is all that can come back."""
        self._whole = {
            span.batch for file in self.world.disk.files.values() for span in file.whole()
        }

    def recovered(self, report: Report, core: Core) -> None:
        """Compare what came back with what was promised."""
        damaged, self.damaged = self.damaged, set()
        self.world.disk.damaged.clear()
        fed = set(report.batches)
        if missing := self._whole - fed - damaged:
            self.fail("scan", f"batches {sorted(missing)} were whole, and are not replayed")
        if wrong := {b for b, crc in report.batches.items() if self._sums.get(b) != crc}:
            words = f"batches {sorted(wrong)} were replayed, and are not as they were written"
            self.fail("scan", words)
        damaged -= fed  # a letter of a checksum in the other case does no harm
        reported = report.lost
        last = max(fed, default=0)
        if silent := {b for b in damaged & self._whole if b < last} - reported:
            self.fail("scan", f"batches {sorted(silent)} are damaged, and not reported")
        for file in self.world.disk.files.values():  # what was lost once stays lost
            file.spans = [span for span in file.spans if span.batch not in damaged]
        self.hurt = self.hurt or bool(damaged)
        if self.hurt:  # what a lost line had removed is there again
            self._over = {name: value for name, (value, _) in core.over_bound().items()}
        self._forget_lost(fed)
        lost = min(
            (batch for batch in self._limit_lines if batch > max(fed, default=0)), default=None
        )
        self.limits.recovered(lost, bool(self._limit_lines & damaged))
        self.safe = self.written = max(fed | reported, default=0)
        for record in self.tasks.values():
            if record.acked and not record.excused:
                self._still_there(record, core)

    def _forget_lost(self, fed: set[int]) -> None:
        """Lines that did not reach the disk never were."""
        gone = {batch for batch in self.batches if batch > max(fed, default=0)}
        for batch in gone:
            del self.batches[batch]
        if not gone:
            return
        first = min(gone)
        for record in self.tasks.values():
            if record.accepted >= first and record.acked and not record.excused:
                self.fail(
                    "lost",
                    f"{record.name} was acknowledged in batch {record.accepted}, which is gone",
                )
            for key in ("accepted", "ended", "forgotten", "cancelled", "revived"):
                if getattr(record, key) >= first:
                    setattr(record, key, 0)

    def _still_there(self, record: Record, core: Core) -> None:
        view = core.task(record.name)
        if view is None:
            made_room = self.hurt and record.outcome  # for what a lost line had removed
            if not record.forgotten and not made_room:
                self.fail("lost", f"{record.name} was acknowledged, and a restart does not know it")
        elif (
            record.outcome
            and ENDS[record.outcome[0]] != view.state
            and record.revived < record.outcome_at
        ):
            words = (
                f"{record.name} was delivered as {record.outcome[0]}, a restart has it {view.state}"
            )
            self.fail("changed", words)

    # ---- what leaves the coordinator ------------------------------------------------------------

    def left(self, peer: str, messages: list[Message], core: Core) -> None:
        for message in messages:
            kind, verb = message.type, message.action
            if kind == "ACK" and verb == "RECEIVED":
                self._ack(message)
            elif kind == "ACK" and verb == "DONE" and peer == "ops":
                self._steered(message)
            elif kind == "RESPONSE" and verb in ENDS:
                self._outcome(message)
            elif kind == "DATA":
                self._dispatch(message, core)

    def _ack(self, message: Message) -> None:
        record = self.record(message.task)
        if not record.accepted:
            self.fail("early", f"{record.name} is acknowledged and in no batch")
        elif record.accepted > self.safe and not record.excused:
            words = f"{record.name} is acknowledged; its batch {record.accepted} is not committed"
            self.fail("early", f"{words} (the last that is: {self.safe})")
        self.counts["acked"] += not record.acked
        self.counts["again"] += record.acked
        record.acked = True

    def _steered(self, message: Message) -> None:
        record = self.tasks.get(message.task)
        if record is not None and record.cancelled:
            if record.cancelled > self.safe:
                self.fail(
                    "early",
                    f"the cancel of {record.name} is answered before its batch is committed",
                )
            record.no_more = True

    def _outcome(self, message: Message) -> None:
        record = self.record(message.task)
        if record.ended > self.safe and not record.excused:
            self.fail("early", f"the outcome of {record.name} leaves before its batch is committed")
        outcome = (message.action, message.payload)
        first = record.outcome
        if first is None or record.revived > record.outcome_at:
            self.counts["outcomes"] += 1
            record.outcome, record.outcome_at = outcome, self.written
        elif first != outcome and not record.excused:
            self.fail("changed", f"{record.name} was {first}, now it is {outcome}")

    def _dispatch(self, message: Message, core: Core) -> None:
        record = self.record(message.task)
        self.counts["dispatched"] += 1
        record.token = int(message.params.get("token", 0))
        record.life = record.life or self.world.coordinator.life
        view = core.task(record.name)
        if record.excused or view is None or view.token != record.token:
            return  # it waited for room in its link until its lease was over
        if record.payloads and message.payload not in record.payloads:
            self.fail("payload", f"{record.name} is handed out with {message.payload!r}")
        if record.no_more:
            self.fail("cancelled", f"{record.name} is handed out after its cancel was acknowledged")
        self.world.orders.dispatched(record, core)

    # ---- agents -------------------------------------------------------------------------------------

    def outcome_read(self, note: Note, before: View | None, after: View | None) -> None:
        """An agent's outcome was fed: was it applied, and to whose lease?"""
        if before is None or before == after or before.state not in ("leased", "cancelling"):
            return
        applied = after is None or after.state != before.state or after.token != before.token
        if applied and before.token != note.token:
            words = f"{note.task} is with token {before.token}; an outcome of token {note.token} was applied"
            self.fail("fence", words)

    def started(self, message: Message) -> None:
        """An agent begins to work on it."""
        record = self.record(message.task)
        record.starts += 1
        once = message.params.get("once") == "1" or record.params.get("once") == "1"
        leg = f"{message.action} {message.params.get('via', '')}"
        record.legs[leg] = record.legs.get(leg, 0) + 1
        allowed = 1 + record.given_back + record.kicks
        if once and record.legs[leg] > allowed and not record.excused:
            self.fail("once", f"{record.name} is started {record.legs[leg]} times at {leg}")

    # ---- now and then -------------------------------------------------------------------------------

    def after_round(self, core: Core) -> None:
        self._rounds += 1
        self.limits.after_round(core)
        if self._rounds % GAUGES_EVERY == 0:
            for name, (value, bound) in core.over_bound().items():
                if value > self._over.get(name, bound):
                    self.fail("bound", f"{name} is {value}, its bound {bound}")
        if self._rounds % CHECK_EVERY == 0 and (line := core.check()):
            self.fail("check", f"csrc/src/core/check.c line {line}")
