"""Every choice of a run, as a function of the seed and of what the choice is about.

There is no stream of random numbers: a choice is a hash of the seed and of words that name it. So a task
that is taken out of a run leaves the choices about the others as they were, which is what lets a
failing run be made smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import log
from typing import TypeVar

T = TypeVar("T")
_SCALE = 2.0**-64


class Chance:
    """The choices of one seed."""

    def __init__(self, seed: int) -> None:
        self._key = seed.to_bytes(8, "little", signed=seed < 0)

    def number(self, *what: object) -> int:
        """64 bits."""
        text = "\0".join(map(str, what)).encode()
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "little")

    def part(self, *what: object) -> float:
        """0 <= x < 1, evenly."""
        return self.number(*what) * _SCALE

    def yes(self, likely: float, *what: object) -> bool:
        """True with this probability."""
        return likely > 0 and self.part(*what) < likely

    def between(self, low: int, high: int, *what: object) -> int:
        """low <= n <= high, evenly."""
        return low + self.number(*what) % (high - low + 1)

    def one(self, choices: Sequence[T], *what: object) -> T:
        """One of them, each as likely as the others."""
        return choices[self.number(*what) % len(choices)]

    def exponential(self, mean: float, *what: object) -> float:
        """Exponentially distributed with this mean (inversion)."""
        return -mean * log(1.0 - self.part(*what))
