"""Graphs: minimum cuts beside networkx and scipy, layers beside sparse products of scipy and torch, scores of DAGs.

The kept cut's cases say in their note how the cost of a change grew over n = 100 to 1,600: the slope of a straight line
through (log n, log median time), fitted in this run, for each kind of work by itself and for the mixture.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ganglion.kernels import graphs
from kernel_cases.case import Call, Case, library, present

Maker = Callable[[int], tuple[Any, Any, Any]]
SIZES = (100, 200, 400, 800, 1600)
CHANGES = 400
WORKS = ("kept", "flow", "search")


def random_edges(nodes: int, edges: int, weights_max: int) -> tuple[Any, Any, Any]:
    """A ring, so that all hangs together, and random edges between distinct nodes."""
    rng = np.random.default_rng(nodes)
    pairs = {(i, (i + 1) % nodes) for i in range(nodes)}
    while len(pairs) < edges:
        a, b = (int(x) for x in rng.integers(0, nodes, 2))
        if a != b and (b, a) not in pairs:
            pairs.add((a, b))
    s, t = np.array(sorted(pairs), np.int32).T.copy()
    return s, t, rng.integers(1, weights_max + 1, edges).astype(np.float64)


def flows_of_scipy(s: Any, t: Any, w: Any, nodes: int) -> Call:
    """The least of nodes - 1 maximum flows, scipy's: integers only."""
    sparse, graph = library("scipy.sparse"), library("scipy.sparse.csgraph")
    both = np.concatenate([s, t]), np.concatenate([t, s])
    matrix = sparse.csr_matrix((np.concatenate([w, w]).astype(np.int32), both), (nodes, nodes))

    def least() -> int:
        return min(int(graph.maximum_flow(matrix, 0, v).flow_value) for v in range(1, nodes))

    return least


def cut_cases() -> Iterator[Case]:
    for nodes, target, stretch in ((100, 200, 300), (400, 100, 200)):
        for name, weights_max in (("weights 1", 1), ("weights 1 to 9", 9)):
            s, t, w = random_edges(nodes, 4 * nodes, weights_max)
            others: dict[str, Any] = {}
            if present("networkx"):
                networkx = library("networkx")
                graph = networkx.Graph()
                graph.add_weighted_edges_from(zip(s.tolist(), t.tolist(), w.tolist(), strict=True))
                others["networkx"] = partial(networkx.stoer_wagner, graph)
            if present("scipy"):
                others["scipy"] = flows_of_scipy(s, t, w, nodes)
            yield Case(
                f"global min-cut n {nodes}, m = 4n, {name}",
                "graphs",
                partial(graphs.min_cut, s, t, nodes, weights=w),
                others,
                against="networkx",
                floor=50,
                target=target,
                stretch=stretch,
                errors=partial(cut_error, s, t, w, nodes, others),
                error_max=0,
            )
    s, t, w = random_edges(400, 20_000, 9)
    yield Case(
        "global min-cut n 400, m = 20,000",
        "graphs",
        partial(graphs.min_cut, s, t, 400, weights=w),
        {"scipy": flows_of_scipy(s, t, w, 400)} if present("scipy") else {},
    )


def cut_error(s: Any, t: Any, w: Any, nodes: int, others: dict[str, Any]) -> dict[str, float]:
    """Our value less that of networkx; scipy's too."""
    if "networkx" not in others:
        return {}
    want = others["networkx"]()[0]
    return {"ganglion": abs(graphs.min_cut(s, t, nodes, weights=w).value - want)}


def groups(nodes: int) -> tuple[Any, Any, Any]:
    """Complete graphs of 20 in a ring, 3 edges from each to the next: the least cut is no star, and there are many."""
    rng = np.random.default_rng(nodes)
    ends: list[tuple[int, int]] = []
    for i in range(0, nodes, 20):
        ends += itertools.combinations(range(i, i + 20), 2)
        here, there = (rng.choice(20, 3, replace=False) for _ in range(2))
        ends += zip((i + here).tolist(), ((i + 20) % nodes + there).tolist(), strict=True)
    s, t = np.array(ends, np.int32).T.copy()
    return s, t, np.ones(s.size)


def sparse(nodes: int) -> tuple[Any, Any, Any]:
    return random_edges(nodes, 4 * nodes, 9)


