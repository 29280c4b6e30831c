"""What a case of the kernel bench is: our call, the calls of others on the same inputs, and what is asked of the ratio.

A family's module offers `cases() -> Iterator[Case]`. It makes the inputs of a case when the case is asked for, so that
the iterator holds one case's arrays at a time. A library that is not installed is left out of `others`
(`present("torch")` says whether it is). Every call is what a user would write: Python in, Python out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Call = Callable[[], object]


@dataclass(frozen=True)
class Timed:
    """A side that times itself, in another process: `seconds(loops)` gives the seconds of one call."""

    seconds: Callable[[int], float]


@dataclass(frozen=True)
class Case:
    """One line of the table.

    `floor`, `target`, `stretch`: times faster than `against` (one of `others`, or "best" of them), as medians' ratio.
    `flops`: the work of one call, for its share of this machine's measured peak (`peak`: fma_f32, bf16 or popcount of
    bench/c/peaks.c). `bytes`: what a call has to read and write; its share is of the load bandwidth of the nearest
    memory that holds so much here. Give the one that limits. `share_floor` asks for a part of it.
    `errors`: largest absolute error against float64 by name ("ganglion" and others'); `error_max` bounds ours,
    `error_times` bounds ours by that many times the error of `against`.
    `budget_us`: a published figure that one call is printed beside.
    `needs`: a level (`ganglion.kernels.isas()`) without which the case is reported as absent.
    """

    name: str
    family: str
    ours: Call
    others: dict[str, Call | Timed] = field(default_factory=dict)
    against: str = "best"
    floor: float | None = None
    target: float | None = None
    stretch: float | None = None
    flops: float | None = None
    bytes: float | None = None
    peak: str = "fma_f32"
    share_floor: float | None = None
    errors: Callable[[], dict[str, float]] | None = None
    error_max: float | None = None
    error_times: float | None = None
    budget_us: float | None = None
    needs: str | None = None
    note: str = ""


@cache
def present(module: str) -> bool:
    """Whether a library can be imported here."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def library(module: str) -> Any:
    """An installed library, with as many threads as a case wants: torch is held to one."""
    found = importlib.import_module(module)
    if module == "torch":
        found.set_num_threads(1)
        found.set_grad_enabled(False)
    return found
