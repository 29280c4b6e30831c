"""The comparison at the end: what clients were promised and told against what agents ran.

Owns: the rules. Knows no processes and no files: ledgers as they were read come in, a verdict goes out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from crash.kinds import is_as_ordered
from crash.ledger import Order, Run, Told

LOST_ONCE = ("once", "agent_gone", "lease")  # how a task ends that may not be handed out again
SHOWN = 5  # examples of each fault in the words


@dataclass(slots=True)
class Verdict:
    """What the ledgers say. Tasks by name; counts in tasks."""

    submitted: int = 0
    acked: int = 0
    ended: int = 0
    duplicates: int = (
        0  # runs beyond the first of a task at an action, but those that failed by design
    )
    redelivered: int = 0  # outcomes told more than once
    lost: list[str] = field(default_factory=list)  # acknowledged, and no result
    changed: list[str] = field(default_factory=list)  # two different results were told
    foreign: list[str] = field(
        default_factory=list
    )  # a result that no run gave, or of other content
    repeated: list[str] = field(default_factory=list)  # once=1, and started twice
    given_up: list[str] = field(default_factory=list)  # buried or cancelled without a cause
    other: list[str] = field(default_factory=list)  # what clients called a fault, in words
    excused: int = 0  # lost or changed where damage was done to the journal on purpose

    def faults(self) -> dict[str, list[str]]:
        """What may not be, by its name; empty when all is well."""
        named = {
            "lost": self.lost,
            "changed": self.changed,
            "foreign": self.foreign,
            "repeated": self.repeated,
            "given up": self.given_up,
            "other": self.other,
        }
        return {name: found for name, found in named.items() if found}

    def words(self) -> str:
        """The faults with a few examples of each, one a line."""
        return "\n".join(
            f"{name}: {len(found)}, such as {', '.join(found[:SHOWN])}"
            for name, found in self.faults().items()
        )


def compare(told: Told, runs: Iterable[Run], damaged: frozenset[str] = frozenset()) -> Verdict:
    """Hold what clients were told against what agents ran.

    Args:
        damaged: tasks whose lines in the journal were destroyed on purpose; they, and tasks that wait for
            them, may be missing or have another result.
    """
    started: Counter[tuple[str, str]] = Counter()
    by_design: Counter[tuple[str, str]] = Counter()
    known: dict[str, set[str]] = {}
    for run in runs:
        started[run.task, run.action] += 1
        by_design[run.task, run.action] += run.by_design
        known.setdefault(run.task, set()).add(run.run)
    verdict = Verdict(len(told.orders), len(told.acked), len(told.endings))
    verdict.duplicates = sum(max(0, count - 1 - by_design[key]) for key, count in started.items())
    verdict.redelivered = told.deliveries - sum(map(len, told.endings.values()))
    verdict.other = [*told.faults, *_orphans(told, known)]
    for task in sorted(told.acked | set(told.endings)):
        endings = told.endings.get(task, set())
        if _is_damaged(told, task, damaged):
            verdict.excused += len(endings) != 1 or task in told.lost
            continue
        if not endings or task in told.lost:
            verdict.lost.append(f"{task} ({told.unfinished.get(task, 'unknown there')})")
        if len(endings) > 1:
            verdict.changed.append(f"{task} ({' | '.join(sorted(endings))})")
        for ending in endings:
            _judge(verdict, told, task, ending, known.get(task, set()))
    for (task, action), count in sorted(started.items()):
        order = told.orders.get(task)
        if order is not None and order.kind == "once" and count > 1:
            verdict.repeated.append(f"{task} ({count} starts at {action})")
    return verdict


def _judge(verdict: Verdict, told: Told, task: str, ending: str, known: set[str]) -> None:
    """Whether this ending is one that this task can have had."""
    state, _, value = ending.partition(" ")
    order = told.orders.get(task)
    if order is None:
        verdict.foreign.append(f"{task} (never submitted)")
    elif state == "done":
        content, _, run = value.partition("/")
        if run not in known or not is_as_ordered(task, order, content):
            verdict.foreign.append(f"{task} ({ending})")
    elif not _has_cause(told, order, value):
        verdict.given_up.append(f"{task} ({ending})")


def _has_cause(told: Told, order: Order, reason: str) -> bool:
    """Whether a task that was not done could not be: it may not be tried again, or what it waits for was given up."""
    if order.kind == "once":
        return reason in LOST_ONCE
    if order.kind == "after" and reason == "after":
        endings = told.endings.get(order.argument, set())
        return bool(endings) and not any(ending.startswith("done ") for ending in endings)
    return False


def _is_damaged(told: Told, task: str, damaged: frozenset[str]) -> bool:
    """Whether this task, or one it waits for, was in what was destroyed."""
    while task:
        if task in damaged:
            return True
        order = told.orders.get(task)
        task = order.argument if order is not None and order.kind == "after" else ""
    return False


def _orphans(told: Told, known: dict[str, set[str]]) -> list[str]:
    """Tasks that ran and that no client wrote down before."""
    return [f"{task} ran and was never submitted" for task in sorted(set(known) - set(told.orders))]