def measure_changes(maker: Maker, nodes: int) -> dict[str, list[float]]:
    """Random changes, microseconds each by the work they took: three in four to an edge there is, up to its usual
    weight, one in four to a random pair."""
    s, t, w = maker(nodes)
    kept = graphs.KeptCut(nodes, s.size + CHANGES)
    kept.load(s, t, w)
    rng = np.random.default_rng(1)
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(CHANGES):
        if rng.random() < 0.75:
            e = int(rng.integers(s.size))
            u, v = int(s[e]), int(t[e])
        else:
            u, v = (int(x) for x in rng.choice(nodes, 2, replace=False))
        weight = float(rng.integers(0, w.max() + 3))
        begin = time.perf_counter()
        work = kept.set(u, v, weight)
        took[work].append((time.perf_counter() - begin) * 1e6)
        took["all"].append(took[work][-1])
    return took


def crossing_changes(maker: Maker, nodes: int) -> list[float]:
    """The worst kind: an edge of the least cut gets heavier, again and again, so that searches must decide."""
    s, t, w = maker(nodes)
    kept = graphs.KeptCut(nodes, s.size)
    kept.load(s, t, w)
    took = []
    for _ in range(60):
        side = kept.cut().side
        e = int(np.flatnonzero(side[s] != side[t])[0])
        w[e] += 1
        begin = time.perf_counter()
        work = kept.set(int(s[e]), int(t[e]), float(w[e]))
        if work == "search":
            took.append((time.perf_counter() - begin) * 1e6)
    return took


def growth(times: dict[int, list[float]], statistic: Any = np.median) -> str:
    """The exponent of n, and where it begins and ends; nothing where a kind was seen fewer than 5 times."""
    seen = {n: float(statistic(took)) for n, took in times.items() if len(took) >= 5}
    if len(seen) < 3:
        return "seen too seldom"
    slope = np.polyfit(np.log(list(seen)), np.log(list(seen.values())), 1)[0]
    first, last = min(seen), max(seen)
    return f"n^{slope:.2f} ({seen[first]:.1f} us at {first}, {seen[last]:.1f} us at {last})"


def kept_note(maker: Maker) -> str:
    by_kind: dict[str, dict[int, list[float]]] = defaultdict(dict)
    forced: dict[int, list[float]] = {}
    fresh: dict[int, list[float]] = {}
    for nodes in SIZES:
        for kind, times in measure_changes(maker, nodes).items():
            by_kind[kind][nodes] = times
        forced[nodes] = crossing_changes(maker, nodes)
        s, t, w = maker(nodes)
        fresh[nodes] = []
        for _ in range(7):
            begin = time.perf_counter()
            graphs.min_cut(s, t, nodes, weights=w)
            fresh[nodes].append((time.perf_counter() - begin) * 1e6)
    last = SIZES[-1]
    shares = (f"{len(by_kind[work].get(last, [])) / CHANGES:.0%} {work}" for work in WORKS)
    parts = [
        f"random changes, mean {growth(by_kind['all'], np.mean)}",
        *(f"{work} {growth(by_kind[work])}" for work in WORKS),
        f"changes that force a search {growth(forced)}",
        f"a fresh cut {growth(fresh)}",
    ]
    return f"growth in this run: {'; '.join(parts)}; at n = {last}: {', '.join(shares)}"


def kept_case(name: str, maker: Maker) -> Case:
    nodes = SIZES[-1]
    s, t, w = maker(nodes)
    kept = graphs.KeptCut(nodes, s.size)
    kept.load(s, t, w)
    rng = np.random.default_rng(2)

    def change() -> str:
        e = int(rng.integers(s.size))
        return kept.set(int(s[e]), int(t[e]), float(rng.integers(1, w.max() + 3)))

    return Case(
        f"kept min-cut, one random change, n {nodes:,}, {name}",
        "graphs",
        change,
        {"fresh search": partial(graphs.min_cut, s, t, nodes, weights=w)},
        note=kept_note(maker),
    )


