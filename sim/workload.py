"""A plan from a seed: settings, tasks, what is done to them, and faults.

Every feature is on in some runs and off in others, so that rare pairs of them meet often: each has in ``FEATURES`` how
often a run has it, and how often a task of such a run has it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ganglion.sim.abilities import Abilities
from ganglion.sim.chance import Chance
from ganglion.sim.coordinator import PHASES
from ganglion.sim.plan import Item, Plan

ACTIONS = ("ALPHA", "BETA", "GAMMA")


class Feature(NamedTuple):
    run: float  # part of the runs that have it
    task: float  # part of the tasks, in those; of faults and requests: how many in a run at most
    needs: str = ""  # the ability of the core without which it is off


FEATURES: dict[str, Feature] = {
    # of a submission
    "prio": Feature(0.5, 0.4),
    "delay": Feature(0.4, 0.2),
    "ttl": Feature(0.3, 0.15),
    "after": Feature(0.5, 0.3),
    "via": Feature(0.4, 0.25),
    "tries": Feature(0.4, 0.3),
    "lease": Feature(0.3, 0.3),
    "keep": Feature(0.2, 0.2),
    "quiet": Feature(0.3, 0.15),
    "trace": Feature(0.3, 0.3),
    "len": Feature(0.3, 0.3),
    "twice": Feature(0.4, 0.1),
    "once": Feature(0.4, 0.3, "once"),
    "key": Feature(0.4, 0.5, "key"),
    "label": Feature(0.4, 0.5, "limits"),
    "retry": Feature(0.3, 0.3, "dup"),
    "dup": Feature(0.3, 0.2, "dup"),
    "needs": Feature(0.5, 0.5, "dup"),
    "small tables": Feature(0.15, 1, "checkpoints"),
    # requests of the operator
    "cancel": Feature(0.4, 8),
    "kick": Feature(0.4, 8),
    "pause": Feature(0.3, 2),
    "look": Feature(0.3, 6),
    "limit": Feature(0.4, 4, "limits"),
    # faults
    "crash": Feature(0.8, 4),
    "flip": Feature(0.25, 2),
    "agent_crash": Feature(0.6, 4),
    "agent_pause": Feature(0.5, 3),
    "cut": Feature(0.6, 6),
    "weather": Feature(0.5, 3),
    "jump": Feature(0.3, 2),
    "slow_disk": Feature(0.3, 2),
    "full_disk": Feature(0.25, 1, "checkpoints"),
}


class _Maker:
    """One plan in the making."""

    def __init__(self, seed: int, abilities: Abilities) -> None:
        self.seed = seed
        self.chance = Chance(seed)
        self.on = {
            name
            for name, feature in FEATURES.items()
            if (not feature.needs or getattr(abilities, feature.needs))
            and self.chance.yes(feature.run, "feature", name)
        }
        self.items: list[Item] = []

    def has(self, name: str, *what: object) -> bool:
        return name in self.on and self.chance.yes(FEATURES[name].task, "has", name, *what)

    def few(self, name: str) -> range:
        """0 to the feature's number of times."""
        if name not in self.on:
            return range(0)
        return range(self.chance.between(1, int(FEATURES[name].task), "few", name))

    # ---- settings -----------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        chance = self.chance
        kinds = ("stream", "queue")
        agents = chance.between(1, 4, "agents")
        served: list[dict[str, Any]] = []
        for n in range(agents):
            actions = [a for a in ACTIONS if n == 0 or chance.yes(0.6, "serves", n, a)]
            slots = chance.between(1, 4, "slots", n)
            kind = chance.one(kinds, "agent kind", n)
            served.append({"kind": kind, "slots": slots, "actions": actions or [ACTIONS[0]]})
        return {
            "policy": chance.one(("group", "group", "sync", "memory"), "policy"),
            "group_ms": 5,
            "segment_bytes": chance.one((2048, 16384, 1 << 20), "segment"),
            "compact_bytes": chance.one((4096, 32768, 1 << 20), "compact"),
            "core": self.core(),
            "agents": served,
            "clients": [
                chance.one(kinds, "client kind", n) for n in range(chance.between(1, 4, "clients"))
            ],
            "until_ms": chance.one((3_000, 8_000, 20_000), "until"),
            "features": sorted(self.on),
        }

    def core(self) -> dict[str, int]:
        chance = self.chance
        small = "small tables" in self.on
        return {
            "tasks_max": chance.between(8, 40, "tasks_max") if small else 4096,
            "results_max": chance.between(4, 20, "results_max") if small else 4096,
            "actions_max": 8,
            "peers_max": 16,
            "links_max": 64,
            "watches_max": 4096,
            "edges_max": 1024,
            "bytes_max": 1 << 20,
            "out_bytes_max": 16384 if chance.yes(0.2, "small output") else 1 << 20,
            "lease_ms": chance.one((800, 3_000), "lease"),
            "backoff_ms": 50,
            "backoff_ms_max": 400,
            "heartbeat_ms": 300,
            "agent_timeout_ms": 2_000,
            "cancel_grace_ms": 700,
            "keep_ms": 3_600_000,
            "keep_buried_ms": 1_500 if small else 0,  # buried tasks never make room
        }

    # ---- tasks ----------------------------------------------------------------------------------

    def tasks(self, count: int, until: int, clients: int) -> None:
        chance = self.chance
        burst = chance.yes(0.3, "burst")
        for n in range(count):
            at = chance.between(0, until // (10 if burst else 1), "at", n)
            self.items.append(
                {
                    "do": "task", "at": at, "client": chance.between(0, clients - 1, "client", n),
                    "name": f"t{n}", "action": chance.one(ACTIONS, "action", n),
                    "params": self.params(n, at), "payload": self.payload(n),
                }
            )  # fmt: skip
            if self.has("twice", n):
                self.items.append(
                    {"do": "again", "at": at + chance.between(0, 200, "then", n), "name": f"t{n}"}
                )

    def payload(self, n: int) -> str:
        text = f"payload of {n} " + "x" * self.chance.between(0, 200, "size", n)
        return text + "\nand a line" if self.has("len", n) else text

    def params(self, n: int, at: int) -> dict[str, str]:
        chance, params = self.chance, dict[str, str]()
        numbers = {
            "prio": (0, 9), "delay": (1, 2_000), "ttl": (200, 8_000), "tries": (1, 4),
            "lease": (300, 4_000), "keep": (1_800_000, 7_200_000),
        }  # fmt: skip
        for name, (low, high) in numbers.items():
            if self.has(name, n):
                params[name] = str(chance.between(low, high, name, n))
        if self.has("quiet", n):
            params["ack"] = "0"
        if self.has("trace", n):
            params["trace"] = "1"
        if self.has("via", n):
            count = chance.between(1, 3, "legs", n)
            params["via"] = ",".join(chance.one(ACTIONS, "leg", n, leg) for leg in range(count))
        if n > 0 and self.has("after", n):
            count = min(n, chance.between(1, 3, "waits", n))
            names = {f"t{chance.between(max(0, n - 12), n - 1, 'for', n, i)}" for i in range(count)}
            params["after"] = ",".join(sorted(names))
            if self.has("needs", n):
                params["needs"] = chance.one(("all", "ended", "any"), "needs", n)
        self.newer(n, params)
        return params

    def newer(self, n: int, params: dict[str, str]) -> None:
        """Parameters that a core may not know yet."""
        chance = self.chance
        if self.has("once", n):
            params["once"] = "1"
        if self.has("key", n):
            params["key"] = f"k{chance.between(1, 3, 'key', n)}"
        if self.has("label", n):
            params["label"] = ",".join(
                sorted({f"l{chance.between(1, 3, 'label', n, i)}" for i in range(2)})
            )
        if self.has("retry", n):
            params["retry"] = (
                f"{chance.between(1, 100, 'retry', n)},{chance.between(50, 600, 'r2', n)}"
            )
        if self.has("dup", n):
            params["dup"] = chance.one(("existing", "reject"), "dup", n)

    # ---- requests and faults ----------------------------------------------------------------------

    def requests(self, count: int, until: int) -> None:
        chance = self.chance
        for do in ("cancel", "kick", "look"):
            for n in self.few(do):
                name = f"t{chance.between(0, count - 1, do, n)}"
                self.items.append(
                    {"do": do, "at": chance.between(50, until, do, "at", n), "name": name}
                )
        for n in self.few("pause"):
            self.items.append(
                {
                    "do": "pause", "at": chance.between(0, until, "pause", n),
                    "action": chance.one(ACTIONS, "paused", n), "for": chance.between(50, 3_000, "for", n),
                }
            )  # fmt: skip

    def limits(self, until: int) -> None:
        """Some are set early, some changed or taken away later."""
        chance = self.chance
        for n in self.few("limit"):
            kind = chance.one(("action", "label", "label", "sender"), "limit kind", n)
            names = {"action": ACTIONS, "label": ("l1", "l2", "l3"), "sender": ("c0", "c1")}[kind]
            limit: Item = {kind: chance.one(names, "limit name", n)}
            if chance.yes(0.6, "limit rate", n):
                limit["rate"] = chance.between(2, 40, "rate", n)
                limit["burst"] = chance.between(1, 5, "burst", n)
            if chance.yes(0.6, "limit running", n):
                limit["running"] = chance.between(1, 3, "running", n)
            at = 0 if chance.yes(0.5, "limit early", n) else chance.between(0, until, "limit at", n)
            self.items.append({"do": "limit", "at": at, "limit": limit})

    def crashes(self, until: int) -> None:
        chance = self.chance
        flips = len(self.few("flip"))
        for n in self.few("crash"):
            item: Item = {
                "do": "crash", "at": chance.between(0, until, "crash", n),
                "mode": chance.one(("kill", "power"), "mode", n),
                "phase": chance.one(PHASES, "phase", n),
                "down": chance.between(1, 1_500, "down", n),
            }  # fmt: skip
            if item["phase"] == "torn":
                item["part"] = round(chance.part("part", n), 4)
            if flips and chance.yes(0.5, "flip", n):
                item["flips"] = chance.between(1, flips, "flips", n)
            self.items.append(item)

    def faults(self, until: int, agents: int, clients: int) -> None:
        chance = self.chance
        self.crashes(until)
        for n in self.few("agent_crash"):
            self.items.append(
                {
                    "do": "agent_crash", "at": chance.between(0, until, "ac", n),
                    "agent": chance.between(0, agents - 1, "ac who", n),
                    "down": chance.between(1, 4_000, "ac down", n),
                }
            )  # fmt: skip
        for n in self.few("agent_pause"):
            self.items.append(
                {
                    "do": "agent_pause", "at": chance.between(0, until, "ap", n),
                    "agent": chance.between(0, agents - 1, "ap who", n),
                    "for": chance.between(100, 6_000, "ap for", n),
                }
            )  # fmt: skip
        for n in self.few("cut"):
            side = chance.one(("agent", "client"), "cut side", n)
            many = agents if side == "agent" else clients
            self.items.append(
                {
                    "do": "cut", "at": chance.between(0, until, "cut", n), "side": side,
                    "who": chance.between(0, many - 1, "cut who", n),
                }
            )  # fmt: skip
        for n in self.few("weather"):
            self.items.append(
                {
                    "do": "weather", "at": chance.between(0, until, "weather", n),
                    "for": chance.between(200, 4_000, "weather for", n),
                    "loss": round(0.3 * chance.part("loss", n), 3),
                    "twice": round(0.3 * chance.part("twice", n), 3),
                    "delay": chance.one((0, 20, 300), "late", n),
                }
            )  # fmt: skip
        self.host(until)

    def host(self, until: int) -> None:
        """Faults of the coordinator's host."""
        chance = self.chance
        for n in self.few("jump"):
            by = chance.one((-5_000, -300, 400, 3_000, 60_000), "jump by", n)
            self.items.append({"do": "jump", "at": chance.between(0, until, "jump", n), "by": by})
        for n in self.few("slow_disk"):
            self.items.append(
                {
                    "do": "slow_disk", "at": chance.between(0, until, "slow", n),
                    "for": chance.between(100, 3_000, "slow for", n), "by": chance.between(5, 400, "slow by", n),
                }
            )  # fmt: skip
        for n in self.few("full_disk"):
            self.items.append(
                {
                    "do": "full_disk", "at": chance.between(0, until, "full", n),
                    "for": chance.between(100, 4_000, "full for", n), "room": chance.between(0, 2_000, "room", n),
                }
            )  # fmt: skip


def make_plan(seed: int, abilities: Abilities) -> Plan:
    """All that is done in the run of this seed."""
    maker = _Maker(seed, abilities)
    settings = maker.settings()
    count, until = maker.chance.between(4, 60, "tasks"), settings["until_ms"]
    clients, agents = len(settings["clients"]), len(settings["agents"])
    maker.tasks(count, until, clients)
    maker.requests(count, until)
    maker.limits(until)
    maker.faults(until, agents, clients)
    maker.items.sort(key=lambda item: int(item["at"]))
    return Plan(seed, settings, maker.items)
