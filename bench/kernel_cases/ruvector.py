"""Attention beside RuVector's native package, in Node as its users call it: 100 keys of 64 numbers, float32.

Looked for in build/bench/node_modules: `./run bench kernels --install` puts it there (needs npm).
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ganglion.kernels import attention
from kernel_cases.case import Case, Timed

HERE = Path(__file__).resolve().parent
HOME = HERE.parent.parent / "build" / "bench"
PACKAGE = "@ruvector/attention"
KEYS, WIDTH = 100, 64


def install() -> None:
    """Put the package where it is looked for. Raises RuntimeError with npm's words when that fails."""
    HOME.mkdir(parents=True, exist_ok=True)
    words = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(HOME), PACKAGE]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError("npm is not installed") from None
    if done.returncode:
        raise RuntimeError(f"npm could not install {PACKAGE}: {done.stderr.strip()[-400:]}")


class Node:
    """A Node process with the package loaded; asked for the time of one of its calls."""

    def __init__(self) -> None:
        self._node = subprocess.Popen(
            ["node", str(HERE / "ruvector.js"), str(HOME)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._node.kill)

    def seconds(self, what: str, loops: int) -> float:
        """Seconds a call. Raises RuntimeError when the process ended."""
        assert self._node.stdin
        assert self._node.stdout
        print(what, loops, file=self._node.stdin, flush=True)
        line = self._node.stdout.readline()
        if not line:
            raise RuntimeError(f"{PACKAGE} in Node ended with status {self._node.wait()}")
        return float(line) * 1e-6


def cases() -> Iterator[Case]:
    there = shutil.which("node") and (HOME / "node_modules" / PACKAGE).exists()
    node = Node() if there else None
    random = np.random.default_rng(0)
    queries, keys, values = (
        random.standard_normal((KEYS, WIDTH)).astype(np.float32) for _ in range(3)
    )
    one = np.ascontiguousarray(queries[:1])
    bound = attention.bind_sdpa(one, keys, values)

    def timed(what: str) -> dict[str, Timed]:
        return {"ruvector": Timed(lambda loops: node.seconds(what, loops))} if node else {}

    def case(
        name: str, what: str, ours: object, floor: float, target: float, note: str = ""
    ) -> Case:
        return Case(
            name,
            "ruvector",
            ours,  # type: ignore[arg-type]
            {**timed(what)},
            against="ruvector",
            floor=floor,
            target=target,
            note=note,
        )

    yield case("one query, 100 keys", "one", bound, 30, 50, "ours a bound handle")
    yield case("all 100 queries", "all", lambda: attention.sdpa(queries, keys, values), 150, 220)
    own = "theirs by its own timer inside Rust, ours a bound handle from Python"
    yield case("one query, its own timer", "rust", bound, 2, 4, own)
