"""How long things take: the distributions a capacity question can name."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

Draw = Callable[[], float]
KINDS = ("constant", "exponential", "lognormal", "list")


def distribution(raw: Mapping[str, Any], seed: str) -> tuple[Draw, float]:
    """A source of milliseconds, and its mean.

    ``{kind = "constant", ms = 20}``, ``{kind = "exponential", ms = 20}``, ``{kind = "lognormal", ms = 20, cv = 0.5}``
    (mean and coefficient of variation), ``{kind = "list", values = [18, 22, 40]}`` (measured values, each as likely).
    Raises ValueError for anything else.
    """
    source = random.Random(seed)
    kind = raw.get("kind", "constant")
    if kind == "list":
        values = [_positive(value, "values") for value in raw.get("values", ())]
        if not values:
            raise ValueError("a list of service times needs values")
        return (lambda: source.choice(values)), sum(values) / len(values)
    mean = _positive(raw.get("ms"), "ms")
    if kind == "constant":
        return (lambda: mean), mean
    if kind == "exponential":
        return (lambda: source.expovariate(1.0 / mean) if mean > 0 else 0.0), mean
    if kind == "lognormal":
        cv = _positive(raw.get("cv", 1.0), "cv")
        sigma2 = math.log(1.0 + cv * cv)
        mu, sigma = math.log(mean) - sigma2 / 2 if mean > 0 else -math.inf, math.sqrt(sigma2)
        return (lambda: source.lognormvariate(mu, sigma) if mean > 0 else 0.0), mean
    raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise ValueError(f"{name} is a number of 0 or more, not {value!r}")
    return float(value)


def erlang_c(servers: int, offered: float) -> float:
    """The part of arrivals that must wait in M/M/c; ``offered`` is arrival rate times mean service time.

    A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone
    exchanges" (1917); computed by the recursion of the Erlang B formula, which does not overflow. Raises ValueError
    when the servers cannot keep up.
    """
    if not 0 < offered < servers:
        raise ValueError("the offered load is over 0 and below the number of servers")
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked / (1.0 - offered / servers * (1.0 - blocked))
