"""What the calls of `ganglion.kernels.graphs` share: a checked graph, a checked call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    I32,
    SIZE_MAX,
    U8,
    Array,
    aligned,
    array,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import Bound, Pool, call, check
from ganglion.kernels._kernels import ffi

_NULL = ffi.NULL


class Job:
    """A checked call: run once with this thread's scratch, or bound with its own."""

    __slots__ = ("after", "before", "function", "graph", "inputs", "name", "out", "size", "threads")

    def __init__(
        self, name: str, function: Callable[..., int], graph: tuple[Array, Array], inputs: list[Array | None],
        before: tuple[Any, ...], after: tuple[Any, ...], out: Array, size: int | None, threads: int | Pool | None,
    ) -> None:  # fmt: skip
        """before: C's arguments up to the first output; after: from there to the scratch (a size of None: it has
        none) and the pool (threads None: none)."""
        if size == SIZE_MAX:
            raise ValueError(f"{name}: sizes are too large")
        self.name, self.function, self.graph, self.inputs = name, function, graph, inputs
        self.before, self.after, self.out, self.size, self.threads = (
            before,
            after,
            out,
            size,
            threads,
        )

    def run(self) -> Array:
        arguments = (*self.before, *self.after)
        if self.size is not None:
            arguments = (*arguments, scratch(self.size))
        try:
            if self.threads is None:
                check(self.function(*arguments), self.name)
            else:
                call(self.name, self.threads, self.function, *arguments)
        except ValueError:
            explain_graph(*self.graph)
            raise
        return self.out

    def bind(self) -> Bound[Array]:
        arguments, room = (*self.before, *self.after), None
        if self.size is not None:
            room = aligned(self.size, U8)
            arguments = (*arguments, ffi.from_buffer(room))
        return Bound(
            self.name,
            self.threads,
            self.function,
            arguments,
            self.out,
            (self.graph, self.inputs, room),
        )


def explain_graph(starts: Array, targets: Array) -> None:
    """Which of the two is wrong; only looked for after a failure."""
    if starts[0] != 0 or starts[-1] != targets.size or (np.diff(starts) < 0).any():
        raise ValueError(f"starts: does not rise from 0 to {targets.size}, the size of targets")
    if targets.size and not (targets.min() >= 0 and targets.max() < starts.size - 1):
        raise ValueError(f"targets: an entry is not a node (0..{starts.size - 2})")


def graph_of(starts: Any, targets: Any) -> tuple[Array, Array]:
    starts, targets = array(starts, "starts", I32, 1), array(targets, "targets", I32, 1)
    if not starts.size:
        raise ValueError("starts: empty; a graph without nodes has [0]")
    return starts, targets


def maybe(value: Any, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array | None:
    return None if value is None else shaped(array(value, name, dtype), name, shape)


def at(value: Array | None) -> Any:
    return _NULL if value is None else pointer(value)


def out_of(
    out: Any, shape: tuple[int, ...], inputs: list[Array | None], name: str = "out"
) -> Array:
    return out_array(
        out, name, shape, F32, [] if out is None else [one for one in inputs if one is not None]
    )
