"""Scores of a DAG's nodes against references in plain Python: sets, recursion and networkx."""

from __future__ import annotations

import inspect
import math
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.kernels import graphs

Array = Any


def random_dag(seed: int, nodes: int, edges: int) -> tuple[Array, Array, Any]:
    """starts, targets (nodes in no order of their numbers), and the same as a networkx graph."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(nodes).astype(np.int32)
    ends = rng.integers(0, max(nodes, 1), (2, edges if nodes > 1 else 0))
    ends = ends[:, ends[0] != ends[1]]
    s, t = names[np.minimum(*ends)], names[np.maximum(*ends)]
    starts, targets, _ = graphs.csr(s, t, nodes)
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(zip(s.tolist(), t.tolist(), strict=True))
    return starts, targets, graph


def diamonds(count: int) -> tuple[Array, Array]:
    """count diamonds one after another: 2^count paths from the first node to the last."""
    ends = []
    for i in range(0, 3 * count, 3):
        ends += [(i, i + 1), (i, i + 2), (i + 1, i + 3), (i + 2, i + 3)]
    s, t = np.array(ends, np.int32).T.copy()
    return graphs.csr(s, t, 3 * count + 1)[:2]


def normal_sum(raw: Any) -> Array:
    raw = np.asarray(raw, np.float64)
    return raw / raw.sum() if raw.sum() > 0 else np.full(raw.size, 1 / max(raw.size, 1))


def depths_of(graph: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for v in nx.topological_sort(graph):
        found[v] = max((found[u] + 1 for u in graph.predecessors(v)), default=0)
    return found


def close(got: Array, want: Array) -> None:
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-12)


GRAPHS = [
    (0, 0, 0),
    (1, 1, 0),
    (2, 2, 0),
    (3, 6, 9),
    (4, 40, 60),
    (5, 64, 300),
    (6, 130, 200),
    (7, 700, 1500),
]


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS)
def test_depths_and_topological(seed: int, nodes: int, edges: int) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    found = depths_of(graph)
    depth = np.array([found[v] for v in range(nodes)], float)
    np.testing.assert_array_equal(graphs.depths(starts, targets), depth)
    for decay in (0.0, 0.7, -0.3):
        close(graphs.topological(starts, targets, decay=decay), normal_sum(np.exp(-decay * depth)))


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS)
def test_causal_cone(seed: int, nodes: int, edges: int) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    depth = depths_of(graph)
    for past, future, discount in ((1, 1, 0.5), (2, 0, 1.0), (0, 0.3, 0.9)):
        raw = [
            1
            + past * sum(discount ** (depth[v] - depth[a]) for a in nx.ancestors(graph, v))
            + future * sum(discount ** (depth[d] - depth[v]) for d in nx.descendants(graph, v))
            for v in range(nodes)
        ]
        got = graphs.causal_cone(starts, targets, past=past, future=future, discount=discount)
        close(got, normal_sum(raw))


def test_causal_cone_of_a_long_path_and_of_many_blocks() -> None:
    """One node a depth, over block after block of 512; and 2,000 nodes of one depth under one root."""
    at = np.arange(1499, dtype=np.int32)
    starts, targets, _ = graphs.csr(at, at + 1, 1500)
    got = graphs.causal_cone(starts, targets, future=0, discount=0.99)
    raw = 1 + np.array([sum(0.99 ** np.arange(1, i + 1)) for i in range(1500)])
    close(got, normal_sum(raw))
    starts, targets, _ = graphs.csr(
        np.zeros(2000, np.int32), np.arange(1, 2001, dtype=np.int32), 2001
    )
    got = graphs.causal_cone(starts, targets)
    close(got, normal_sum([1001.0] + [1.5] * 2000))


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS[1:-1])
def test_cone(seed: int, nodes: int, edges: int) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    for node in range(0, nodes, 7):
        got = graphs.cone(starts, targets, node)
        assert set(np.flatnonzero(got == 1)) == nx.ancestors(graph, node)
        assert set(np.flatnonzero(got == 2)) == nx.descendants(graph, node)
        assert np.flatnonzero(got == 3) == [node]


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS)
def test_critical_path(seed: int, nodes: int, edges: int) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    cost = np.random.default_rng(seed).integers(0, 20, nodes).astype(np.float32)
    head, tail = np.zeros(nodes), np.zeros(nodes)
    for v in nx.topological_sort(graph):
        head[v] = max((head[u] + cost[u] for u in graph.predecessors(v)), default=0)
    for v in reversed(list(nx.topological_sort(graph))):
        tail[v] = cost[v] + max((tail[u] for u in graph.successors(v)), default=0)
    length = (head + tail).max(initial=0)
    found = graphs.critical_path(starts, targets, cost=cost, sharpness=3)
    assert found.length == length
    np.testing.assert_array_equal(found.slack, length - head - tail)
    close(found.scores, normal_sum(np.exp(-3 * (length - head - tail) / max(length, 1))))
    if nodes:
        assert (
            graphs.critical_path(starts, targets).length
            == nx.dag_longest_path_length(nx.DiGraph(graph)) + 1
        )


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS)
@pytest.mark.parametrize("balance", [0.0, 1.0, 2.5])
def test_parallel_branch(seed: int, nodes: int, edges: int, balance: float) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    cost = np.random.default_rng(seed).uniform(0, 20, nodes).astype(np.float32)
    tail, mass = np.zeros(nodes), np.zeros(nodes)
    order = list(nx.topological_sort(graph))
    for v in reversed(order):
        tail[v] = cost[v] + max((tail[u] for u in graph.successors(v)), default=0)
    share = tail**balance
    roots = [v for v in order if not graph.in_degree(v)]
    for v in roots:
        mass[v] = share[v] / sum(share[u] for u in roots)
    for v in order:
        after = list(targets[starts[v] : starts[v + 1]])
        for u in after:
            mass[u] += mass[v] * share[u] / sum(share[w] for w in after)
    close(graphs.parallel_branch(starts, targets, cost=cost, balance=balance), normal_sum(mass))


def test_parallel_branches_share_and_their_join_has_all() -> None:
    """A fork into two branches, one of cost 3 and one of cost 1, and a join."""
    starts, targets, _ = graphs.csr(
        np.array([0, 0, 1, 2], np.int32), np.array([1, 2, 3, 3], np.int32), 4
    )
    cost = np.array([0, 3, 1, 0], np.float32)
    got = graphs.parallel_branch(starts, targets, cost=cost)
    close(got / got[0], [1, 0.75, 0.25, 1])
    zero = graphs.parallel_branch(starts, targets, cost=np.zeros(4, np.float32))
    close(zero / zero[0], [1, 0.5, 0.5, 1])


def lorentz_points(graph: Any, features: Array, radius: float) -> Array:
    """Points [nodes, 1 + width] with x0^2 - |x|^2 = 1, in longdouble."""
    depth = depths_of(graph)
    levels = max(depth.values(), default=0) + 1
    f = features.astype(np.longdouble)
    length = np.sqrt((f * f).sum(1, keepdims=True))
    r = np.array([radius * (depth[v] + 1) / levels for v in range(len(f))], np.longdouble)[:, None]
    r = np.where(length > 0, r, 0)
    return np.hstack(
        [np.cosh(r), np.sinh(r) * np.divide(f, length, where=length > 0, out=np.zeros_like(f))]
    )


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS[1:-1])
@pytest.mark.parametrize("radius", [0.5, 3.0, 8.0])
def test_lorentz(seed: int, nodes: int, edges: int, radius: float) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((nodes, 7)).astype(np.float32)
    features[::9] = 0
    query = rng.standard_normal(7).astype(np.float32)
    points = lorentz_points(graph, features, radius)
    q = query.astype(np.longdouble) / np.sqrt((query.astype(np.longdouble) ** 2).sum())
    middle = points.sum(0)
    middle /= np.sqrt(middle[0] ** 2 - (middle[1:] ** 2).sum())
    for to, options in (
        (np.concatenate([[np.cosh(1.5)], np.sinh(1.5) * q]), {"query": query, "query_radius": 1.5}),
        (middle, {}),
    ):
        product = points[:, 0] * to[0] - points[:, 1:] @ to[1:]
        distance = np.arccosh(np.maximum(product, 1)).astype(np.float64)
        want = normal_sum(np.exp(-(distance - distance.min()) / 0.8))
        got = graphs.lorentz(starts, targets, features, radius=radius, temperature=0.8, **options)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-9)


def test_lorentz_near_the_edge_of_the_numbers() -> None:
    """Radius 30: the textbook formulas subtract e^60 from e^60. All in one direction, the score is by depth alone."""
    at = np.arange(4, dtype=np.int32)
    starts, targets, _ = graphs.csr(at, at + 1, 5)
    scale = np.array([[1], [2], [2.0**-66], [2.0**66], [1]], np.float32)
    features = np.array([[3, 4]], np.float32) * scale
    got = graphs.lorentz(
        starts, targets, features, query=features[0], radius=30, query_radius=20, temperature=5
    )
    close(got, normal_sum(np.exp(-np.abs(np.array([6, 12, 18, 24, 30]) - 20) / 5)))
    same = np.zeros(1, np.int32).repeat(4), np.empty(0, np.int32)
    close(graphs.lorentz(*same, features[:3].copy(), radius=30), [1 / 3] * 3)
    centred = graphs.lorentz(starts, targets, features, radius=30)
    want = (
        np.log(np.exp([6.0, 12, 18, 24, 30]).sum() / np.exp([-6.0, -12, -18, -24, -30]).sum()) / 2
    )
    raw = np.exp(-np.abs(np.array([6, 12, 18, 24, 30]) - want))
    np.testing.assert_allclose(centred, normal_sum(raw), rtol=1e-4)


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS)
def test_temporal(seed: int, nodes: int, edges: int) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    rng = np.random.default_rng(seed)
    when = rng.uniform(-10, 3, nodes)
    when[rng.random(nodes) < 0.2] = np.nan
    when[rng.random(nodes) < 0.1] = -np.inf
    signal = (rng.random(nodes) < 0.1).astype(np.float32)
    credit, raw = np.zeros(nodes), np.zeros(nodes)
    for v in reversed(list(nx.topological_sort(graph))):
        credit[v] = max(signal[v], 0.5 * max((credit[u] for u in graph.successors(v)), default=0))
        if when[v] <= 0 and np.isfinite(when[v]):
            raw[v] = math.exp(when[v] / 2.5) * (1 + 4 * credit[v])
    got = graphs.temporal(starts, targets, when, signal, now=0, tau=2.5, gain=4, discount=0.5)
    close(got, normal_sum(raw))


@pytest.mark.parametrize(("seed", "nodes", "edges"), GRAPHS)
def test_min_cut_gated(seed: int, nodes: int, edges: int) -> None:
    starts, targets, graph = random_dag(seed, nodes, edges)
    capacity = np.random.default_rng(seed).integers(0, 9, targets.size).astype(np.float64)
    network = nx.DiGraph()
    network.add_nodes_from([*range(nodes), "source", "sink"])
    for v in range(nodes):
        for e in range(starts[v], starts[v + 1]):
            before = network[v][targets[e]]["capacity"] if network.has_edge(v, targets[e]) else 0
            network.add_edge(v, int(targets[e]), capacity=before + capacity[e])
        if graph.in_degree(v) and not graph.out_degree(v):
            network.add_edge(v, "sink")
        if graph.out_degree(v) and not graph.in_degree(v):
            network.add_edge("source", v)
    gated = graphs.min_cut_gated(starts, targets, capacity=capacity, leak=0.25)
    assert gated.flow == nx.maximum_flow_value(network, "source", "sink")
    touched = np.zeros(nodes)
    total = 0.0
    for v in range(nodes):
        for e in range(starts[v], starts[v + 1]):
            if gated.side[v] > gated.side[targets[e]]:
                touched[v] += capacity[e]
                touched[targets[e]] += capacity[e]
                total += capacity[e]
    assert total == gated.flow
    most = touched.max(initial=0)
    close(gated.scores, normal_sum(0.25 + 0.75 * touched / most if most else np.ones(nodes)))


def test_elsewhere_dag_gate_knows_every_leaf() -> None:
    """Elsewhere the first leaf is the only sink. Three leaves, each with an edge of its own: the flow is theirs all."""
    starts, targets, _ = graphs.csr(
        np.array([0, 1, 1, 1], np.int32), np.array([1, 2, 3, 4], np.int32), 5
    )
    capacity = np.array([10, 1, 2, 3], np.float64)
    assert graphs.min_cut_gated(starts, targets, capacity=capacity).flow == 6


def test_elsewhere_dag_gate_gives_flow_back() -> None:
    """Elsewhere augmenting paths follow forward edges only: 1 in place of 2 when the first takes the middle edge."""
    s, t = np.array([0, 0, 1, 1, 2, 3, 4], np.int32), np.array([1, 2, 3, 4, 3, 5, 5], np.int32)
    starts, targets, _ = graphs.csr(s, t, 6)
    assert graphs.min_cut_gated(starts, targets).flow == 2


SCORES = {
    "topological": (graphs.topological, ()),
    "causal_cone": (graphs.causal_cone, ()),
    "critical_path": (lambda *a, **k: graphs.critical_path(*a, **k).scores, ()),
    "parallel_branch": (graphs.parallel_branch, ()),
    "lorentz": (graphs.lorentz, ("features",)),
    "temporal": (graphs.temporal, ("when", "signal")),
    "min_cut_gated": (lambda *a, **k: graphs.min_cut_gated(*a, **k).scores, ()),
}
BINDS = {
    "topological": graphs.bind_topological,
    "causal_cone": graphs.bind_causal_cone,
    "critical_path": graphs.bind_critical_path,
    "parallel_branch": graphs.bind_parallel_branch,
    "lorentz": graphs.bind_lorentz,
    "temporal": graphs.bind_temporal,
    "min_cut_gated": graphs.bind_min_cut_gated,
}


def extras(name: str, nodes: int) -> tuple[list[Array], dict[str, float]]:
    rng = np.random.default_rng(nodes)
    arrays = {
        "features": rng.standard_normal((nodes, 5)).astype(np.float32),
        "when": rng.uniform(-5, 0, nodes),
        "signal": rng.random(nodes).astype(np.float32),
    }
    return [arrays[one] for one in SCORES[name][1]], {
        "now": 0.0,
        "tau": 2.0,
    } if name == "temporal" else {}


@pytest.mark.parametrize("name", SCORES)
def test_elsewhere_dag_one_convention(name: str) -> None:
    """Elsewhere there are two incompatible traits, maps and vectors. Here every score: CSR in, nodes scores out, sum 1,
    out= and a bound form; a cycle or a loop is an error."""
    score = SCORES[name][0]
    starts, targets, _ = random_dag(1, 50, 120)
    arrays, options = extras(name, 50)
    got = score(starts, targets, *arrays, **options)
    assert got.dtype == np.float32
    assert got.shape == (50,)
    assert (got >= 0).all()
    assert got.sum() == pytest.approx(1, abs=1e-5)
    out = np.empty(50, np.float32)
    assert score(starts, targets, *arrays, **options, out=out) is out
    np.testing.assert_array_equal(out, got)
    bound = BINDS[name](starts, targets, *arrays, **options)
    np.testing.assert_array_equal(bound(), got)
    np.testing.assert_array_equal(bound(), got)
    empty, none = np.zeros(1, np.int32), np.empty(0, np.int32)
    assert score(empty, none, *extras(name, 0)[0], **options).shape == (0,)
    ring = np.array([0, 1, 2, 3], np.int32), np.array([1, 2, 0], np.int32)
    loop = np.array([0, 1, 1, 1], np.int32), np.array([0], np.int32)
    for cyclic in (ring, loop):
        with pytest.raises(ValueError, match=name):
            score(*cyclic, *extras(name, 3)[0], **options)


@pytest.mark.parametrize("name", SCORES)
def test_elsewhere_dag_diamonds_take_no_exponential_time(name: str) -> None:
    """Elsewhere depth search has no visited set: 2^n steps on n diamonds. 3,000 here; paths are not counted."""
    starts, targets = diamonds(3000)
    arrays, options = extras(name, starts.size - 1)
    got = SCORES[name][0](starts, targets, *arrays, **options)
    assert np.isfinite(got).all()
    assert got.sum() == pytest.approx(1, abs=1e-4)


def test_elsewhere_dag_causal_cone_counts_nodes_not_paths() -> None:
    """Elsewhere the cone recomputes all depths for every node. Here depths are computed once, and an ancestor that two
    paths lead to counts once: the end of a diamond has 3."""
    starts, targets = diamonds(1)
    got = graphs.causal_cone(starts, targets, future=0, discount=1)
    close(got / got[0], [1, 2, 2, 4])


def test_elsewhere_dag_depth_is_the_longest_path() -> None:
    """Elsewhere a stack takes the place of the queue in "BFS" depths. A short cut does not make a node less deep."""
    starts, targets, _ = graphs.csr(
        np.array([0, 0, 1, 2], np.int32), np.array([3, 1, 2, 3], np.int32), 4
    )
    np.testing.assert_array_equal(graphs.depths(starts, targets), [0, 1, 2, 3])


def test_elsewhere_dag_lorentz_reads_features() -> None:
    """Elsewhere features are ignored: a node's number and depth are embedded. Two leaves differ in features alone."""
    starts, targets, _ = graphs.csr(np.zeros(2, np.int32), np.array([1, 2], np.int32), 3)
    features = np.array([[1, 1], [1, 0], [0, 1]], np.float32)
    to_first = graphs.lorentz(starts, targets, features, query=features[1])
    assert to_first[1] > 2 * to_first[2]
    swapped = graphs.lorentz(starts, targets, features[[0, 2, 1]].copy(), query=features[1])
    close(swapped, to_first[[0, 2, 1]])


