"""One run of the harness from beginning to end, and what is told of it.

Owns: the sandbox, the order begin, storm, calm, audit. Knows no command line.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crash.audit import Verdict, compare
from crash.cast import Cast
from crash.disk import Disk, build_notes, make_notes, mount_small, unmount
from crash.ledger import read_runs, read_told
from crash.plan import JOURNAL_KINDS, troubles
from crash.storm import Storm
from support.instance import Sandbox

CALM_S = 60.0
SLOW_SYNC_US = 4000  # on a tmpfs, where a sync takes no time


@dataclass(frozen=True, slots=True)
class Options:
    """What is run."""

    policy: str  # of the journal
    disk: str  # what is done for a full one: tmpfs, limit (RLIMIT_FSIZE), or auto: tmpfs where it can be mounted
    seed: int
    seconds: float  # of trouble
    rate: float  # tasks a second, of all clients together

    @property
    def is_safe(self) -> bool:
        """Whether this policy promises that nothing acknowledged is lost in this run."""
        return self.policy != "none"


@dataclass(slots=True)
class Report:
    """What came of a run."""

    options: Options
    verdict: Verdict
    kinds: dict[str, int]
    kills: dict[str, int]
    restarts_s: list[float]
    faults: list[str] = field(default_factory=list)
    agents_back_s: float = 0.0  # after the last restart, until all were there
    alarms: dict[str, int] = field(default_factory=dict)  # looks at STATUS that showed one, by kind

    @property
    def is_good(self) -> bool:
        """Nothing was wrong; without a journal: the harness saw the losses that must be."""
        if self.options.is_safe:
            return not self.faults and not self.verdict.faults()
        killed = self.kills.get("coordinator", 0)
        return not self.faults and (bool(self.verdict.lost) or not killed)

    def words(self) -> str:
        """What was wrong, for people; empty when nothing was."""
        return "\n".join([*self.faults, self.verdict.words()]).strip()

    def as_json(self) -> dict[str, object]:
        verdict = self.verdict
        return {
            "crash": "summary", "policy": self.options.policy, "seed": self.options.seed,
            "seconds": self.options.seconds, "kills": sum(self.kills.values()), "killed": self.kills,
            "troubles": self.kinds, "tasks": verdict.submitted, "acknowledged": verdict.acked,
            "ended": verdict.ended, "lost": len(verdict.lost), "changed": len(verdict.changed),
            "repeated_once": len(verdict.repeated), "excused": verdict.excused,
            "duplicates": verdict.duplicates, "redelivered": verdict.redelivered,
            "alarms": self.alarms, "agents_back_s": round(self.agents_back_s, 3),
            "restarts": len(self.restarts_s), "restart_s_p50": _p50(self.restarts_s),
            "restart_s_max": round(max(self.restarts_s, default=0.0), 3),
            "faults": len(self.faults) + sum(map(len, verdict.faults().values())),
        }  # fmt: skip

    def summary(self) -> str:
        """The one line."""
        verdict = self.verdict
        killed = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        others = {k: v for k, v in sorted(self.kinds.items()) if not k.startswith("kill")}
        more = "".join(f" {kind.replace(' ', '_')}={count}" for kind, count in others.items())
        return (
            f"crash policy={self.options.policy} seed={self.options.seed} seconds={self.options.seconds:g} "
            f"kills={sum(self.kills.values())} ({killed}){more} tasks={verdict.submitted} acknowledged={verdict.acked} "
            f"lost={len(verdict.lost)} changed={len(verdict.changed)} excused={verdict.excused} "
            f"duplicates={verdict.duplicates} redelivered={verdict.redelivered} "
            f"restart_s p50={_p50(self.restarts_s):.2f} max={max(self.restarts_s, default=0.0):.2f} "
            f"agents_back_s={self.agents_back_s:.2f} "
            f"{'ok' if self.is_good else 'FAULTY'}"
        )


def _p50(values: list[float]) -> float:
    return round(statistics.median(values), 3) if values else 0.0


def _without(policy: str) -> frozenset[str]:
    """Troubles that this policy makes no promise about."""
    if policy == "none":
        return frozenset(JOURNAL_KINDS)
    return frozenset({"power cut"}) if policy == "memory" else frozenset()


def _settings(options: Options, folder: Path, disk: Disk) -> dict[str, str]:
    """The coordinator's settings: small segments, so that they roll and are compacted during the run."""
    if options.policy == "none":
        return {"GANGLION_JOURNAL_POLICY": "memory", "GANGLION_JOURNAL_DIR": "none"}
    return {
        "GANGLION_JOURNAL_POLICY": options.policy,
        "GANGLION_JOURNAL_SEGMENT_BYTES": str(2 << 20),
        "GANGLION_JOURNAL_COMPACT_BYTES": str(4 << 20),
        "LD_PRELOAD": str(build_notes(folder)),
        "CRASH_SYNCS": str(disk.notes),
        "CRASH_SYNC_US": str(SLOW_SYNC_US if disk.small else 0),
    }


def crash(options: Options, folder: Path, say: Callable[[str], None]) -> Report:
    """Run it. ``folder`` holds ledgers and logs afterwards."""
    folder.mkdir(exist_ok=True)
    sandbox = Sandbox()
    notes = folder / "syncs"
    make_notes(notes)
    small = options.disk != "limit" and mount_small(sandbox.names.state_base)
    disk = Disk(sandbox.names, notes, small)
    say(f"policy {options.policy}, seed {options.seed}, {folder}")
    say(f"a full disk is {'a small tmpfs, filled' if small else 'RLIMIT_FSIZE of the coordinator'}")
    env = _settings(options, folder, disk)
    cast = Cast(sandbox, folder, seed=options.seed, rate=options.rate, without="", env=env)
    storm = Storm(cast, disk, options.seed, say)
    has_journal, cuts = options.policy != "none", options.policy in ("group", "sync")
    try:
        storm.begin()
        storm.blow(troubles(options.seed, _without(options.policy)), options.seconds)
        say("calm")
        storm.calm(CALM_S)
        if has_journal:
            storm.ask_again(cut=cuts)
        storm.end()
        if has_journal:
            unreported = disk.unreported(cast.said(cast.coordinator))
            storm.faults += [f"batch {n} was damaged, and nobody said so" for n in unreported]
        storm.faults += [f"left behind: {left}" for left in sandbox.leftovers()]
    finally:
        if disk.folder.exists():
            shutil.copytree(disk.folder, folder / "state", dirs_exist_ok=True)
        if small:
            unmount(sandbox.names.state_base)
        sandbox.remove()
    told = read_told(cast.ledgers.glob("told.*"))
    verdict = compare(told, read_runs(cast.ledgers.glob("runs.*")), frozenset(disk.damaged))
    seconds = [one.seconds for one in storm.restarts if one.seconds is not None]
    return Report(
        options, verdict, dict(storm.kinds), dict(storm.kills), seconds, storm.faults,
        storm.agents_back_s, dict(storm.alarms.seen) if storm.alarms else {},
    )  # fmt: skip
