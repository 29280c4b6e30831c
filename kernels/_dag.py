"""Scores of the nodes of a DAG; part of `ganglion.kernels.graphs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ganglion.kernels._arrays import F32, F64, I32, U8, Array, array, out_array, pointer, shaped
from ganglion.kernels._call import Bound, whole
from ganglion.kernels._graph import Job, at, graph_of, maybe, out_of
from ganglion.kernels._kernels import lib


class CriticalPath(NamedTuple):
    """scores float32 [nodes]; slack float32 [nodes], in the unit of the costs; the heaviest path's cost."""

    scores: Array
    slack: Array
    length: float


class Gated(NamedTuple):
    """scores float32 [nodes]; the maximum flow; side uint8 [nodes], 1 on the roots' side of the minimum cut."""

    scores: Array
    flow: float
    side: Array


def _score(
    name: str, function: Callable[..., int], graph: tuple[Array, Array], inputs: list[Array | None],
    scalars: tuple[Any, ...], out: Any, after: tuple[Any, ...] = (), width: int = 0,
) -> Job:  # fmt: skip
    s, t = graph
    nodes = s.size - 1
    result = out_of(out, (nodes,), [s, t, *inputs])
    before = (pointer(s), pointer(t), nodes, t.size, *scalars)
    size = lib.gn_dag_scratch(nodes, t.size, width)
    return Job(name, function, graph, inputs, before, (pointer(result), *after), result, size, None)


def _range(value: float, name: str, least: float, most: float, *, above: bool = False) -> float:
    """A number in least..most (finite unless most is not); `above`: not least itself."""
    if not (least < value if above else least <= value) or not value <= most:
        raise ValueError(
            f"{name}: {value!r} is not in {'above ' if above else ''}{least:g}..{most:g}"
        )
    return value


_MOST = float(np.finfo(np.float32).max)


def depths(starts: Any, targets: Any, *, out: Any = None) -> Array:
    """The edges of the longest path to each node, int32 [nodes]. Raises ValueError on a cycle."""
    s, t = graph_of(starts, targets)
    result = out_array(out, "out", (s.size - 1,), I32, [s, t])
    size = lib.gn_dag_scratch(s.size - 1, t.size, 0)
    before = (pointer(s), pointer(t), s.size - 1, t.size, pointer(result))
    return Job("depths", lib.gn_dag_depths, (s, t), [], before, (), result, size, None).run()


def cone(starts: Any, targets: Any, node: int, *, out: Any = None) -> Array:
    """What lies before (1) and after (2) a node by any path, and itself (3), else 0: uint8 [nodes]."""
    s, t = graph_of(starts, targets)
    if not 0 <= whole(node, "node") < s.size - 1:
        raise ValueError(f"node: {node!r} is not a node (0..{s.size - 2})")
    result = out_array(out, "out", (s.size - 1,), U8, [s, t])
    size = lib.gn_dag_scratch(s.size - 1, t.size, 0)
    before = (pointer(s), pointer(t), s.size - 1, t.size, node, pointer(result))
    return Job("cone", lib.gn_dag_cone, (s, t), [], before, (), result, size, None).run()


def _topological(starts: Any, targets: Any, decay: float, out: Any) -> Job:
    _range(decay, "decay", -_MOST, _MOST)
    return _score(
        "topological", lib.gn_dag_topological, graph_of(starts, targets), [], (decay,), out
    )


def topological(starts: Any, targets: Any, *, decay: float = 0.5, out: Any = None) -> Array:
    """Scores proportional to e^(-decay * depth); a decay below 0 favours the deepest.

    This and the six below: float32 [nodes], each >= 0, sum 1. They raise ValueError on a cycle, which names the score.
    """
    return _topological(starts, targets, decay, out).run()


def bind_topological(
    starts: Any, targets: Any, *, decay: float = 0.5, out: Any = None
) -> Bound[Array]:
    """`topological` to call again."""
    return _topological(starts, targets, decay, out).bind()


def _causal_cone(
    starts: Any, targets: Any, past: float, future: float, discount: float, out: Any
) -> Job:
    _range(past, "past", 0, _MOST)
    _range(future, "future", 0, _MOST)
    _range(discount, "discount", 1e-38, 1)
    scalars = (past, future, discount)
    return _score(
        "causal_cone", lib.gn_dag_causal_cone, graph_of(starts, targets), [], scalars, out
    )


def causal_cone(
    starts: Any,
    targets: Any,
    *,
    past: float = 1.0,
    future: float = 1.0,
    discount: float = 0.5,
    out: Any = None,
) -> Array:
    """Scores proportional to 1 + past * P + future * F over each node's distinct ancestors and descendants.

    P is the sum of discount^(difference in depth) over the ancestors, F over the descendants. past, future >= 0;
    discount in 1e-38..1.
    """
    return _causal_cone(starts, targets, past, future, discount, out).run()


