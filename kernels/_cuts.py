"""Minimum cuts of graphs given as lists of edges; part of `ganglion.kernels.graphs`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ganglion.kernels._arrays import (
    F64,
    I32,
    SIZE_MAX,
    U8,
    Array,
    aligned,
    array,
    kept_room,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import Bound, check
from ganglion.kernels._kernels import ffi, lib

_NULL = ffi.NULL
WORK = ("kept", "flow", "search")


class Cut(NamedTuple):
    """A cut: its weight, and for each node whether it is on the other side than node 0 (or than the sink)."""

    value: float
    side: Array


def _count(value: Any, name: str, least: int = 0) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not least <= value < 2**31 - 2
    ):
        raise ValueError(f"{name}: {value!r} is not in {least}..{2**31 - 3}")
    return int(value)


def _room(size: int, name: str) -> int:
    if size == SIZE_MAX:
        raise ValueError(f"{name}: too large")
    return size


def _within(found: Array, name: str, nodes: int) -> None:
    if found.size and not (found.min() >= 0 and found.max() < nodes):
        raise ValueError(f"{name}: an entry is not a node (0..{nodes - 1})")


def _edges(
    sources: Any, targets: Any, weights: Any, nodes: int
) -> tuple[Array, Array, Array | None]:
    sources = array(sources, "sources", I32, 1)
    targets = shaped(array(targets, "targets", I32, 1), "targets", sources.shape)
    if weights is not None:
        weights = shaped(array(weights, "weights", F64, 1), "weights", sources.shape)
    return sources, targets, weights


def _explain(sources: Array, targets: Array, weights: Array | None, nodes: int) -> None:
    """Which argument a status stands for; only looked for when there is one."""
    _within(sources, "sources", nodes)
    _within(targets, "targets", nodes)
    if weights is not None and not ((weights >= 0) & (weights <= 1e298)).all():
        raise ValueError("weights: an entry is not in 0..1e298")


def st_min_cut(
    sources: Any,
    targets: Any,
    nodes: int,
    source: int,
    sink: int,
    *,
    weights: Any = None,
    directed: bool = False,
    out: Any = None,
) -> Cut:
    """The minimum cut between two nodes, which weighs what their maximum flow carries (Dinic 1970).

    sources, targets: int32 [edges], nodes; weights: float64 [edges] in 0..1e298, or None: all 1. directed: edges carry
    from source to target only. out: uint8 [nodes], takes `side`: 1 for the source's side, the smallest there is.
    Raises ValueError: a shape or dtype, an edge to no node, a weight out of range, source = sink.
    """
    nodes = _count(nodes, "nodes")
    source, sink = _count(source, "source"), _count(sink, "sink")
    if source >= nodes or sink >= nodes:
        raise ValueError(f"{'source' if source >= nodes else 'sink'}: not a node (0..{nodes - 1})")
    if source == sink:
        raise ValueError("sink: is the source")
    s, t, w = _edges(sources, targets, weights, nodes)
    side = out_array(out, "out", (nodes,), U8, [s, t] if w is None else [s, t, w])
    value = ffi.new("double *")
    size = _room(lib.gn_st_min_cut_scratch(nodes, s.size), "nodes")
    status = lib.gn_st_min_cut(
        pointer(s), pointer(t), _NULL if w is None else pointer(w), s.size, nodes, source, sink, bool(directed), value,
        pointer(side), scratch(size),
    )  # fmt: skip
    if status:
        _explain(s, t, w, nodes)
        check(status, "st_min_cut")
    return Cut(value[0], side)


def min_cut(sources: Any, targets: Any, nodes: int, *, weights: Any = None, out: Any = None) -> Cut:
    """The global minimum cut of an undirected graph, exact (see csrc/kernels/graphs/README.md for the search).

    sources, targets: int32 [edges], nodes, each undirected edge once (parallel edges add); weights: float64 [edges] in
    0..1e298, or None: all 1. out: uint8 [nodes], takes `side`. A graph in pieces has 0.
    Raises ValueError: a shape or dtype, an edge to no node, a weight out of range, nodes < 2.
    """
    nodes = _count(nodes, "nodes", 2)
    s, t, w = _edges(sources, targets, weights, nodes)
    side = out_array(out, "out", (nodes,), U8, [s, t] if w is None else [s, t, w])
    value = ffi.new("double *")
    status = lib.gn_min_cut(
        pointer(s), pointer(t), _NULL if w is None else pointer(w), s.size, nodes, value, pointer(side),
        scratch(_room(lib.gn_min_cut_scratch(nodes, s.size), "nodes")),
    )  # fmt: skip
    if status:
        _explain(s, t, w, nodes)
        check(status, "min_cut")
    return Cut(value[0], side)


def bind_min_cut(
    sources: Any, targets: Any, nodes: int, *, weights: Any = None, out: Any = None
) -> Bound[tuple[Array, Array]]:
    """`min_cut` to call again: `out` is (value, side), value a float64 array of one."""
    nodes = _count(nodes, "nodes", 2)
    s, t, w = _edges(sources, targets, weights, nodes)
    side = out_array(out, "out", (nodes,), U8, [s, t] if w is None else [s, t, w])
    value, room = np.zeros(1), aligned(_room(lib.gn_min_cut_scratch(nodes, s.size), "nodes"), U8)
    arguments = (
        pointer(s), pointer(t), _NULL if w is None else pointer(w), s.size, nodes, pointer(value), pointer(side),
        ffi.from_buffer(room),
    )  # fmt: skip
    return Bound("min_cut", None, lib.gn_min_cut, arguments, (value, side), (s, t, w, room))


class KeptCut:
    """A graph whose global minimum cut is kept while its edges change; exact after every change.

    `set` proves the known cut still minimal where it can, asks one bounded flow where that decides, and searches
    otherwise; csrc/kernels/graphs/README.md has the rules, bench/kernels.py what each costs as the graph grows. Not for
    two threads at once. Raises ValueError: fewer than 2 nodes, edges_max too large.
    """

    def __init__(self, nodes: int, edges_max: int) -> None:
        self.nodes, self.edges_max = _count(nodes, "nodes", 2), _count(edges_max, "edges_max")
        size = _room(lib.gn_cut_state_bytes(self.nodes, self.edges_max), "edges_max")
        self._state = kept_room(size)
        self._scratch = _room(lib.gn_cut_scratch(self.nodes, self.edges_max), "edges_max")
        self._work, self._value = ffi.new("int *"), ffi.new("double *")
        check(lib.gn_cut_open(self._state, self.nodes, self.edges_max), "nodes")

    def load(self, sources: Any, targets: Any, weights: Any = None) -> None:
        """Add edges, as `min_cut` takes them, and search once. Raises ValueError as it does, or for want of room."""
        s, t, w = _edges(sources, targets, weights, self.nodes)
        status = lib.gn_cut_load(
            self._state,
            pointer(s),
            pointer(t),
            _NULL if w is None else pointer(w),
            s.size,
            scratch(self._scratch),
        )
        if status == lib.GN_K_SIZE:
            raise ValueError(
                f"sources: no room for {s.size} more edges (edges_max {self.edges_max})"
            )
        if status:
            _explain(s, t, w, self.nodes)
            check(status, "load")

    def set(self, u: int, v: int, weight: float) -> str:
        """Give the edge u, v that weight; 0 removes it. What it took: "kept", "flow" or "search".

        Raises ValueError: u or v is no node or they are one, a weight not in 0..1e298, no room for another edge.
        """
        if not 0 <= u < self.nodes:
            raise ValueError(f"u: {u!r} is not a node (0..{self.nodes - 1})")
        if not 0 <= v < self.nodes or u == v:
            raise ValueError(f"v: {v!r} is not another node (0..{self.nodes - 1})")
        if not 0 <= weight <= 1e298:
            raise ValueError(f"weight: {weight!r} is not in 0..1e298")
        status = lib.gn_cut_set(self._state, u, v, weight, self._work, scratch(self._scratch))
        if status == lib.GN_K_SIZE:
            raise ValueError(f"weight: no room for another edge (edges_max {self.edges_max})")
        check(status, "set")
        return WORK[self._work[0]]

    @property
    def value(self) -> float:
        """The weight of the minimum cut."""
        check(lib.gn_cut_read(self._state, self._value, _NULL), "value")
        return float(self._value[0])

    def cut(self, *, out: Any = None) -> Cut:
        """The minimum cut and its side, uint8 [nodes]."""
        side = out_array(out, "out", (self.nodes,), U8)
        check(lib.gn_cut_read(self._state, self._value, pointer(side)), "cut")
        return Cut(self._value[0], side)
