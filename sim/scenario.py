"""A capacity question as TOML: who serves, how long that takes, and what is asked of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AGENTS_MAX = 100_000
_COUNT = (1, AGENTS_MAX)


@dataclass(frozen=True)
class Group:
    """``count`` agents that are alike. ``service``: per action, a distribution (distributions.py)."""

    name: str
    count: int
    slots: int
    service: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Load:
    """Tasks of one action (and then those in ``via``): ``rate`` a second, or from ``clients`` who await each result."""

    action: str
    via: tuple[str, ...]
    rate: float
    clients: int
    think: dict[str, Any]
    payload_bytes: int
    prio: int


@dataclass(frozen=True)
class Costs:
    """Microseconds. A hop is one way between a peer and the coordinator; the others are the coordinator's own time."""

    hop_us: float = 40.0
    round_us: float = 5.0  # of each round of its loop
    message_us: float = 1.5  # of each message it reads or writes
    sync_us: float = 0.0  # until a batch of the journal is safe; 0: without a journal


@dataclass(frozen=True)
class Scenario:
    """All of a question."""

    agents: list[Group]
    load: list[Load]
    costs: Costs = field(default_factory=Costs)
    seconds: float = 60.0
    warmup: float = 5.0
    seed: int = 1
    heartbeat_ms: int = 1000


def read(text: str) -> Scenario:
    """Raises ValueError, with the place and what is wrong there."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(str(error)) from error
    _known(raw, "", ("agents", "load", "costs", "seconds", "warmup", "seed", "heartbeat_ms"))
    groups = [_group(one, n) for n, one in enumerate(_tables(raw, "agents"))]
    loads = [_load(one, n) for n, one in enumerate(_tables(raw, "load"))]
    served = {action for group in groups for action in group.service}
    for load in loads:
        for action in (load.action, *load.via):
            if action not in served:
                raise ValueError(f"load: no agent serves {action}")
    costs = raw.get("costs", {})
    _known(costs, "costs", tuple(Costs.__annotations__))
    return Scenario(
        groups,
        loads,
        Costs(**{key: _number(costs, key, "costs", 0.0) for key in costs}),
        _number(raw, "seconds", "", 60.0, low=0.001),
        _number(raw, "warmup", "", 5.0),
        int(_number(raw, "seed", "", 1)),
        int(_number(raw, "heartbeat_ms", "", 1000)),
    )


def _tables(raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = raw.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{key}: at least one [[{key}]] is needed")
    return found


def _known(raw: Mapping[str, Any], where: str, keys: tuple[str, ...]) -> None:
    for key in raw:
        if key not in keys:
            raise ValueError(f"{where or 'top'}: {key} is not known; there are: {', '.join(keys)}")


def _number(
    raw: Mapping[str, Any], key: str, where: str, default: float, low: float = 0.0
) -> float:
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value < 1e12:
        raise ValueError(
            f"{where}{'.' if where else ''}{key}: a number of {low:g} or more, not {value!r}"
        )
    return float(value)


def _group(raw: dict[str, Any], n: int) -> Group:
    where = f"agents[{n}]"
    _known(raw, where, ("name", "count", "slots", "service"))
    service = raw.get("service")
    if not isinstance(service, dict) or not service:
        raise ValueError(
            f'{where}.service: a table, e.g. service.EMBED = {{kind = "constant", ms = 20}}'
        )
    count = int(_number(raw, "count", where, 1, low=1))
    if count > AGENTS_MAX:
        raise ValueError(f"{where}.count: at most {AGENTS_MAX}")
    return Group(
        str(raw.get("name", f"g{n}")), count, int(_number(raw, "slots", where, 1, low=1)), service
    )


def _load(raw: dict[str, Any], n: int) -> Load:
    where = f"load[{n}]"
    _known(raw, where, ("action", "via", "rate", "clients", "think", "payload_bytes", "prio"))
    rate, clients = _number(raw, "rate", where, 0.0), int(_number(raw, "clients", where, 0))
    if (rate > 0) == (clients > 0):
        raise ValueError(
            f"{where}: either rate (tasks a second) or clients (each waits for its result)"
        )
    return Load(
        str(raw.get("action", "")), tuple(raw.get("via", ())), rate, clients,
        raw.get("think", {"kind": "constant", "ms": 0}),
        int(_number(raw, "payload_bytes", where, 64)), int(_number(raw, "prio", where, 4)),
    )  # fmt: skip