def bind_causal_cone(
    starts: Any,
    targets: Any,
    *,
    past: float = 1.0,
    future: float = 1.0,
    discount: float = 0.5,
    out: Any = None,
) -> Bound[Array]:
    """`causal_cone` to call again."""
    return _causal_cone(starts, targets, past, future, discount, out).bind()


def _costs(cost: Any, nodes: int) -> Array | None:
    found = maybe(cost, "cost", F32, (nodes,))
    if found is not None and not ((found >= 0) & (found <= _MOST)).all():
        raise ValueError("cost: an entry is below 0 or not finite")
    return found


def _critical(
    starts: Any, targets: Any, cost: Any, sharpness: float, out: Any, slack: Any
) -> tuple[Job, Array, Array]:
    graph = graph_of(starts, targets)
    nodes = graph[0].size - 1
    c = _costs(cost, nodes)
    _range(sharpness, "sharpness", 0, _MOST)
    lost, length = out_of(slack, (nodes,), [*graph, c], "slack"), np.zeros(1)
    if out is not None and np.may_share_memory(out, lost):
        raise ValueError("slack: overlaps out")
    after = (pointer(lost), pointer(length))
    job = _score(
        "critical_path", lib.gn_dag_critical_path, graph, [c], (at(c), sharpness), out, after
    )
    job.inputs += [lost, length]
    return job, lost, length


def critical_path(
    starts: Any,
    targets: Any,
    *,
    cost: Any = None,
    sharpness: float = 4.0,
    out: Any = None,
    slack: Any = None,
) -> CriticalPath:
    """Scores proportional to e^(-sharpness * slack / length), in O(nodes + edges).

    length: the heaviest path's cost; slack: how much less the heaviest path through a node costs, 0 on the critical
    path. cost: float32 [nodes], >= 0 and finite, or None: all 1. out and slack: float32 [nodes].
    """
    job, lost, length = _critical(starts, targets, cost, sharpness, out, slack)
    return CriticalPath(job.run(), lost, float(length[0]))


def bind_critical_path(
    starts: Any,
    targets: Any,
    *,
    cost: Any = None,
    sharpness: float = 4.0,
    out: Any = None,
    slack: Any = None,
) -> Bound[Array]:
    """The scores of `critical_path` to call again; slack, when given, is written too."""
    return _critical(starts, targets, cost, sharpness, out, slack)[0].bind()


def _parallel_branch(starts: Any, targets: Any, cost: Any, balance: float, out: Any) -> Job:
    graph = graph_of(starts, targets)
    c = _costs(cost, graph[0].size - 1)
    _range(balance, "balance", 0, 16)
    return _score("parallel_branch", lib.gn_dag_parallel_branch, graph, [c], (at(c), balance), out)


def parallel_branch(
    starts: Any, targets: Any, *, cost: Any = None, balance: float = 1.0, out: Any = None
) -> Array:
    """Attention that divides at forks and meets at joins; scores proportional to what passes each node.

    A fork divides in proportion to (cost of the heaviest path from each successor on)^balance; balance in 0..16, 0 is
    evenly. cost: float32 [nodes], >= 0 and finite, or None: all 1.
    """
    return _parallel_branch(starts, targets, cost, balance, out).run()


def bind_parallel_branch(
    starts: Any, targets: Any, *, cost: Any = None, balance: float = 1.0, out: Any = None
) -> Bound[Array]:
    """`parallel_branch` to call again."""
    return _parallel_branch(starts, targets, cost, balance, out).bind()


def _lorentz(
    starts: Any, targets: Any, features: Any, query: Any, radius: float, query_radius: float | None,
    temperature: float, out: Any,
) -> Job:  # fmt: skip
    graph = graph_of(starts, targets)
    f = array(features, "features", F32, 2)
    shaped(f, "features", (graph[0].size - 1, f.shape[1]))
    q = maybe(query, "query", F32, (f.shape[1],))
    for found, name in ((f, "features"), (q, "query")):
        if found is not None and not np.isfinite(found).all():
            raise ValueError(f"{name}: an entry is not finite")
    _range(radius, "radius", 0, 30, above=True)
    middle = _range(radius / 2 if query_radius is None else query_radius, "query_radius", 0, 30)
    _range(temperature, "temperature", 1e-38, _MOST)
    scalars = (pointer(f), f.shape[1], at(q), radius, middle, temperature)
    return _score("lorentz", lib.gn_dag_lorentz, graph, [f, q], scalars, out, (), f.shape[1])