def layer_cases() -> Iterator[Case]:
    nodes, edges, width = 2000, 16_000, 64
    rng = np.random.default_rng(0)
    s, t = rng.integers(0, nodes, (2, edges), np.int32)
    starts, targets, _ = graphs.csr(s, t, nodes)
    x, w = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((nodes, width), (width, width))
    )
    out = np.empty((nodes, width), np.float32)
    others: dict[str, Any] = {}
    if present("scipy"):
        scipy = library("scipy.sparse")
        ones = np.ones(edges, np.float32)
        a = scipy.csr_matrix((ones, targets, starts), (nodes, nodes)) + scipy.identity(
            nodes, np.float32, "csr"
        )
        scale = scipy.diags(np.asarray(a.sum(1)).ravel() ** -0.5).astype(np.float32)
        normal = (scale @ a @ scale).tocsr()
        others["scipy + numpy"] = lambda: normal @ (x @ w.T)
    yield Case(
        "GCN 2,000 nodes, 16,000 edges, 64 to 64",
        "graphs",
        partial(graphs.gcn, starts, targets, x, w, out=out),
        others,
        note="scipy's matrix is normalised beforehand; ours checks the graph and normalises in each call",
    )
    heads = [(rng.standard_normal((8, 8)) / 3).astype(np.float32) for _ in range(2)]
    yield Case(
        "GAT 2,000 nodes, 16,000 edges, 64 to 8 heads of 8",
        "graphs",
        partial(graphs.gat, starts, targets, x, w, *heads, out=out),
        {"torch": gat_of_torch(starts, targets, x, w, *heads)} if present("torch") else {},
    )


def gat_of_torch(starts: Any, targets: Any, x: Any, w: Any, left: Any, right: Any) -> Call:
    """The same layer by torch's scatter operations, self loops among the edges."""
    torch = library("torch")
    nodes, (heads, each) = len(starts) - 1, left.shape
    own = np.arange(nodes)
    to = torch.from_numpy(np.concatenate([np.repeat(own, np.diff(starts)), own]))
    of = torch.from_numpy(np.concatenate([targets, own]).astype(np.int64))
    x, w, left, right = (torch.from_numpy(one) for one in (x, w, left, right))

    def layer() -> Any:
        z = (x @ w.T).view(nodes, heads, each)
        e = torch.nn.functional.leaky_relu((z * left).sum(2)[to] + (z * right).sum(2)[of], 0.2)
        index = to[:, None].expand_as(e)
        most = torch.full((nodes, heads), -torch.inf).scatter_reduce(0, index, e, "amax")
        e = torch.exp(e - most[to])
        whole = torch.zeros(nodes, heads).index_add_(0, to, e)
        share = e / whole[to]
        return torch.zeros(nodes, heads, each).index_add_(0, to, share[:, :, None] * z[of])

    return layer


def score_cases() -> Iterator[Case]:
    nodes, edges = 1000, 4000
    rng = np.random.default_rng(3)
    ends = np.sort(rng.integers(0, nodes, (2, edges), np.int32), axis=0)
    s, t = ends[:, ends[0] < ends[1]].copy()
    starts, targets, _ = graphs.csr(s, t, nodes)
    others: dict[str, Any] = {}
    depth_of: dict[str, Any] = {}
    if present("networkx"):
        networkx = library("networkx")
        graph = networkx.DiGraph(zip(s.tolist(), t.tolist(), strict=True))
        others["networkx"] = lambda: [len(networkx.ancestors(graph, v)) for v in graph]
        depth_of["networkx"] = partial(networkx.dag_longest_path_length, graph)
    yield Case(
        "causal cone 1,000 nodes, 4,000 edges",
        "graphs",
        partial(graphs.causal_cone, starts, targets, future=0),
        others,
        note="networkx only counts ancestors, without depths",
    )
    yield Case(
        "critical path 1,000 nodes, 4,000 edges",
        "graphs",
        partial(graphs.critical_path, starts, targets),
        depth_of,
        note="networkx finds the length alone",
    )
    yield Case(
        "min-cut gated 1,000 nodes, 4,000 edges",
        "graphs",
        partial(graphs.min_cut_gated, starts, targets),
    )


def cases() -> Iterator[Case]:
    yield from cut_cases()
    yield kept_case("m = 4n", sparse)
    yield kept_case("groups of 20 in a ring", groups)
    yield from layer_cases()
    yield from score_cases()
