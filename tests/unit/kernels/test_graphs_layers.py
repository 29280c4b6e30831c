"""Layers over neighbours against dense float64 references: adjacency matrices, no lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import graphs

Array = Any


@pytest.fixture(autouse=True, params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test runs on every level."""
    before = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(before)


def random_graph(seed: int, nodes: int, edges: int) -> tuple[Array, Array, Array, Array]:
    """starts, targets, weights, and the dense matrix of the same."""
    rng = np.random.default_rng(seed)
    s, t = rng.integers(0, max(nodes, 1), (2, edges if nodes else 0), np.int32)
    starts, targets, order = graphs.csr(s, t, nodes)
    weights = rng.uniform(0.1, 2, s.size).astype(np.float32)[order]
    dense = np.zeros((nodes, nodes))
    np.add.at(dense, (s[order], targets), weights.astype(np.float64))
    return starts, targets, weights, dense


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def dense_gcn(a: Array, x: Array, w: Array, own: float, bias: Array | None) -> Array:
    a = a + own * np.eye(len(a))
    degree = a.sum(1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    out = (scale[:, None] * a * scale) @ x.astype(np.float64) @ w.astype(np.float64).T
    return out if bias is None else out + bias


def dense_gat(
    starts: Array,
    targets: Array,
    x: Array,
    w: Array,
    left: Array,
    right: Array,
    slope: float,
    loops: bool,
) -> tuple[Array, Array]:
    """Node by node and head by head, as the paper writes it: (out [nodes, heads, each], attention)."""
    nodes, (heads, each) = len(starts) - 1, left.shape
    z = (x.astype(np.float64) @ w.astype(np.float64).T).reshape(nodes, heads, each)
    out, attention = np.zeros((nodes, heads, each)), np.zeros((len(targets), heads))
    for i in range(nodes):
        edges = [(e, targets[e]) for e in range(starts[i], starts[i + 1])]
        read = [(e, j) for e, j in edges if not loops or j != i] + ([(-1, i)] if loops else [])
        for h in range(heads if read else 0):
            logits = np.array([left[h] @ z[i, h] + right[h] @ z[j, h] for _, j in read], np.float64)
            logits = np.where(logits < 0, slope * logits, logits)
            share = np.exp(logits - logits.max())
            share /= share.sum()
            for (e, j), by in zip(read, share, strict=True):
                out[i, h] += by * z[j, h]
                if e >= 0:
                    attention[e, h] = by
    return out, attention


@pytest.mark.parametrize(
    ("nodes", "edges", "width"),
    [(0, 0, 3), (1, 0, 1), (1, 2, 5), (7, 20, 16), (65, 300, 33), (130, 900, 70)],
)
def test_aggregate(nodes: int, edges: int, width: int) -> None:
    starts, targets, weights, dense = random_graph(nodes, nodes, edges)
    x = normal(1, nodes, width)
    total = graphs.aggregate(starts, targets, x, weights=weights, aggregation="sum")
    np.testing.assert_allclose(total, dense @ x, rtol=0, atol=2e-5)
    row = dense.sum(1, keepdims=True)
    mean = np.where(row > 0, dense @ x / np.where(row > 0, row, 1), 0)
    np.testing.assert_allclose(
        graphs.aggregate(starts, targets, x, weights=weights), mean, rtol=0, atol=5e-6
    )
    largest = np.array(
        [
            x[targets[a:b]].max(0) if b > a else np.zeros(width)
            for a, b in itertools.pairwise(starts)
        ]
    ).reshape(nodes, width)
    np.testing.assert_array_equal(graphs.aggregate(starts, targets, x, aggregation="max"), largest)


@pytest.mark.parametrize(("inner", "outer"), [(5, 9), (40, 8), (64, 64), (1, 1), (0, 4), (4, 0)])
@pytest.mark.parametrize("own", [1.0, 0.0, 0.5])
def test_gcn(inner: int, outer: int, own: float) -> None:
    starts, targets, weights, dense = random_graph(3, 90, 400)
    x, w, bias = normal(4, 90, inner), normal(5, outer, inner), normal(6, outer)
    got = graphs.gcn(starts, targets, x, w, weights=weights, bias=bias, self_weight=own)
    np.testing.assert_allclose(got, dense_gcn(dense, x, w, own, bias), rtol=0, atol=3e-5)


def test_gcn_of_one_edge_by_hand() -> None:
    """Kipf and Welling's normalisation on 0 - 1: every entry of the normalised matrix is 1/2."""
    x = np.array([[2.0], [4.0]], np.float32)
    got = graphs.gcn(
        np.array([0, 1, 2], np.int32), np.array([1, 0], np.int32), x, np.ones((1, 1), np.float32)
    )
    np.testing.assert_allclose(got, [[3], [3]], rtol=1e-6)


@pytest.mark.parametrize("aggregation", ["sum", "mean", "max"])
@pytest.mark.parametrize("outer", [6, 50])
def test_sage(aggregation: str, outer: int) -> None:
    starts, targets, weights, dense = random_graph(7, 70, 250)
    x, own, other, bias = (
        normal(1, 70, 20),
        normal(2, outer, 20),
        normal(3, outer, 20),
        normal(4, outer),
    )
    if aggregation == "max":
        read = graphs.aggregate(starts, targets, x, aggregation="max").astype(np.float64)
    else:
        row = dense.sum(1, keepdims=True) if aggregation == "mean" else np.ones((70, 1))
        read = np.where(row > 0, dense @ x / np.where(row > 0, row, 1), 0)
    want = x.astype(np.float64) @ own.T + read @ other.T + bias
    got = graphs.sage(
        starts, targets, x, own, other, weights=weights, bias=bias, aggregation=aggregation
    )
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-4)
    unit = graphs.sage(
        starts,
        targets,
        x,
        own,
        other,
        weights=weights,
        bias=bias,
        aggregation=aggregation,
        normalise=True,
    )
    np.testing.assert_allclose(unit, want / np.linalg.norm(want, axis=1, keepdims=True), atol=2e-5)


