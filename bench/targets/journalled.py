"""Ganglion under each policy of its journal: the same programs as targets/ganglion.py, one coordinator a policy.

The journal lies in the run's temporary folder: TMPDIR chooses the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from targets.ganglion import Ganglion


@dataclass(frozen=True, slots=True)
class Counts:
    """What a coordinator has done since it was started."""

    written: int  # bytes given to write(2) and its like; over queues that is the journal
    syncs: int


class Journalled(Ganglion):
    """A coordinator under one policy."""

    def counts(self) -> Counts:
        """Bytes as the kernel counts them (proc_pid_io(5)), syncs as the coordinator does."""
        io = Path(f"/proc/{self.coordinator_pid}/io").read_text()
        written = next(int(one[6:]) for one in io.splitlines() if one.startswith("wchar:"))
        journal = self.client.status().get("journal_state", {})
        syncs = journal.get("syncs", 0) if isinstance(journal, dict) else 0
        return Counts(written, int(syncs))


class NoJournal(Journalled):
    """Tasks in memory only."""

    name = "none"


class Memory(Journalled):
    """Written, never synced."""

    name = "memory"
    settings = {"GANGLION_JOURNAL_POLICY": "memory", "GANGLION_JOURNAL_DIR": ""}  # noqa: RUF012


class Group(Journalled):
    """One sync for all that came within 5 ms."""

    name = "group"
    settings = {"GANGLION_JOURNAL_POLICY": "group", "GANGLION_JOURNAL_DIR": ""}  # noqa: RUF012


class Sync(Journalled):
    """Synced as soon as something is written."""

    name = "sync"
    settings = {"GANGLION_JOURNAL_POLICY": "sync", "GANGLION_JOURNAL_DIR": ""}  # noqa: RUF012


TARGETS = (NoJournal, Memory, Group, Sync)
TARGET = NoJournal
