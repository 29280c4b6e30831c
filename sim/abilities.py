"""What the core under test can do, asked of it: a simulator that is older or newer than the core stays of use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Abilities:
    """Which of the newer parts of the protocol this build has."""

    checkpoints: bool
    hello: bool  # the coordinator asks queues to register again
    leases: bool  # heartbeats carry a list of leases
    once: bool
    key: bool
    dup: bool
    limits: bool


def ask(lib: Any) -> Abilities:
    seam = hasattr(lib, "gn_core_checkpoint")
    return Abilities(seam, False, False, False, False, False, False)
