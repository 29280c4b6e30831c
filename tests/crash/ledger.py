"""Ledgers: what clients and agents write down for themselves, and the harness reads at the end.

A ledger is a file of lines, each written by write(2) in append mode before its writer acts on it. SIGKILL
takes nothing that write(2) was given; at most it cuts the last write short, and a reader leaves out a
last line without its LF: what it would have said was not acted on. So no fsync: the machine stays up.
Every start of a program writes a file of its own (``<writer>.<start>``), so that a cut line stays the last.

Lines of a client, fields apart by one blank:

    S task kind argument    about to be submitted
    A task                  acknowledged
    R task ending value     a delivery of its outcome: done <digest>/<run>, buried <reason>, cancelled -
    J task code             rejected: not accepted, and why
    L task                  asked for an acknowledged task without a result: unknown there
    F words                 something that may not happen
    U task state            unfinished when the client gave up waiting

Lines of an agent, before the handler does anything: ``task action try token run``; ``run`` names this run and is
part of its result. A second word ``!`` behind it says that the handler fails by design.

Owns: the files' format. Knows no processes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


class Ledger:
    """A ledger to write. Not for two threads at once, unless each gives whole lines."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, lines: Iterable[str]) -> None:
        """Write these lines, whole, with one call."""
        data = "".join(f"{line}\n" for line in lines).encode()
        if data and os.write(self._fd, data) != len(data):
            raise OSError("a ledger's disk is full: nothing that follows can be trusted")


def read_lines(path: Path) -> list[list[str]]:
    """The fields of each whole line of a ledger."""
    text = path.read_bytes().decode()
    return [line.split(" ") for line in text[: text.rfind("\n") + 1].splitlines()]


def digest(payload: bytes) -> str:
    """What stands for a payload in a result."""
    return hashlib.sha1(payload, usedforsecurity=False).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class Order:
    """What was submitted under a name."""

    kind: str
    argument: str


@dataclass(slots=True)
class Told:
    """What clients wrote down, of one or of all."""

    orders: dict[str, Order] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    endings: dict[str, set[str]] = field(default_factory=dict)  # task: "ending value" of each kind
    deliveries: int = 0
    rejected: dict[str, str] = field(default_factory=dict)  # task: the last code
    lost: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    unfinished: dict[str, str] = field(default_factory=dict)

    def add(self, fields: list[str]) -> None:
        """Take one line in."""
        mark, task, *rest = fields
        if mark == "S":
            self.orders[task] = Order(rest[0], rest[1])
        elif mark == "A":
            self.acked.add(task)
        elif mark == "R":
            self.endings.setdefault(task, set()).add(" ".join(rest))
            self.deliveries += 1
        elif mark == "J":
            self.rejected[task] = rest[0]
        elif mark == "L":
            self.lost.add(task)
        elif mark == "U":
            self.unfinished[task] = " ".join(rest)
        else:
            self.faults.append(" ".join(fields[1:]))


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a handler."""

    task: str
    action: str
    attempt: int
    token: str
    run: str
    by_design: bool = False  # it fails on purpose: another run has to follow


def read_told(paths: Iterable[Path]) -> Told:
    """What the clients whose ledgers these are say together."""
    told = Told()
    for path in sorted(paths):
        for fields in read_lines(path):
            told.add(fields)
    return told


def read_runs(paths: Iterable[Path]) -> Iterator[Run]:
    """Every run that agents wrote down."""
    for path in sorted(paths):
        for task, action, attempt, token, run, *more in read_lines(path):
            yield Run(task, action, int(attempt or 1), token, run, bool(more))
