"""What the core under test can do, asked of it in the protocol: the workload uses what there is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ganglion.sim.native import STREAM, Core, Native


@dataclass(frozen=True)
class Abilities:
    """Which of the newer parts of the protocol this build has."""

    checkpoints: bool
    leases: bool  # heartbeats carry a list of leases
    once: bool
    key: bool
    dup: bool
    limits: bool
    schedules: bool

    @property
    def hello(self) -> bool:
        """A coordinator that begins asks all queues to register again."""
        return self.leases


class _Talk:
    """A few lines with a core of its own."""

    def __init__(self, native: Native) -> None:
        self.core = Core(native, {"tasks_max": 16, "peers_max": 4, "links_max": 4})
        self.link = self.core.open(1, STREAM)

    def say(self, line: str) -> str:
        self.core.feed(1, self.link, line.encode() + b"\n", False)
        number, _ = self.core.seal()
        if number:
            self.core.committed(number)
        text = self.core.output(self.link, 1 << 20)
        self.core.sent(1, self.link, len(text))
        return text.decode()

    def knows(self, line: str) -> bool:
        return "unknown_verb" not in self.say(line)


@lru_cache
def ask(native: Native) -> Abilities:
    """Ask a build what it can do."""
    talk = _Talk(native)
    talk.say('CONTROL:REGISTER:a:{"actions":["B"]}')
    talk.say("DATA:A:d1;dup=reject:x")
    dup = "exists" in talk.say("DATA:A:d1;dup=reject:x")
    token = talk.say("DATA:B:o1;once=1:x").partition(";token=")[2].split(":")[0]
    talk.say(f"RESPONSE:TASK_FAILED:o1;token={token}:x")
    view = talk.core.task("o1")
    return Abilities(
        checkpoints=hasattr(native.lib, "gn_core_checkpoint"),
        leases="bad_payload" in talk.say("CONTROL:HEARTBEAT:a:no list"),
        once=view is not None and view.state == "buried",
        key="keys" in talk.core.gauges,
        dup=dup,
        limits=talk.knows("CONTROL:LIMITS:r"),
        schedules=talk.knows("CONTROL:SCHEDULES:r"),
    )