def test_elsewhere_dag_critical_path_is_linear() -> None:
    """Elsewhere paths are copied, O(n^2) memory and time. A path of 200,000 nodes needs arrays of 200,000."""
    at = np.arange(199_999, dtype=np.int32)
    starts, targets, _ = graphs.csr(at, at + 1, 200_000)
    found = graphs.critical_path(starts, targets)
    assert found.length == 200_000
    assert not found.slack.any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 30), st.integers(0, 80), st.integers(0, 2**31), st.sampled_from(sorted(SCORES))
)
def test_scores_do_not_depend_on_the_numbers_of_nodes(
    nodes: int, edges: int, seed: int, name: str
) -> None:
    """Renaming nodes renames scores: depth and edges decide, not the number of a node."""
    _starts, _targets, graph = random_dag(seed, nodes, edges)
    names = np.random.default_rng(seed + 1).permutation(nodes).astype(np.int32)
    ends = np.array([(u, v) for u, v in graph.edges()], np.int32).reshape(-1, 2)
    other = graphs.csr(names[ends[:, 0]], names[ends[:, 1]], nodes)[:2]
    arrays, options = extras(name, nodes)
    moved = [np.empty_like(array) for array in arrays]
    for array, to in zip(arrays, moved, strict=True):
        to[names] = array
    got = SCORES[name][0](
        *graphs.csr(ends[:, 0].copy(), ends[:, 1].copy(), nodes)[:2], *arrays, **options
    )
    np.testing.assert_allclose(
        SCORES[name][0](*other, *moved, **options)[names], got, rtol=1e-5, atol=1e-9
    )


