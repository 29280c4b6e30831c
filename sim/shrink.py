"""A failing run, made smaller: fewer faults, fewer tasks, plainer parameters, as long as the same promise breaks.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over the items of the
plan, then over the parameters of what is left. Because every choice is a function of what it is about (chance.py), an
item can go without the others changing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganglion.sim.plan import Item, Plan

RUNS_MAX = 600
Fails = Callable[[Plan], bool]


class _Budget:
    def __init__(self, fails: Fails, runs: int) -> None:
        self.fails, self.left = fails, runs

    def __call__(self, plan: Plan) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        return self.fails(plan)


def shrink(plan: Plan, fails: Fails, runs: int = RUNS_MAX) -> Plan:
    """The smallest plan found for which ``fails`` still holds, in at most so many runs."""
    test = _Budget(fails, runs)
    before = -1
    while before != len(plan.items) and test.left > 0:
        before = len(plan.items)
        plan = _fewer_items(plan, test)
    plan = _fewer_peers(plan, test)
    return _plainer(plan, test)


def _fewer_items(plan: Plan, test: _Budget) -> Plan:
    """ddmin: take out a half, a quarter, an eighth, ... of the items wherever that still fails."""
    items, size = plan.items, max(1, len(plan.items) // 2)
    while items and test.left > 0:
        at, found = 0, False
        while at < len(items):
            less = _consistent(items[:at] + items[at + size :])
            if len(less) < len(items) and test(plan.with_items(less)):
                items, found = less, True
            else:
                at += size
        if size == 1 and not found:
            break
        size = max(1, size // 2) if not found else min(size, max(1, len(items) // 2))
    return plan.with_items(items)


def _consistent(items: list[Item]) -> list[Item]:
    """Without tasks nobody submits: what waits for one of them waits for one less."""
    names = {item["name"] for item in items if item["do"] == "task"}
    kept: list[Item] = []
    for item in items:
        after = item.get("params", {}).get("after")
        if after:
            left = [name for name in after.split(",") if name in names]
            if len(left) < len(after.split(",")):
                params = {k: v for k, v in item["params"].items() if k != "after"}
                item = dict(item, params=dict(params, after=",".join(left)) if left else params)
        kept.append(item)
    return kept


def _fewer_peers(plan: Plan, test: _Budget) -> Plan:
    """Take away agents and clients from the end that nothing names."""
    for key, names in (("agents", ("agent",)), ("clients", ("client",))):
        while len(plan.settings[key]) > 1:
            last = len(plan.settings[key]) - 1
            if any(_names(item, names, last, key) for item in plan.items):
                break
            less = Plan(
                plan.seed, dict(plan.settings, **{key: plan.settings[key][:-1]}), plan.items
            )
            if not test(less):
                break
            plan = less
    return plan


def _names(item: Item, keys: tuple[str, ...], number: int, side: str) -> bool:
    if item["do"] == "cut":
        return bool(item["side"] == side[:-1] and item["who"] == number)
    return any(item.get(key) == number for key in keys)


def _plainer(plan: Plan, test: _Budget) -> Plan:
    """Without each parameter that does not matter, and with short payloads."""
    for at, item in enumerate(plan.items):
        if item["do"] != "task":
            continue
        for name in list(item["params"]):
            less: dict[str, Any] = {k: v for k, v in plan.items[at]["params"].items() if k != name}
            plan = _try(plan, at, dict(plan.items[at], params=less), test)
        plan = _try(plan, at, dict(plan.items[at], payload="x"), test)
    return plan


def _try(plan: Plan, at: int, item: Item, test: _Budget) -> Plan:
    other = plan.with_items([*plan.items[:at], item, *plan.items[at + 1 :]])
    return other if test(other) else plan
