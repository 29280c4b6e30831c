"""Who plays: the coordinator, agents of several sorts and clients, each started again after every death.

Owns: command lines, environments, processes. Knows nothing of when somebody dies.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.instance import Sandbox
from support.process import Process, program, tail

HERE = Path(__file__).resolve().parent
AGAIN_S = 0.5  # before somebody who ended by itself is started again
COORDINATOR = "coordinator"
# Short enough that an agent that was stopped is given up within a run of 20 seconds.
COORDINATOR_SETTINGS = {
    "AGENT_TIMEOUT_MS": 3000,
    "HEARTBEAT_MS": 500,
    "LEASE_MS": 6000,
    "CANCEL_GRACE_MS": 1000,
}


@dataclass(slots=True)
class Member:
    """One role in the play and its process of now."""

    name: str
    kind: str  # coordinator, agent or client
    argv: list[str]
    env: dict[str, str]
    starts: int = 0
    process: Process | None = None
    stopped: bool = False
    killed: int = 0
    started_at: float = 0.0
    notes: list[str] = field(
        default_factory=list
    )  # the last words of the ended processes that had any

    def words(self) -> list[str]:
        """The command line of its next start."""
        return [word.format(start=f"{self.starts:03d}") for word in self.argv]


class Cast:
    """All members, in one sandbox.

    Args:
        folder: for ledgers and what the programs say. rate: tasks a second, of all clients together.
        env: more settings of the coordinator.
    """

    def __init__(
        self, sandbox: Sandbox, folder: Path, *, seed: int, rate: float, without: str,
        env: dict[str, str],
    ) -> None:  # fmt: skip
        self.sandbox = sandbox
        self.ledgers = folder / "ledgers"
        self._folder = folder
        self.ledgers.mkdir(parents=True)
        common = {
            **os.environ,
            **sandbox.settings,
            "PYTHONPATH": str(HERE.parent),
            "PYTHONUNBUFFERED": "1",
            "CRASH_LEDGERS": str(self.ledgers),
            "CRASH_SEED": str(seed),
        }
        settings = {f"GANGLION_COORDINATOR_{k}": str(v) for k, v in COORDINATOR_SETTINGS.items()}
        gangliond = program("gangliond")
        self.members: dict[str, Member] = {}
        self._add(
            COORDINATOR,
            COORDINATOR,
            [*gangliond, "coordinator", "-v"],
            {**common, **settings, **env},
        )
        for member in _agents(gangliond, common):
            self.members[member.name] = member
        for number, transport in enumerate(("auto", "unix", "auto"), 1):
            argv = [sys.executable, "-m", "crash.client", f"c{number}", "{start}"]
            argv += ["--rate", f"{rate / 3:g}", "--transport", transport, "--without", without]
            self._add(f"client {number}", "client", argv, common)
        argv = [sys.executable, "-m", "crash.library", "lib", "{start}"]
        self._add("client library", "client", argv, common)

    def _add(self, name: str, kind: str, argv: list[str], env: dict[str, str]) -> None:
        self.members[name] = Member(name, kind, argv, env)

    @property
    def coordinator(self) -> Member:
        return self.members[COORDINATOR]

    def of(self, kind: str) -> list[Member]:
        return [member for member in self.members.values() if member.kind == kind]

    def draw(self, kind: str, dice: random.Random) -> Member:
        """Any living member of a kind that is not stopped; any when all are."""
        members = self.of(kind)
        return dice.choice([one for one in members if not one.stopped] or members)

    def start(self, member: Member) -> None:
        """Start it (again)."""
        member.starts += 1
        member.stopped = False
        folder = self._folder / "programs" / f"{member.name.replace(' ', '-')}.{member.starts:03d}"
        folder.mkdir(parents=True)
        member.started_at = time.monotonic()
        member.process = Process(member.words(), member.env, folder, None)

    def kill(self, member: Member) -> None:
        """SIGKILL, and wait until it is gone."""
        if member.process is not None:
            member.process.kill()
            member.killed += 1
            self._note(member)

    def said(self, member: Member) -> str:
        """All that it said on stderr, over all its starts."""
        folders = (self._folder / "programs").glob(f"{member.name.replace(' ', '-')}.*")
        return "".join((one / "stderr").read_text(errors="replace") for one in sorted(folders))

    def _note(self, member: Member) -> None:
        assert member.process is not None
        said = member.process.stderr
        if "Traceback" in said or "error" in said.lower():
            member.notes.append(tail(said))

    def unexpected_ends(self) -> Iterator[str]:
        """Whoever ended without being told to, in words; each is started again."""
        for member in self.members.values():
            process = member.process
            if process is None or time.monotonic() - member.started_at < AGAIN_S:
                continue
            if process.returncode is not None:
                yield f"{member.name} ended by itself with {process.returncode}: {tail(process.stderr)}"
                self.start(member)


def _agents(gangliond: list[str], common: dict[str, str]) -> Iterator[Member]:
    """Agents over queues (while this user has room for more) and the socket: quick ones, slow ones, a command."""
    worker = [*gangliond, "agent", str(HERE / "roles" / "worker.py")]
    rows = [
        ("quick 1", "ECHO,SEAL", "auto", 64, 1),
        ("quick 2", "ECHO,FLAKY", "auto", 64, 1),
        ("quick 3", "ECHO,SEAL,FLAKY", "unix", 64, 1),
        ("slow 1", "SLOW", "auto", 0, 6),
        ("slow 2", "SLOW,SEAL", "unix", 0, 4),
    ]
    for name, actions, transport, slots, threads in rows:
        more = {
            "CRASH_NAME": name.replace(" ", ""),
            "CRASH_ACTIONS": actions,
            "CRASH_THREADS": str(threads),
            "GANGLION_TRANSPORT": transport,
            "GANGLION_AGENT_SLOTS": str(slots),
        }
        yield Member(name, "agent", worker, {**common, **more})
    serve = [*gangliond, "serve", "-j", "2", "EXEC", "--", str(HERE / "roles" / "exec.sh")]
    yield Member("command", "agent", serve, common)