def test_sage_pooling_is_the_largest_of_a_layer_of_its_own() -> None:
    starts, targets, _, _ = random_graph(8, 40, 120)
    x, pool, pool_bias = normal(1, 40, 11), normal(2, 17, 11), normal(3, 17)
    own, other = normal(4, 5, 11), normal(5, 5, 17)
    pooled = np.maximum(0, x.astype(np.float64) @ pool.T + pool_bias)
    read = np.array(
        [
            pooled[targets[a:b]].max(0) if b > a else np.zeros(17)
            for a, b in itertools.pairwise(starts)
        ]
    )
    got = graphs.sage(
        starts, targets, x, own, other, pool_w=pool, pool_bias=pool_bias, aggregation="max"
    )
    np.testing.assert_allclose(got, x.astype(np.float64) @ own.T + read @ other.T, atol=5e-5)


@pytest.mark.parametrize(("heads", "each"), [(1, 1), (8, 8), (3, 20), (2, 64)])
@pytest.mark.parametrize("loops", [True, False])
def test_gat(heads: int, each: int, loops: bool) -> None:
    starts, targets, _, _ = random_graph(11, 60, 260)
    x, w = normal(1, 60, 24), normal(2, heads * each, 24) / 5
    left, right, bias = normal(3, heads, each), normal(4, heads, each), normal(5, heads * each)
    attention = np.empty((targets.size, heads), np.float32)
    got = graphs.gat(
        starts, targets, x, w, left, right, bias=bias, self_loops=loops, attention=attention
    )
    want, share = dense_gat(starts, targets, x, w, left, right, 0.2, loops)
    np.testing.assert_allclose(got, want.reshape(60, -1) + bias, rtol=0, atol=2e-5)
    np.testing.assert_allclose(attention, share, rtol=0, atol=5e-6)
    mean = graphs.gat(starts, targets, x, w, left, right, self_loops=loops, mean=True, slope=0.2)
    np.testing.assert_allclose(mean, want.mean(1), rtol=0, atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(0, 120), st.integers(1, 40), st.integers(0, 2**31))
