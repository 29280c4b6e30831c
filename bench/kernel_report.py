"""docs/kernels.md from the records of one run of the kernel bench: what it measured, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HEAD = """\
# The kernels beside what people use

Written by `./run bench kernels --write docs/kernels.md`; do not edit. One run on one machine, one thread unless the
case says otherwise; medians of interleaved samples, through the public Python call. "Times" is how much faster than the
one it is held against; floor, target and stretch are the goals for it, and "roof" says that the floor is out of reach
because the call already runs at this machine's memory bandwidth. Other machines give other ratios: run it.
"""


def figure(value: float | None, digits: int = 3) -> str:
    """A number with that many significant digits, without an exponent where one can read it."""
    if value is None:
        return ""
    if value == 0 or 1e-2 <= abs(value) < 1e7:
        return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    return f"{value:.1e}"


def rows(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| case | Ganglion, us | others, us | times | floor / target / stretch | reached | of peak | largest error |"
    yield "| --- | ---: | --- | ---: | --- | --- | --- | --- |"
    for one in records:
        others = ", ".join(
            f"{name} {figure(us)}" for name, us in one["us"].items() if name != "ganglion"
        )
        goals = " / ".join(figure(one[name]) or "-" for name in ("floor", "target", "stretch"))
        share = f"{one['share']:.0%} of {one['peak']}" if one["share"] is not None else ""
        errors = ", ".join(
            f"{name} {error:.1e}" for name, error in one["errors"].items() if error is not None
        )
        budget = f" (published target {figure(one['budget_us'])})" if one["budget_us"] else ""
        times = f"{figure(one['ratio'])} x {one['against']}" if one["ratio"] is not None else ""
        asked = goals if one["floor"] is not None else ""
        cells = (
            one["case"] + (f"<br>{one['note']}" if one["note"] else ""),
            figure(one["us"]["ganglion"]) + budget,
            others,
            times,
            asked,
            one["reached"],
            share,
            errors,
        )
        yield "| " + " | ".join(cells) + " |"


def page(records: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The whole page."""
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    peaks = ", ".join(f"{name} {figure(limit, 4)}" for name, limit in machine["peaks"].items())
    parts = [
        HEAD,
        f"Machine: {machine['cpu']}, {machine['cores']} cores, level {machine['isa']}, Python {machine['python']}; "
        f"{libraries}; {machine['time']}.\n",
        f"One core's measured peaks (GFLOP/s for fma_f32 and bf16, GB/s else): {peaks}.\n",
    ]
    for family in dict.fromkeys(one["family"] for one in records):
        own = [one for one in records if one["family"] == family]
        parts.append(f"## {family}\n\n" + "\n".join(rows(own)) + "\n")
    return "\n".join(parts)


def write_page(path: Path, records: Sequence[dict[str, Any]], machine: dict[str, Any]) -> None:
    path.write_text(page(records, machine))
