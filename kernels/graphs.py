"""Graphs: layers over neighbours (GCN, GraphSAGE, GAT), scores of a DAG's nodes, minimum cuts.

A graph in CSR form is `starts`, int32 [nodes + 1], and `targets`, int32 [edges] (scipy's indptr and indices; `csr`
makes them): row i is targets[starts[i]:starts[i + 1]], the nodes that node i reads in a layer, or those after it in a
DAG. Edge weights are weights, not distances: more counts more. Every function raises ValueError naming the argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ganglion.kernels._arrays import F32, I32, Array, array, pointer, shaped
from ganglion.kernels._call import Bound, Pool, count, whole
from ganglion.kernels._cuts import Cut, KeptCut, bind_min_cut, min_cut, st_min_cut
from ganglion.kernels._dag import (
    CriticalPath,
    Gated,
    bind_causal_cone,
    bind_critical_path,
    bind_lorentz,
    bind_min_cut_gated,
    bind_parallel_branch,
    bind_temporal,
    bind_topological,
    causal_cone,
    cone,
    critical_path,
    depths,
    lorentz,
    min_cut_gated,
    parallel_branch,
    temporal,
    topological,
)
from ganglion.kernels._graph import Job, at, graph_of, maybe, out_of
from ganglion.kernels._kernels import lib

__all__ = [
    "CriticalPath", "Cut", "Gated", "KeptCut", "aggregate", "bind_aggregate", "bind_causal_cone",
    "bind_critical_path", "bind_gat", "bind_gcn", "bind_lorentz", "bind_min_cut", "bind_min_cut_gated",
    "bind_parallel_branch", "bind_sage", "bind_temporal", "bind_topological", "causal_cone", "cone", "critical_path",
    "csr", "depths", "gat", "gcn", "lorentz", "min_cut", "min_cut_gated", "parallel_branch", "sage", "st_min_cut",
    "temporal", "topological",
]  # fmt: skip

_KINDS = {
    "sum": lib.GN_AGGREGATE_SUM,
    "mean": lib.GN_AGGREGATE_MEAN,
    "max": lib.GN_AGGREGATE_MAX,
}


def csr(sources: Any, targets: Any, nodes: int) -> tuple[Array, Array, Array]:
    """Edges sources[i] -> targets[i] as (starts, targets, order): row s has the targets of s, in the order given.

    Values of edges go along as values[order]. Raises ValueError: arrays that are not int32 [edges], an edge to no node.
    """
    if not 0 <= whole(nodes, "nodes") < 2**31 - 1:
        raise ValueError(f"nodes: {nodes!r} is not in 0..2^31 - 2")
    s = array(sources, "sources", I32, 1)
    t = shaped(array(targets, "targets", I32, 1), "targets", s.shape)
    for found, name in ((s, "sources"), (t, "targets")):
        if found.size and not (found.min() >= 0 and found.max() < nodes):
            raise ValueError(f"{name}: an entry is not a node (0..{nodes - 1})")
    order = np.argsort(s, kind="stable")
    starts = np.zeros(nodes + 1, I32)
    np.cumsum(np.bincount(s, minlength=nodes), out=starts[1:])
    return starts, t[order], order


# ---- Layers


def _aggregate(
    starts: Any, targets: Any, x: Any, weights: Any, kind: str, out: Any, threads: int | Pool
) -> Job:
    s, t = graph_of(starts, targets)
    nodes, x = s.size - 1, array(x, "x", F32, 2)
    shaped(x, "x", (nodes, x.shape[1]))
    w = maybe(weights, "weights", F32, t.shape)
    if kind not in _KINDS:
        raise ValueError(f"aggregation: {kind!r} is not one of {', '.join(_KINDS)}")
    result = out_of(out, x.shape, [s, t, x, w])
    before = (pointer(s), pointer(t), at(w), nodes, t.size, pointer(x), x.shape[1], _KINDS[kind])
    return Job(
        "aggregate",
        lib.gn_graph_aggregate,
        (s, t),
        [x, w],
        before,
        (pointer(result),),
        result,
        None,
        threads,
    )


def aggregate(
    starts: Any, targets: Any, x: Any, *, weights: Any = None, aggregation: str = "mean", out: Any = None,
    threads: int | Pool = 1,
) -> Array:  # fmt: skip
    """What each node's neighbours hold: their "sum", "mean" (both weighted) or "max", float32 [nodes, width].

    x: float32 [nodes, width]; weights: float32 [edges] or None: all 1 ("max" does not look at them). A node that reads
    none has zeros.
    """
    return _aggregate(starts, targets, x, weights, aggregation, out, threads).run()


def bind_aggregate(
    starts: Any, targets: Any, x: Any, *, weights: Any = None, aggregation: str = "mean", out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:  # fmt: skip
    """`aggregate` to call again."""
    return _aggregate(starts, targets, x, weights, aggregation, out, threads).bind()


def _gcn(
    starts: Any,
    targets: Any,
    x: Any,
    w: Any,
    weights: Any,
    bias: Any,
    own: float,
    out: Any,
    threads: int | Pool,
) -> Job:
    s, t = graph_of(starts, targets)
    nodes, x, w = s.size - 1, array(x, "x", F32, 2), array(w, "w", F32, 2)
    shaped(x, "x", (nodes, x.shape[1]))
    shaped(w, "w", (w.shape[0], x.shape[1]))
    a, b = maybe(weights, "weights", F32, t.shape), maybe(bias, "bias", F32, (w.shape[0],))
    result = out_of(out, (nodes, w.shape[0]), [s, t, x, w, a, b])
    size = lib.gn_graph_layer_scratch(nodes, t.size, x.shape[1], 0, w.shape[0], count(threads))
    before = (
        pointer(s), pointer(t), at(a), nodes, t.size, pointer(x), x.shape[1], pointer(w), at(b), w.shape[0], own,
    )  # fmt: skip
    return Job(
        "gcn", lib.gn_gcn, (s, t), [x, w, a, b], before, (pointer(result),), result, size, threads
    )


def gcn(
    starts: Any, targets: Any, x: Any, w: Any, *, weights: Any = None, bias: Any = None, self_weight: float = 1.0,
    out: Any = None, threads: int | Pool = 1,
) -> Array:  # fmt: skip
    """Graph convolution D^-1/2 (A + self_weight I) D^-1/2 x w^T + bias (Kipf and Welling, ICLR 2017, eq. 8).

    x: float32 [nodes, in]; w: float32 [out, in]; weights: float32 [edges] or None: all 1; bias: float32 [out] or None.
    D is the rows' sums of A + self_weight I; a row whose sum is not above 0 counts as 0. No activation.
    """
    return _gcn(starts, targets, x, w, weights, bias, self_weight, out, threads).run()


def bind_gcn(
    starts: Any, targets: Any, x: Any, w: Any, *, weights: Any = None, bias: Any = None, self_weight: float = 1.0,
    out: Any = None, threads: int | Pool = 1,
) -> Bound[Array]:  # fmt: skip
    """`gcn` to call again."""
    return _gcn(starts, targets, x, w, weights, bias, self_weight, out, threads).bind()


def _sage(
    starts: Any, targets: Any, x: Any, w_self: Any, w_neighbour: Any, weights: Any, pool: Any, pool_bias: Any,
    bias: Any, kind: str, normalise: bool, out: Any, threads: int | Pool,
) -> Job:  # fmt: skip
    s, t = graph_of(starts, targets)
    nodes, x, w_self = s.size - 1, array(x, "x", F32, 2), array(w_self, "w_self", F32, 2)
    width, into = shaped(x, "x", (nodes, x.shape[1])).shape[1], w_self.shape[0]
    shaped(w_self, "w_self", (into, width))
    p = None if pool is None else array(pool, "pool_w", F32, 2)
    middle = width if p is None else shaped(p, "pool_w", (p.shape[0], width)).shape[0]
    if p is None and pool_bias is not None:
        raise ValueError("pool_bias: without pool_w")
    pb = maybe(pool_bias, "pool_bias", F32, (middle,))
    w_neighbour = shaped(array(w_neighbour, "w_neighbour", F32), "w_neighbour", (into, middle))
    a, b = maybe(weights, "weights", F32, t.shape), maybe(bias, "bias", F32, (into,))
    if kind not in _KINDS:
        raise ValueError(f"aggregation: {kind!r} is not one of {', '.join(_KINDS)}")
    inputs = [x, w_self, w_neighbour, p, pb, a, b]
    result = out_of(out, (nodes, into), [s, t, *inputs])
    size = lib.gn_graph_layer_scratch(
        nodes, t.size, width, 0 if p is None else middle, into, count(threads)
    )
    before = (
        pointer(s), pointer(t), at(a), nodes, t.size, pointer(x), width, at(p), at(pb), middle, pointer(w_self),
        pointer(w_neighbour), at(b), into, _KINDS[kind], bool(normalise),
    )  # fmt: skip
    return Job(
        "sage", lib.gn_sage, (s, t), inputs, before, (pointer(result),), result, size, threads
    )


def sage(
    starts: Any, targets: Any, x: Any, w_self: Any, w_neighbour: Any, *, weights: Any = None, pool_w: Any = None,
    pool_bias: Any = None, bias: Any = None, aggregation: str = "mean", normalise: bool = False, out: Any = None,
    threads: int | Pool = 1,
) -> Array:  # fmt: skip
    """GraphSAGE: x w_self^T + g w_neighbour^T + bias, g = aggregate(x) (Hamilton et al., NeurIPS 2017, algorithm 1).

    x: float32 [nodes, in]; w_self, w_neighbour: float32 [out, in]. With pool_w float32 [middle, in] (and pool_bias
    [middle]), max(0, x pool_w^T + pool_bias) is aggregated in place of x ("max" is the paper's pooling), and
    w_neighbour is [out, middle]. weights: float32 [edges]; bias: float32 [out]. normalise: rows of length 1. No
    activation.
    """
    return _sage(
        starts,
        targets,
        x,
        w_self,
        w_neighbour,
        weights,
        pool_w,
        pool_bias,
        bias,
        aggregation,
        normalise,
        out,
        threads,
    ).run()


def bind_sage(
    starts: Any, targets: Any, x: Any, w_self: Any, w_neighbour: Any, *, weights: Any = None, pool_w: Any = None,
    pool_bias: Any = None, bias: Any = None, aggregation: str = "mean", normalise: bool = False, out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:  # fmt: skip
    """`sage` to call again."""
    return _sage(
        starts,
        targets,
        x,
        w_self,
        w_neighbour,
        weights,
        pool_w,
        pool_bias,
        bias,
        aggregation,
        normalise,
        out,
        threads,
    ).bind()


def _gat(
    starts: Any, targets: Any, x: Any, w: Any, a_self: Any, a_neighbour: Any, bias: Any, slope: float, loops: bool,
    mean: bool, attention: Any, out: Any, threads: int | Pool,
) -> Job:  # fmt: skip
    s, t = graph_of(starts, targets)
    nodes, x, a_self = s.size - 1, array(x, "x", F32, 2), array(a_self, "a_self", F32, 2)
    shaped(x, "x", (nodes, x.shape[1]))
    heads, each = a_self.shape
    if not heads or not each:
        raise ValueError(f"a_self: shape {a_self.shape}; at least one head and one feature")
    w = shaped(array(w, "w", F32), "w", (heads * each, x.shape[1]))
    a_neighbour = shaped(array(a_neighbour, "a_neighbour", F32), "a_neighbour", a_self.shape)
    width = each if mean else heads * each
    b = maybe(bias, "bias", F32, (width,))
    inputs = [x, w, a_self, a_neighbour, b]
    result = out_of(out, (nodes, width), [s, t, *inputs])
    kept = None
    if attention is not None:
        kept = out_of(attention, (t.size, heads), [s, t, *inputs, result], "attention")
    size = lib.gn_gat_scratch(nodes, t.size, x.shape[1], heads, each, count(threads))
    before = (
        pointer(s), pointer(t), nodes, t.size, pointer(x), x.shape[1], pointer(w), pointer(a_self),
        pointer(a_neighbour), at(b), heads, each, slope, bool(loops), bool(mean),
    )  # fmt: skip
    after = (pointer(result), at(kept))
    return Job("gat", lib.gn_gat, (s, t), [*inputs, kept], before, after, result, size, threads)


def gat(
    starts: Any, targets: Any, x: Any, w: Any, a_self: Any, a_neighbour: Any, *, bias: Any = None, slope: float = 0.2,
    self_loops: bool = True, mean: bool = False, attention: Any = None, out: Any = None, threads: int | Pool = 1,
) -> Array:  # fmt: skip
    """Graph attention (Velickovic et al., ICLR 2018, eq. 1 to 6), float32 [nodes, heads * each].

    x: float32 [nodes, in]; w: float32 [heads * each, in]; a_self, a_neighbour: float32 [heads, each], the two halves of
    the paper's a; bias: as wide as a row of the result. slope: LeakyReLU's below 0. self_loops: each node also reads
    itself, once. mean: the heads' mean, float32 [nodes, each]. attention: float32 [edges, heads], takes the weights of
    the listed edges. No activation, and no dropout: this is inference.
    """
    return _gat(
        starts,
        targets,
        x,
        w,
        a_self,
        a_neighbour,
        bias,
        slope,
        self_loops,
        mean,
        attention,
        out,
        threads,
    ).run()


def bind_gat(
    starts: Any, targets: Any, x: Any, w: Any, a_self: Any, a_neighbour: Any, *, bias: Any = None, slope: float = 0.2,
    self_loops: bool = True, mean: bool = False, attention: Any = None, out: Any = None, threads: int | Pool = 1,
) -> Bound[Array]:  # fmt: skip
    """`gat` to call again."""
    return _gat(
        starts,
        targets,
        x,
        w,
        a_self,
        a_neighbour,
        bias,
        slope,
        self_loops,
        mean,
        attention,
        out,
        threads,
    ).bind()