def test_errors_name_the_argument() -> None:
    starts, targets, _ = random_dag(1, 20, 40)
    f, w, g = np.ones((20, 3), np.float32), np.zeros(20), np.zeros(20, np.float32)
    bad = np.full(20, np.nan, np.float32)
    time = {"now": 0.0, "tau": 1.0}
    wrong: list[tuple[str, Any, tuple[Any, ...], dict[str, Any]]] = [
        ("starts", graphs.topological, (starts[::2], targets), {}),
        ("starts", graphs.depths, (starts - 1, targets), {}),
        ("targets", graphs.topological, (starts, targets + 20), {}),
        ("decay", graphs.topological, (starts, targets), {"decay": math.nan}),
        ("decay", graphs.topological, (starts, targets), {"decay": math.inf}),
        ("out", graphs.topological, (starts, targets), {"out": np.empty(19, np.float32)}),
        ("past", graphs.causal_cone, (starts, targets), {"past": -1}),
        ("discount", graphs.causal_cone, (starts, targets), {"discount": 0}),
        ("discount", graphs.causal_cone, (starts, targets), {"discount": 1.1}),
        ("node", graphs.cone, (starts, targets, 20), {}),
        ("cost", graphs.critical_path, (starts, targets), {"cost": bad}),
        ("cost", graphs.critical_path, (starts, targets), {"cost": -f[:, 0].copy()}),
        ("sharpness", graphs.critical_path, (starts, targets), {"sharpness": -1}),
        ("slack", graphs.critical_path, (starts, targets), {"slack": g, "out": g}),
        ("balance", graphs.parallel_branch, (starts, targets), {"balance": 17}),
        ("features", graphs.lorentz, (starts, targets, bad[:, None].copy()), {}),
        ("features", graphs.lorentz, (starts, targets, f[:19]), {}),
        ("query", graphs.lorentz, (starts, targets, f), {"query": g}),
        ("radius", graphs.lorentz, (starts, targets, f), {"radius": 0}),
        ("temperature", graphs.lorentz, (starts, targets, f), {"temperature": 0}),
        ("when", graphs.temporal, (starts, targets, g, g), time),
        ("signal", graphs.temporal, (starts, targets, w, bad), time),
        ("tau", graphs.temporal, (starts, targets, w, g), {"now": 0, "tau": 0}),
        ("now", graphs.temporal, (starts, targets, w, g), {"now": math.nan, "tau": 1}),
        ("capacity", graphs.min_cut_gated, (starts, targets), {"capacity": np.ones(3)}),
        (
            "capacity",
            graphs.min_cut_gated,
            (starts, targets),
            {"capacity": np.full(targets.size, -1.0)},
        ),
        ("leak", graphs.min_cut_gated, (starts, targets), {"leak": 2}),
    ]
    for name, score, arguments, options in wrong:
        with pytest.raises(ValueError, match=f"^{name}:"):
            score(*arguments, **options)


def test_binds_take_what_the_plain_forms_take() -> None:
    for name, bind in BINDS.items():
        assert (
            inspect.signature(bind).parameters
            == inspect.signature(getattr(graphs, name)).parameters
        )