def test_gat_weights_of_a_node_sum_to_one(nodes: int, edges: int, each: int, seed: int) -> None:
    starts, targets, _, _ = random_graph(seed, nodes, edges)
    x, w = normal(seed, nodes, 4), normal(seed + 1, each, 4)
    left, right = 9 * normal(seed + 2, 1, each), 9 * normal(seed + 3, 1, each)
    attention = np.empty((targets.size, 1), np.float32)
    graphs.gat(starts, targets, x, w, left, right, attention=attention, self_loops=False)
    sums = np.add.reduceat(np.append(attention[:, 0], 0), starts[:-1])[np.diff(starts) > 0]
    np.testing.assert_allclose(sums, 1, atol=3e-6)


def test_elsewhere_gnn_layers_absent() -> None:
    """Elsewhere GCN, GAT and GraphSAGE are strings in a list. Here each does what its paper says on a path of 3."""
    starts, targets = np.array([0, 1, 3, 4], np.int32), np.array([1, 0, 2, 1], np.int32)
    dense = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], float)
    x, w = normal(1, 3, 4), normal(2, 2, 4)
    np.testing.assert_allclose(
        graphs.gcn(starts, targets, x, w), dense_gcn(dense, x, w, 1, None), atol=1e-6
    )
    mean = dense / dense.sum(1, keepdims=True)
    np.testing.assert_allclose(
        graphs.sage(starts, targets, x, w, w), x @ w.T + mean @ x @ w.T, atol=2e-6
    )
    left, right = normal(3, 1, 2), normal(4, 1, 2)
    want, _ = dense_gat(starts, targets, x, w, left, right, 0.2, True)
    np.testing.assert_allclose(
        graphs.gat(starts, targets, x, w, left, right), want[:, 0], atol=2e-6
    )


def test_elsewhere_gnn_distance_is_no_weight() -> None:
    """Elsewhere distances are used as weights, so far neighbours count more. A heavier edge pulls the mean its way."""
    starts, targets = np.array([0, 2, 2, 2], np.int32), np.array([1, 2], np.int32)
    x = np.array([[0], [1], [-1]], np.float32)
    distance = np.array([0.1, 5.0], np.float32)
    mean = graphs.aggregate(starts, targets, x, weights=np.exp(-distance))
    assert mean[0, 0] > 0.9
    heavier = graphs.aggregate(starts, targets, x, weights=np.array([3, 1], np.float32))
    assert heavier[0, 0] == pytest.approx(0.5)


def test_elsewhere_gnn_no_dropout_at_inference() -> None:
    """Elsewhere dropout's scale 1 / (1 - p) is applied at inference. A layer here is its formula, twice the same."""
    starts, targets, weights, dense = random_graph(5, 30, 90)
    x, w = normal(1, 30, 8), normal(2, 8, 8)
    first = graphs.gcn(starts, targets, x, w, weights=weights)
    np.testing.assert_array_equal(first, graphs.gcn(starts, targets, x, w, weights=weights))
    ratio = first / dense_gcn(dense, x, w, 1, None)
    np.testing.assert_allclose(np.median(ratio), 1, atol=1e-5)


def test_threads_and_out_and_bind_change_nothing() -> None:
    starts, targets, weights, _ = random_graph(9, 300, 1500)
    x, w, left, right = normal(1, 300, 30), normal(2, 40, 30), normal(3, 4, 10), normal(4, 4, 10)
    calls = (
        (graphs.gcn, graphs.bind_gcn, (w,), {"weights": weights}),
        (graphs.sage, graphs.bind_sage, (w, w), {"normalise": True}),
        (graphs.gat, graphs.bind_gat, (w, left, right), {}),
        (graphs.aggregate, graphs.bind_aggregate, (), {}),
    )
    for plain, bind, matrices, options in calls:
        once = plain(starts, targets, x, *matrices, **options)  # type: ignore[operator]
        out = np.empty_like(once)
        assert plain(starts, targets, x, *matrices, **options, out=out, threads=3) is out  # type: ignore[operator]
        np.testing.assert_array_equal(out, once)
        bound = bind(starts, targets, x, *matrices, **options, threads=2)  # type: ignore[operator]
        np.testing.assert_array_equal(bound(), once)
        np.testing.assert_array_equal(bound(), once)