def lorentz(
    starts: Any, targets: Any, features: Any, *, query: Any = None, radius: float = 3.0,
    query_radius: float | None = None, temperature: float = 1.0, out: Any = None,
) -> Array:  # fmt: skip
    """Hierarchical: scores proportional to e^(-distance / temperature) on the hyperboloid.

    A node lies in the direction of its features (float32 [nodes, width], finite), radius * (depth + 1) / levels from
    the origin. Distances are to the point in the direction of query (float32 [width]) at query_radius (None: half of
    radius), or to the nodes' Lorentz centroid (Law et al., ICML 2019). radius in 0..30, not 0.
    """
    return _lorentz(starts, targets, features, query, radius, query_radius, temperature, out).run()


def bind_lorentz(
    starts: Any, targets: Any, features: Any, *, query: Any = None, radius: float = 3.0,
    query_radius: float | None = None, temperature: float = 1.0, out: Any = None,
) -> Bound[Array]:  # fmt: skip
    """`lorentz` to call again."""
    return _lorentz(starts, targets, features, query, radius, query_radius, temperature, out).bind()


def _temporal(
    starts: Any,
    targets: Any,
    when: Any,
    signal: Any,
    now: float,
    tau: float,
    gain: float,
    discount: float,
    out: Any,
) -> Job:
    graph = graph_of(starts, targets)
    shape = (graph[0].size - 1,)
    w, g = (
        shaped(array(when, "when", F64), "when", shape),
        shaped(array(signal, "signal", F32), "signal", shape),
    )
    if not ((g >= 0) & (g <= _MOST)).all():
        raise ValueError("signal: an entry is below 0 or not finite")
    _range(now, "now", -1e300, 1e300)
    _range(tau, "tau", 0, 1e300, above=True)
    _range(gain, "gain", 0, _MOST)
    _range(discount, "discount", 0, 1)
    scalars = (pointer(w), pointer(g), now, tau, gain, discount)
    return _score("temporal", lib.gn_dag_temporal, graph, [w, g], scalars, out)


def temporal(
    starts: Any, targets: Any, when: Any, signal: Any, *, now: float, tau: float, gain: float = 1.0,
    discount: float = 0.5, out: Any = None,
) -> Array:  # fmt: skip
    """Scores proportional to e^(-(now - when) / tau) * (1 + gain * credit).

    when: float64 [nodes], when each was active (NaN or -inf: never; after now: not yet); signal: float32 [nodes], >= 0,
    what events came at it. credit is a node's signal or `discount` times its largest successor's credit. tau > 0 in the
    unit of when, discount in 0..1.
    """
    return _temporal(starts, targets, when, signal, now, tau, gain, discount, out).run()


def bind_temporal(
    starts: Any, targets: Any, when: Any, signal: Any, *, now: float, tau: float, gain: float = 1.0,
    discount: float = 0.5, out: Any = None,
) -> Bound[Array]:  # fmt: skip
    """`temporal` to call again."""
    return _temporal(starts, targets, when, signal, now, tau, gain, discount, out).bind()


def _gated(
    starts: Any, targets: Any, capacity: Any, leak: float, out: Any, side: Any
) -> tuple[Job, Array, Array]:
    graph = graph_of(starts, targets)
    c = maybe(capacity, "capacity", F64, graph[1].shape)
    if c is not None and not ((c >= 0) & (c <= 1e298)).all():
        raise ValueError("capacity: an entry is not in 0..1e298")
    _range(leak, "leak", 0, 1)
    nodes, flow = graph[0].size - 1, np.zeros(1)
    others = [] if side is None else [one for one in (*graph, c) if one is not None]
    kept = out_array(side, "side", (nodes,), U8, others)
    if out is not None and np.may_share_memory(out, kept):
        raise ValueError("side: overlaps out")
    after = (pointer(flow), pointer(kept))
    job = _score("min_cut_gated", lib.gn_dag_min_cut_gated, graph, [c], (at(c), leak), out, after)
    job.inputs += [kept, flow]
    return job, kept, flow


def min_cut_gated(
    starts: Any,
    targets: Any,
    *,
    capacity: Any = None,
    leak: float = 0.1,
    out: Any = None,
    side: Any = None,
) -> Gated:
    """Scores proportional to leak + (1 - leak) * share of the bottleneck between all roots and all leaves.

    The maximum flow by capacity (float64 [edges] in 0..1e298, or None: all 1), and the minimum cut next to the roots;
    share is the capacity of cut edges at a node by the largest node's. leak in 0..1. side: uint8 [nodes].
    """
    job, kept, flow = _gated(starts, targets, capacity, leak, out, side)
    return Gated(job.run(), float(flow[0]), kept)


def bind_min_cut_gated(
    starts: Any,
    targets: Any,
    *,
    capacity: Any = None,
    leak: float = 0.1,
    out: Any = None,
    side: Any = None,
) -> Bound[Array]:
    """The scores of `min_cut_gated` to call again; side, when given, is written too."""
    return _gated(starts, targets, capacity, leak, out, side)[0].bind()
