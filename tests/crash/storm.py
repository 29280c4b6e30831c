"""The run: everybody is started, trouble comes as planned, then it is calm until the clients have what is theirs.

Owns: the order of things. What may not happen is collected in ``faults``, in words.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

from crash.cast import COORDINATOR, Cast, Member
from crash.disk import Disk
from crash.kinds import LIMIT
from crash.ledger import Ledger, read_told
from crash.plan import Trouble
from crash.reask import reask, youngest
from crash.watch import Alarms, Restart
from support.line import ask, payload, pings
from support.until import until

TICK_S = 0.02
START_S = 60.0
BACK_S = 10.0


class Storm:
    """One run over a cast.

    Args:
        disk: under the journal. say: takes a line of progress.
    """

    def __init__(self, cast: Cast, disk: Disk, seed: int, say: Callable[[str], None]) -> None:
        self.cast = cast
        self.disk = disk
        self.kinds: Counter[str] = Counter()  # what was done
        self.kills: Counter[str] = Counter()  # of them, SIGKILL, by the kind of member
        self.restarts: list[Restart] = []
        self.alarms: Alarms | None = None
        self.agents_back_s = 0.0  # from the last coordinator's first answer to the last agent
        self.faults: list[str] = []
        self._dice = random.Random(f"storm {seed}")
        self._say = say
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def begin(self) -> None:
        """Start everybody."""
        self.cast.start(self.cast.coordinator)
        path = self.cast.sandbox.socket
        until(lambda: pings(path), START_S, "the coordinator's answer")
        if ask(path, LIMIT) != b"ACK:DONE:crash":
            self.faults.append("the limit was not taken")
        for member in self.cast.members.values():
            if member.kind != COORDINATOR:
                self.cast.start(member)
        self.alarms = Alarms(path)

    def blow(self, plan: Iterator[Trouble], seconds: float) -> None:
        """Make trouble for so many seconds."""
        end = time.monotonic() + seconds
        trouble = next(plan)
        due = time.monotonic() + trouble.after_s
        while (now := time.monotonic()) < end:
            self._run_later(now)
            self.faults.extend(self.cast.unexpected_ends())
            if now >= due:
                self._make(trouble)
                trouble = next(plan)
                due = time.monotonic() + trouble.after_s
            time.sleep(TICK_S)  # sleep: until the next trouble

    def calm(self, seconds: float) -> None:
        """Let everybody go on, tell the clients to finish, and wait for them."""
        self._run_later(float("inf"))
        clients = self.cast.of("client")
        for member in clients:
            assert member.process is not None
            member.process.terminate()
        deadline = time.monotonic() + seconds
        for member in clients:
            assert member.process is not None
            try:
                status = member.process.wait(max(0.1, deadline - time.monotonic()))
            except AssertionError as error:
                self.faults.append(f"{member.name}: {error}")
                self.cast.kill(member)
            else:
                if status != 0:
                    self.faults.append(f"{member.name}: {status}: {member.process.stderr[-2000:]}")
            member.process = None

    def ask_again(self, cut: bool) -> None:
        """One more death of the coordinator (``cut``: with the power); then results are asked for, and written down."""
        coordinator = self.cast.coordinator
        if cut:
            self._make(Trouble(0.0, "power cut", 0.0))
        else:
            self.kill(coordinator)
        path = self.cast.sandbox.socket
        until(lambda: pings(path), START_S, "the coordinator's answer")
        self._wait_for_agents(time.monotonic())
        self._look_at_limit()
        tasks = youngest(read_told(self.cast.ledgers.glob("told.*")))
        try:
            reask(path, tasks, Ledger(self.cast.ledgers / "told.reask.001"))
        except OSError as error:
            self.faults.append(f"asking for {len(tasks)} results again: {error}")

    def _look_at_limit(self) -> None:
        """It outlives every coordinator, and nothing is held back by it in the end."""
        rows = json.loads(payload(ask(self.cast.sandbox.socket, b"CONTROL:LIMITS:crash")))
        if self.disk.flipped and not rows:
            return  # its line may have been hit
        found = [(row.get("now"), row.get("parked")) for row in rows]
        if found != [(0, 0)]:
            self.faults.append(f"the limit at the end: {json.dumps(rows)}")

    def _wait_for_agents(self, began: float) -> None:
        """Every agent that runs is back by itself."""
        wanted = len(self.cast.of("agent"))

        def back() -> bool:
            rows = json.loads(payload(ask(self.cast.sandbox.socket, b"CONTROL:AGENTS:crash")))
            return len(rows) >= wanted

        try:
            until(back, BACK_S, f"{wanted} agents after a restart")
        except AssertionError as error:
            self.faults.append(str(error))
        self.agents_back_s = time.monotonic() - began

    def end(self) -> None:
        """End whoever is left as an operator would, the coordinator last."""
        self._run_later(float("inf"))
        for restart in self.restarts:
            restart.abandon()
        if self.alarms is not None:
            self.alarms.end()
            self.faults += self.alarms.faults
        for member in reversed(self.cast.members.values()):
            if member.process is None:
                continue
            if member.stopped:
                member.process.thaw()
            words = member.process.end()
            if words:
                self.faults.append(words)
            member.process = None

    # -- trouble ---------------------------------------------------------------------------

    def _make(self, trouble: Trouble) -> None:
        self.kinds[trouble.kind] += 1
        verb, _, object_ = trouble.kind.partition(" ")
        if verb == "kill":
            self.kill(self.cast.draw(object_, self._dice))
        elif verb == "stop":
            self._stop(self.cast.draw(object_, self._dice), trouble.seconds)
        else:
            self._spoil(trouble)

    def _spoil(self, trouble: Trouble) -> None:
        """Trouble with the disk under the journal."""
        coordinator, disk = self.cast.coordinator, self.disk
        if trouble.kind == "full disk":
            process = coordinator.process
            assert process is not None
            self._say(f"full disk for {trouble.seconds:.1f} s")
            disk.fill(process)
            self.later(trouble.seconds, lambda: disk.free(process))
        elif trouble.kind == "power cut":
            self.kill(coordinator, lambda: self._say(f"power cut: {disk.cut_power(self._dice)}"))
        else:
            self.kill(coordinator, lambda: self._say(f"bit flip: {disk.flip(self._dice)}"))

    def kill(self, member: Member, between: Callable[[], None] | None = None) -> None:
        """SIGKILL a member and start it again; ``between`` is done while it is dead."""
        self._say(f"kill {member.name}")
        died_at = time.monotonic()
        if member.kind == COORDINATOR and self.restarts:
            self.restarts[-1].abandon()
        self.cast.kill(member)
        self.kills[member.kind] += 1
        if between is not None:
            between()
        self.cast.start(member)
        if member.kind == COORDINATOR:
            self.restarts.append(Restart(self.cast.sandbox.socket, died_at))

    def _stop(self, member: Member, seconds: float) -> None:
        process = member.process
        if process is None or member.stopped:
            return
        self._say(f"stop {member.name} for {seconds:.1f} s")
        if member.kind == COORDINATOR and self.restarts:
            self.restarts[-1].abandon()  # what follows is not its own time
        process.freeze()
        member.stopped = True

        def go_on() -> None:
            if member.process is process and member.stopped:
                process.thaw()
                member.stopped = False

        self.later(seconds, go_on)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do this in so many seconds, or when it gets calm."""
        self._count += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._count, action))

    def _run_later(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, action = heapq.heappop(self._later)
            with contextlib.suppress(ProcessLookupError):
                action()
