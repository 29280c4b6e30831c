"""What is done to the processes, and when: a plan drawn from one seed.

Owns: the kinds of trouble and their shares. Knows no processes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

POLICIES = ("none", "memory", "group", "sync")
PAUSE_S = 0.6, 1.8  # between two troubles, evenly; for 2 minutes: about a hundred
STOP_S = 0.2, 4.0  # how long a SIGSTOP lasts; longer than agent_timeout_ms for some
FULL_S = 0.5, 2.5  # how long the disk is full

# kind: its share. A kind the policy or the machine rules out is not drawn.
KINDS = {
    "kill coordinator": 32,
    "kill agent": 26,
    "kill client": 16,
    "stop agent": 9,
    "stop client": 5,
    "stop coordinator": 4,
    "full disk": 4,
    "power cut": 10,
    "bit flip": 4,
}
JOURNAL_KINDS = ("full disk", "power cut", "bit flip")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing to do, ``after_s`` seconds after the one before; ``seconds``: for how long, 0: at once."""

    after_s: float
    kind: str
    seconds: float


def troubles(seed: int, without: frozenset[str] = frozenset()) -> Iterator[Trouble]:
    """An endless plan, the same for the same seed and ``without``."""
    dice = random.Random(f"plan {seed}")
    kinds = [kind for kind in KINDS if kind not in without]
    shares = [KINDS[kind] for kind in kinds]
    while True:
        (kind,) = dice.choices(kinds, shares)
        span = STOP_S if kind.startswith("stop") else FULL_S if kind == "full disk" else (0.0, 0.0)
        yield Trouble(dice.uniform(*PAUSE_S), kind, dice.uniform(*span))
