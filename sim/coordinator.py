"""The coordinator around the core: read all there is, feed it, write the batch, let out what may go, sync, again.

As daemons/coordinator and csrc/src/loop do it, but with arrivals, time and the disk of the simulator. A crash may
come at any of the places named in ``PHASES`` of any batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganglion.protocol.message import Message, StreamParser, parse_batch
from ganglion.sim.journal import Journal, Report
from ganglion.sim.native import CLOSE, JOURNAL, OPEN, SHARED, STREAM, Core

if TYPE_CHECKING:
    from ganglion.sim.plan import Item
    from ganglion.sim.wires import Note, Wire
    from ganglion.sim.world import World

# Where in a batch's life the coordinator may die.
PHASES = ("unwritten", "torn", "written", "out", "syncing", "synced")
LOOP_US = 15  # from an arrival to its being read
NEVER = (1 << 63) - 1
START_US = 1_600_000_000_000_000  # the Unix time at which runs begin
AGAIN_US = 1_000_000  # between tries to write what a full disk did not take
WALK_BYTES = 4096  # of a checkpoint a round
DATAGRAMS = 10  # of the inbox a round


class Coordinator:
    """One host: lives of the core come and go, the disk and the queues stay."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.up = False
        self.core: Core | None = None
        self.life = 0
        self.offset_us = 0  # of the host's clock
        self.armed: list[Item] = []  # crashes that wait for a batch
        self.wires: dict[int, Wire] = {}
        self._parsers: dict[int, StreamParser] = {}
        self._rest: dict[int, bytearray] = {}
        self._arrived: list[tuple[Wire, int, bytes, Note | None]] = []
        self._round_at = NEVER
        self._sync_end = 0
        self._syncing = False
        self._sync_begun = -NEVER
        self._walk_begun: tuple[int, int] | None = (
            None  # segment and batch of a checkpoint under way
        )
        self.checkpoints = 0

    def now(self) -> int:
        """The host's clock, Unix microseconds."""
        return START_US + self.world.clock.now + self.offset_us

    # ---- start and end ------------------------------------------------------------------------

    def start(self) -> None:
        """Recover, and serve."""
        settings = self.world.settings
        self.life += 1
        config = dict(settings["core"], seed=self.world.plan.seed & 0xFFFF, epoch=self.life)
        self.core = core = Core(self.world.native, config)
        self.journal = Journal(self.world.native, self.world.disk, settings["segment_bytes"])
        self._base = 0
        self.world.ledger.recovering()
        report = self._replay(core)
        self._base = self.journal.next - 1
        self.journal.begin(self.now() // 1000)
        self._committed = self.journal.next - 1
        self.shared = core.open(self.now(), SHARED)
        self._syncing = False
        self._since_walk = self._walk_took = 0
        self._walk_begun = None
        self.up = True
        self.world.ledger.recovered(report, core)
        self.world.trace("coordinator starts: life {}, {}", self.life, report.words())
        self._say_hello()
        self.wake()

    def _replay(self, core: Core) -> Report:
        link = core.open(self.now(), JOURNAL)

        def feed(text: bytes) -> None:
            used = core.feed(self.now(), link, text, False)
            if used != len(text):
                self.world.fail("replay", f"the core took {used} of {len(text)} bytes of a batch")

        report = self.journal.recover(feed)
        core.closed(self.now(), link)
        for _, closing, _ in core.effects():
            if closing == link:
                core.closed(self.now(), link)
        core.resume(self.now())
        return report

    def _say_hello(self) -> None:
        """To every queue in the ledger of queues: register again."""
        if not self.world.abilities.hello:
            return
        for wire in self.world.queues.values():
            line = f"CONTROL:HELLO:{wire.peer.name};epoch={self.life}\n".encode()
            wire.push(len(line), parse_batch(line))

    def crash(self, item: Item) -> None:
        """The process (``mode`` kill) or the whole host's power (``mode`` power) is gone."""
        if not self.up:
            return
        world = self.world
        world.trace("coordinator dies: {}", item)
        world.crashes += 1
        self.up = False
        self.core = None
        self._round_at = NEVER
        self._arrived.clear()
        for wire in list(self.wires.values()):
            wire.link = -1
            wire.cut()
        self.wires.clear()
        self._parsers.clear()
        self._rest.clear()
        key = ("crash", item["at"], item.get("batch", ""))
        world.ledger.died()
        if item["mode"] == "power" and world.settings["policy"] != "memory":
            world.disk.power_loss(world.chance, *key)
        for flip in range(item.get("flips", 0)):
            where = world.disk.flip(world.chance, *key, flip)
            world.trace("a bit is flipped: {}", where)
        world.ledger.damage(world.disk.damaged)
        world.clock.after(item["down"] * 1000, self.start)

    def _dies(self, phase: str) -> bool:
        """Whether a crash was waiting for this moment; then the coordinator is gone."""
        for item in self.armed:
            if item["phase"] == phase and item.get("batch", self.journal.next) <= self.journal.next:
                self.armed.remove(item)
                self.crash(item)
                return True
        return False

    # ---- links ------------------------------------------------------------------------------------

    def accept(self, wire: Wire) -> bool:
        """A connection; False: nobody listens."""
        if not self.up or self.core is None:
            return False
        link = self.core.open(self.now(), STREAM)
        if link < 0:
            return False
        self._bind(wire, link)
        return True

    def _bind(self, wire: Wire, link: int) -> None:
        wire.link = link
        self.wires[link] = wire
        self._parsers[link] = StreamParser()
        self._rest[link] = bytearray()

    def _unbind(self, link: int) -> None:
        wire = self.wires.pop(link, None)
        self._parsers.pop(link, None)
        self._rest.pop(link, None)
        if wire is not None:
            wire.link = -1

    def gone(self, wire: Wire) -> None:
        """The other end of a stream is."""
        if self.core is None or wire.link < 0:
            return
        link = wire.link
        self._unbind(link)
        self.core.closed(self.now(), link)
        self.wake()

    def arrived(self, wire: Wire, data: bytes, note: Note | None) -> None:
        if self.up:
            self._arrived.append((wire, wire.link, data, note))
            self.wake()

    def roomy(self, wire: Wire) -> None:
        """A peer has read: what waited for room may go."""
        if self.up and wire.link >= 0:
            self._send(wire.link)

    # ---- the loop -------------------------------------------------------------------------------

    def wake(self, at_us: int | None = None) -> None:
        """Have a round at this time of the virtual clock, or soon."""
        clock = self.world.clock
        at = clock.now + LOOP_US if at_us is None else max(at_us, clock.now + LOOP_US)
        if self.up and at < self._round_at:
            self._round_at = at
            life = self.life

            def call() -> None:
                if self.up and life == self.life and self._round_at == at:
                    self._round_at = NEVER
                    self._round()

            clock.at(at, call)

    def _round(self) -> None:
        core = self.core
        assert core is not None
        self._read(core)
        core.tick(self.now())
        self._walk(core)
        if not self._seal(core):
            return
        if self._effects(core):
            self.wake()  # what came of a link's end is for the next batch
        self._flush(core)
        self.world.ledger.after_round(core)
        if self._dies("out"):
            return
        self._begin_sync()
        due = core.next_us()
        if due < NEVER:
            self.wake(self.world.clock.now + max(0, due - self.now()))
        if self.world.inbox:
            self.wake()

    def _read(self, core: Core) -> None:
        arrived, self._arrived = self._arrived, []
        for wire, link, data, note in arrived:
            if wire.link != link or link < 0:
                continue
            rest = self._rest[link]
            rest += data
            used = self._feed(core, link, bytes(rest), False, note)
            if link in self._rest:
                del rest[:used]
        inbox = self.world.inbox
        for _ in range(min(DATAGRAMS, len(inbox))):
            data, note = inbox.popleft()
            self._feed(core, self.shared, data, True, note)

    def _feed(self, core: Core, link: int, data: bytes, final: bool, note: Note | None) -> int:
        """With an outcome: see that only the valid lease's is applied."""
        if note is None:
            return core.feed(self.now(), link, data, final)
        before = core.task(note.task)
        used = core.feed(self.now(), link, data, final)
        self.world.ledger.outcome_read(note, before, core.task(note.task))
        return used

    def _effects(self, core: Core) -> bool:
        effects = list(core.effects())
        for kind, link, text in effects:
            if kind == OPEN:
                wire = self.world.queues.get(text)
                if wire is None:
                    core.closed(self.now(), link)
                else:
                    if wire.link >= 0:
                        self._unbind(wire.link)
                    self._bind(wire, link)
            elif kind == CLOSE:
                self._send(link)
                closing = self.wires.get(link)
                self._unbind(link)
                core.closed(self.now(), link)
                if closing is not None:
                    closing.cut()
        return bool(effects)

    # ---- what leaves ----------------------------------------------------------------------------

    def _flush(self, core: Core) -> None:
        for _ in range(64):  # what leaves makes room for more
            links = core.dirty()
            if not links:
                return
            for link in links:
                self._send(link)

    def _send(self, link: int) -> None:
        wire, core = self.wires.get(link), self.core
        if wire is None or core is None:
            return
        while (room := wire.room()) > 0:
            data = core.output(link, room)
            if not data:
                break
            messages: list[Message] = []
            for message in self._parsers[link].feed(data):
                if isinstance(message, Message):
                    messages.append(message)
                else:
                    self.world.fail("grammar", f"the coordinator wrote {data!r}: {message}")
            self.world.ledger.left(wire.peer.name, messages, core)
            wire.push(len(data), messages)
            core.sent(self.now(), link, len(data))
            if link not in self.wires:
                break

    # ---- the journal ------------------------------------------------------------------------------

    def _seal(self, core: Core) -> bool:
        """Close the round's batch and write it; False: it was the last act of this life."""
        number, data = core.seal()
        if not number:
            return True
        journal, world = self.journal, self.world
        batch = self._base + number
        if batch != journal.next:
            world.fail(
                "batches", f"the core sealed batch {batch}, the journal is at {journal.next}"
            )
        world.ledger.sealed(batch, data)
        if self._dies("unwritten"):
            return False
        torn = next((i for i in self.armed if i["phase"] == "torn"), None)
        journal.write(data, torn["part"] if torn is not None else None)
        if torn is not None:
            self.armed.remove(torn)
            self.crash(torn)
            return False
        self._since_walk += len(data)
        if self._walk_begun is not None and self._walk_begun[1] == batch:  # the walk's last
            self._walk_took, self._since_walk = self._since_walk, 0
        if journal.failing:
            self._failed(core)
        elif journal.full:
            journal.begin(self.now() // 1000)
        if self._dies("written"):
            return False
        if world.settings["policy"] == "memory":
            self._commit(core)
        return True

    def _failed(self, core: Core) -> None:
        """The disk is full: nothing more is accepted until it takes what waits."""
        core.failing(True)
        life = self.life

        def again() -> None:
            if not self.up or life != self.life or self.core is None:
                return
            if self.journal.again(self.now() // 1000):
                self.world.trace("the disk takes the journal again")
                self.core.failing(False)
                if self.world.settings["policy"] == "memory":
                    self._commit(self.core)
                self.wake()
            else:
                self.world.clock.after(AGAIN_US, again)

        self.world.trace("the disk is full")
        self.world.clock.after(AGAIN_US, again)

    def _begin_sync(self) -> None:
        """As the policy says: at once, or once in group_ms."""
        world, settings = self.world, self.world.settings
        if (
            settings["policy"] == "memory"
            or self._syncing
            or self._committed >= self.journal.written
        ):
            return
        begin = world.clock.now
        if settings["policy"] == "group":
            begin = max(begin, self._sync_begun + settings["group_ms"] * 1000)
        self._syncing = True
        life = self.life

        def go() -> None:
            if not self.up or life != self.life:
                return
            self._sync_begun = world.clock.now
            marks, upto = world.disk.marks(), self.journal.written
            world.clock.after(self._sync_us(), lambda: self._sync_done(life, marks, upto))

        world.clock.at(begin, go)

    def _sync_us(self) -> int:
        world = self.world
        us = world.chance.between(80, 400, "sync", self.life, self._sync_begun)
        return us + world.weather.slow_disk_us

    def _sync_done(self, life: int, marks: dict[int, int], upto: int) -> None:
        if not self.up or life != self.life or self.core is None or self._dies("syncing"):
            return
        self.world.disk.synced(marks)
        self._syncing = False
        self.world.ledger.committed(upto)
        if self._dies("synced"):
            return
        self._commit(self.core, upto)
        self._flush(self.core)
        self.wake()

    def _commit(self, core: Core, upto: int | None = None) -> None:
        """Batches up to it are as safe as the policy promises."""
        self._committed = self.journal.written if upto is None else upto
        self.world.ledger.committed(self._committed)
        core.committed(self._committed - self._base)
        if self._walk_begun is not None and self._walk_begun[1] <= self._committed:
            self.journal.forget_before(self._walk_begun[0])
            self.journal.oldest = self._walk_begun[0]
            self._walk_begun = None
            self.checkpoints += 1

    def _walk(self, core: Core) -> None:
        """A checkpoint, a piece a round, when enough was written since the last."""
        if not self.world.abilities.checkpoints or self.journal.failing:
            return
        enough = max(self.world.settings["compact_bytes"], 2 * self._walk_took)
        if self._walk_begun is None and self._since_walk > enough:
            self.journal.begin(self.now() // 1000)
            self._walk_begun = (self.journal.segment, NEVER)
            self._since_walk = 0
            core.checkpoint()
        if self._walk_begun is not None and self._walk_begun[1] == NEVER:
            if core.checkpoint_step(WALK_BYTES):
                self.wake()
            else:
                self._walk_begun = (self._walk_begun[0], self.journal.next)

    def stop(self) -> None:
        """For the last comparison: an orderly end after the last commit."""
        self.crash({"do": "crash", "at": self.world.clock.now, "mode": "kill", "down": 0})