def test_nan_and_infinity_stay_with_who_reads_them() -> None:
    starts, targets = np.array([0, 1, 2, 3], np.int32), np.array([1, 2, 2], np.int32)
    x = np.array([[1, 2], [np.nan, 1], [3, np.inf]], np.float32)
    for kind in ("sum", "mean", "max"):
        got = graphs.aggregate(starts, targets, x, aggregation=kind)
        np.testing.assert_array_equal(got, [[np.nan, 1], [3, np.inf], [3, np.inf]])


def test_degree_not_above_zero_counts_as_none() -> None:
    starts, targets = np.array([0, 1, 2], np.int32), np.array([1, 0], np.int32)
    weights = np.array([-3, 1], np.float32)
    got = graphs.gcn(
        starts, targets, np.ones((2, 1), np.float32), np.ones((1, 1), np.float32), weights=weights
    )
    np.testing.assert_allclose(got, [[0], [0.5]])


def test_torch_tensors_are_taken_where_they_lie() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    starts, targets, _, _ = random_graph(5, 30, 90)
    x, w = normal(1, 30, 8), normal(2, 8, 8)
    got = graphs.gcn(starts, targets, torch.from_numpy(x), torch.from_numpy(w))
    np.testing.assert_array_equal(got, graphs.gcn(starts, targets, x, w))


def test_errors_name_the_argument() -> None:
    starts, targets, _, _ = random_graph(5, 30, 90)
    x, w, a = normal(1, 30, 8), normal(2, 8, 8), normal(3, 2, 4)

    def gcn(**changed: Any) -> Array:
        given = {"starts": starts, "targets": targets, "x": x, "w": w, **changed}
        return graphs.gcn(
            given.pop("starts"), given.pop("targets"), given.pop("x"), given.pop("w"), **given
        )

    broken = starts.copy()
    broken[3] = 80
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("starts", {"starts": starts[:0]}),
        ("starts", {"starts": starts.astype(np.int64)}),
        ("starts", {"starts": broken}),
        ("starts", {"starts": starts + 1}),
        ("targets", {"targets": targets + 30}),
        ("targets", {"targets": targets - 30}),
        ("targets", {"targets": targets.astype(np.float32)}),
        ("x", {"x": x[:29]}),
        ("x", {"x": x.astype(np.float64)}),
        ("x", {"x": np.asfortranarray(x)}),
        ("w", {"w": w[:, :7]}),
        ("w", {"w": None}),
        ("weights", {"weights": np.ones(3, np.float32)}),
        ("bias", {"bias": np.ones(3, np.float32)}),
        ("out", {"out": np.empty((30, 7), np.float32)}),
        ("out", {"out": x}),
        ("threads", {"threads": 0}),
    ]
    for name, changed in wrong:
        with pytest.raises(ValueError, match=f"^{name}:"):
            gcn(**changed)
    with pytest.raises(ValueError, match=r"^aggregation:"):
        graphs.aggregate(starts, targets, x, aggregation="median")
    with pytest.raises(ValueError, match=r"^pool_bias:"):
        graphs.sage(starts, targets, x, w, w, pool_bias=np.ones(8, np.float32))
    with pytest.raises(ValueError, match=r"^w_neighbour:"):
        graphs.sage(starts, targets, x, w, normal(1, 8, 9))
    with pytest.raises(ValueError, match=r"^a_neighbour:"):
        graphs.gat(starts, targets, x, w, a, a[:1])
    with pytest.raises(ValueError, match=r"^a_self:"):
        graphs.gat(starts, targets, x, w, a[:, :0], a)
    with pytest.raises(ValueError, match=r"^attention:"):
        graphs.gat(starts, targets, x, w, a, a, attention=np.empty((90, 1), np.float32))
