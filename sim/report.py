"""A capacity answer in words, with a chart of the waiting times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BAR = 40


def lines(facts: dict[str, Any], waits: dict[str, list[float]]) -> Iterator[str]:
    """What a person wants to know first stands first."""
    yield f"agents        {facts['agents']} with {facts['slots']} slots"
    yield f"offered       {facts['offered']:.1f} tasks/s"
    yield f"throughput    {facts['throughput']:.1f} tasks/s over {facts['seconds']:g} s"
    yield f"unfinished    {facts['unfinished']} at the end"
    yield f"coordinator   {facts['coordinator']:.1%} busy"
    for name, share in facts["utilisation"].items():
        yield f"{name:<14}{share:.1%} busy"
    yield ""
    keys = ("count", "mean", "p50", "p90", "p95", "p99", "max")
    yield "waiting, ms   " + "".join(f"{key:>10}" for key in keys)
    for action, row in facts["wait_ms"].items():
        yield f"{action:<14}" + "".join(_cell(row, key) for key in keys)
    yield "whole, ms     "
    for load, row in facts["whole_ms"].items():
        yield f"{load.partition(' ')[2]:<14}" + "".join(_cell(row, key) for key in keys)
    for action, values in waits.items():
        yield ""
        yield from chart(action, values)
    yield ""
    yield f"{facts['events']} events in {facts['wall_s']:.1f} s, {facts['events_per_s']:.0f} a second"


def _cell(row: dict[str, float], key: str) -> str:
    value = row.get(key)
    if value is None:
        return f"{'-':>10}"
    return f"{value:>10.0f}" if key == "count" else f"{value:>10.2f}"


def chart(action: str, values: list[float]) -> Iterator[str]:
    """How many tasks waited how long: bins that double."""
    yield f"{action} waited"
    edges, low = [0.1], 0.0
    while edges[-1] < max(values, default=0.0):
        edges.append(edges[-1] * 2)
    counts = [0] * len(edges)
    for value in values:
        counts[next(n for n, edge in enumerate(edges) if value <= edge)] += 1
    most = max(counts, default=0)
    for edge, count in zip(edges, counts, strict=True):
        if count:
            bar = "#" * max(1, round(BAR * count / most))
            yield f"{low:>9.1f} to {edge:>9.1f} ms  {bar:<{BAR}} {count / len(values):6.1%}"
        low = edge
