"""``ganglion sim``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganglion.clients.cli import exits
from ganglion.clients.cli.options import add_json, completes, positive

if TYPE_CHECKING:
    from ganglion.clients.cli.context import Context
    from ganglion.sim.plan import Plan
    from ganglion.sim.world import Result

HELP = """\
The real dispatch core and journal under a virtual clock, with simulated clients, agents,
links and disk: crashes, torn writes, flipped bits, lost and late messages, paused agents,
all from one seed. Needs no coordinator. A failing seed prints the promise that was broken
and the shortest replay found.

With --capacity, without faults: how much a set of agents can do, and how long tasks wait."""
EXAMPLES = """\
examples:
  ganglion sim --seeds 1000
  ganglion sim --seed 42 -v
  ganglion sim --seed 42 --replay shortest.json
  ganglion sim --capacity question.toml
"""
TRACE_LINES = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=positive, metavar="N", help="run N seeds, from --seed on (100)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="run this seed; with --seeds: the first"
    )
    completes(
        parser.add_argument("--replay", metavar="FILE", help="run what a failure printed"), "path"
    )
    completes(
        parser.add_argument("--save", metavar="FILE", help="write the shortest replay there"),
        "path",
    )
    completes(
        parser.add_argument(
            "--capacity", metavar="FILE", help="answer the question in this TOML file"
        ),
        "path",
    )
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (one a processor)")
    add_json(parser, "one JSON object about the run, on one line")


def run(args: argparse.Namespace, context: Context) -> int:
    if args.capacity is not None:
        return _capacity(args, context)
    if args.replay is not None:
        return _one(_read(args.replay), args, context)
    if args.seed is not None and args.seeds is None:
        from ganglion.sim.search import plan_of

        return _one(plan_of(args.seed), args, context)
    return _many(args, context)


def _capacity(args: argparse.Namespace, context: Context) -> int:
    from ganglion.sim.capacity import Capacity
    from ganglion.sim.report import lines
    from ganglion.sim.scenario import read

    try:
        capacity = Capacity(read(Path(args.capacity).read_text()))
        facts = capacity.run()
    except ValueError as error:
        raise exits.CommandError(f"{args.capacity}: {error}", exits.USAGE) from None
    if args.json:
        context.out.json(facts)
    else:
        for line in lines(facts, {name: times.waits for name, times in capacity.times.items()}):
            context.out.line(line)
    return exits.OK


def _read(name: str) -> Plan:
    from ganglion.sim.plan import Plan

    try:
        return Plan.from_json(Path(name).read_text())
    except ValueError as error:
        raise exits.CommandError(f"{name}: {error}", exits.USAGE) from None


def _one(plan: Plan, args: argparse.Namespace, context: Context) -> int:
    from ganglion.sim.world import World

    world = World(plan, verbose=context.verbose > 0)
    result = world.run()
    if context.verbose:
        for line in world.told():
            context.note(line)
    if not result.invariant:
        _report(context, args, {"ok": True, **_facts(result)})
        return exits.OK
    return _failed(plan, result, args, context, small=args.replay is not None)


def _many(args: argparse.Namespace, context: Context) -> int:
    from dataclasses import asdict

    from ganglion.sim.search import Totals, plan_of, search

    count, first = args.seeds or 100, args.seed or 0
    with context.progress("seeds", count) as progress:

        def told(totals: Totals) -> None:
            progress.update(totals.seeds, f"{totals.crashes} crashes")

        totals, failures = search(first, count, args.jobs or 0, told)
    if failures:
        worst = min(failures, key=lambda result: result.seed)
        return _failed(plan_of(worst.seed), worst, args, context)
    _report(context, args, {"ok": True, "first": first, **asdict(totals)})
    return exits.OK


def _failed(
    plan: Plan, result: Result, args: argparse.Namespace, context: Context, small: bool = False
) -> int:
    """Say which promise was broken, and how little it takes."""
    from ganglion.sim.ledger import INVARIANTS
    from ganglion.sim.search import smallest

    before = plan
    if not small and result.invariant != "crash":
        context.note(f"seed {plan.seed} fails ({result.invariant}); looking for a shorter replay")
        plan, result = smallest(plan, result.invariant)
    if args.save:
        Path(args.save).write_text(plan.to_json())
    facts = {
        "ok": False, "promise": INVARIANTS[result.invariant], "invariant": result.invariant,
        "words": result.words, "items_before": len(before.items), "items": len(plan.items),
        "faults": plan.faults, **_facts(result),
    }  # fmt: skip
    if args.json:
        context.out.json({**facts, "replay": plan.to_json()})
        return exits.FAILED
    out = context.out
    out.line(f"seed {plan.seed}: broken: {INVARIANTS[result.invariant]} ({result.invariant})")
    out.line(f"  {result.words}")
    sizes = (
        f"{len(plan.items)} of {len(before.items)} items, {plan.tasks} tasks, {plan.faults} faults"
    )
    out.line(f"  the shortest replay found: {sizes}, {result.steps} steps")
    for line in result.trace[-TRACE_LINES:]:
        out.line(f"  {line}")
    out.line("")
    out.write(plan.to_json().encode())
    again = args.save or "FILE (the text above)"
    context.note(f"again: ganglion sim --seed {plan.seed} --replay {again}")
    return exits.FAILED


def _facts(result: Result) -> dict[str, Any]:
    return {
        "seed": result.seed, "steps": result.steps, "tasks": result.tasks,
        "crashes": result.crashes, "virtual_s": result.virtual_us / 1e6, "counts": result.counts,
    }  # fmt: skip


def _report(context: Context, args: argparse.Namespace, facts: dict[str, Any]) -> None:
    if args.json:
        context.out.json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {count}" for key, count in value.items())
        elif isinstance(value, float):
            value = f"{value:.1f}"
        context.out.line(f"{name:<12}{value}")
