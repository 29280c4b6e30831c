"""Distances and the nearest k through the Python face, beside float64 and a full sort."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import distances
from ganglion.kernels._kernels import lib

FLOATS = ("dot", "cosine", "l2", "l2sq")
EPS = 2.0**-24
Metrics = st.sampled_from(FLOATS)


@contextmanager
def level(name: str) -> Iterator[None]:
    best = kernels.isa()
    kernels.force_isa(name)
    try:
        yield
    finally:
        kernels.force_isa(best)


def reference(metric: str, queries: Any, keys: Any, eps: float = EPS) -> tuple[Any, Any]:
    """The metric in float64, and the bound on an error of sums in a type of that eps."""
    q, k = np.atleast_2d(queries).astype(np.float64), keys.astype(np.float64)
    e = (k.shape[1] + 4) * eps
    if metric in ("dot", "cosine"):
        found, bound = q @ k.T, e * (np.abs(q) @ np.abs(k).T)
        if metric == "cosine":
            norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(k, axis=1)
            found = np.divide(found, norms, out=np.zeros_like(norms), where=norms > 0)
            bound = np.full_like(found, 2 * e)
        return found, bound
    squares = ((q[:, None] - k[None]) ** 2).sum(axis=-1)
    if metric == "l2":
        return np.sqrt(squares), e * np.sqrt(squares)
    return squares, 2 * e * squares


def sorted_all(metric: str, scores: Any, k: int) -> Any:
    """The first k of a stable sort: NaN last, ties by index."""
    keyed = scores if metric in ("l2", "l2sq", "hamming", "jaccard") else -scores
    return np.argsort(keyed, axis=-1, kind="stable")[..., :k]


def vectors(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if dtype == np.int8:
        return rng.integers(-128, 128, shape, dtype=np.int8)
    return rng.standard_normal(shape).astype(dtype)


@settings(max_examples=80, deadline=None)
@given(
    metric=Metrics,
    m=st.integers(1, 12),
    n=st.integers(0, 40),
    dim=st.integers(0, 70),
    dtype=st.sampled_from([np.float32, np.float16, np.int8]),
    seed=st.integers(0, 1 << 20),
)
def test_is_the_metric_within_its_bound(
    metric: str, m: int, n: int, dim: int, dtype: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    queries, keys = vectors(rng, (m, dim), dtype), vectors(rng, (n, dim), dtype)
    want, bound = reference(metric, queries, keys)
    got = distances.distances(queries, keys, metric)
    assert got.shape == (m, n)
    assert got.dtype == np.float32
    assert (np.abs(got - want) <= bound + 1e-37).all()
    scores, indices = distances.nearest(queries, keys, 7, metric)
    order = sorted_all(metric, got, 7)
    assert np.array_equal(indices, order)
    assert np.array_equal(scores, np.take_along_axis(got, order, axis=1))


@pytest.mark.parametrize("name", kernels.isas())
@pytest.mark.parametrize("metric", FLOATS)
def test_every_level_past_the_sizes_of_its_blocks(name: str, metric: str) -> None:
    rng = np.random.default_rng(3)
    with level(name):
        for dtype in (np.float32, np.float16, np.int8):
            queries, keys = vectors(rng, (40, 401), dtype), vectors(rng, (230, 401), dtype)
            want, bound = reference(metric, queries, keys)
            assert (np.abs(distances.distances(queries, keys, metric) - want) <= bound).all()
            one = distances.distances(queries[0], keys, metric)
            assert (np.abs(one - want[0]) <= bound[0]).all()


@pytest.mark.parametrize("metric", FLOATS)
def test_sums_in_float64(metric: str) -> None:
    rng = np.random.default_rng(4)
    queries, keys = vectors(rng, (5, 384), np.float32), vectors(rng, (50, 384), np.float32)
    want, bound = reference(metric, queries, keys, 2.0**-52)
    got = distances.distances(queries, keys, metric, sums="f64")
    assert got.dtype == np.float64
    assert (np.abs(got - want) <= bound).all()


@pytest.mark.parametrize(
    ("plain", "metric"), [(distances.dot, "dot"), (distances.cosine, "cosine")]
)
def test_near_one_direction(plain: Any, metric: str) -> None:
    """A vector, itself, its opposite, nothing."""
    q = np.array([3.0, 4.0], np.float32)
    keys = np.stack([q, -q, 0 * q])
    scale = 1.0 if metric == "cosine" else 25.0
    np.testing.assert_allclose(plain(q, keys), [scale, -scale, 0.0], rtol=1e-6)


def test_near_vectors_keep_their_digits() -> None:
    """|q|^2 + |k|^2 - 2 q.k of these is 0 or worse in float32."""
    q = np.full((8, 32), 1000.0, np.float32)
    keys = q[:1] + np.float32(2.0**-10)
    assert (distances.l2sq(q, keys) == 32 * 2.0**-20).all()
    assert (distances.l2(q[0], keys) == np.float32(np.sqrt(32) * 2.0**-10)).all()


@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(1, 9),
    n=st.integers(1, 30),
    size=st.integers(0, 80),
    seed=st.integers(0, 1 << 20),
)
def test_bits_are_exact(m: int, n: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.integers(0, 256, (m, size), dtype=np.uint8)
    keys = rng.integers(0, 256, (n, size), dtype=np.uint8)
    q, k = np.unpackbits(queries, axis=1)[:, None], np.unpackbits(keys, axis=1)[None]
    both, either = (q & k).sum(axis=-1), (q | k).sum(axis=-1)
    got = distances.hamming(queries, keys)
    assert np.array_equal(got, (q ^ k).sum(axis=-1))
    assert np.array_equal(distances.hamming(queries[0], keys), got[0])
    want = 1 - np.divide(both, either, out=np.ones(both.shape), where=either > 0)
    np.testing.assert_allclose(distances.jaccard(queries, keys), want, atol=2**-23)
    for metric in ("hamming", "jaccard"):
        _, indices = distances.nearest(queries, keys, 5, metric)
        order = sorted_all(metric, distances.distances(queries, keys, metric), 5)
        assert np.array_equal(indices, order)
    if size % 8 == 0 and size:
        words = distances.hamming(queries.view(np.uint64), keys.view(np.uint64))
        assert np.array_equal(words, got)


@pytest.mark.parametrize("metric", FLOATS)
def test_threads_change_no_bit(metric: str) -> None:
    rng = np.random.default_rng(5)
    keys = vectors(rng, (5000, 20), np.float32)
    keys[100:200] = keys[:100]
    with kernels.Pool(3) as pool:
        for queries in (keys[7], keys[:3], keys[:200]):
            alone = distances.distances(queries, keys, metric)
            assert np.array_equal(distances.distances(queries, keys, metric, threads=pool), alone)
            ours, theirs = (
                distances.nearest(queries, keys, 9, metric, threads=t) for t in (1, pool)
            )
            assert np.array_equal(ours[0], theirs[0])
            assert np.array_equal(ours[1], theirs[1])
        alone64 = distances.distances(keys[0], keys, metric, sums="f64")
        shared64 = distances.distances(keys[0], keys, metric, sums="f64", threads=pool)
        assert np.array_equal(alone64, shared64)


def test_the_same_bits_at_every_alignment_and_size() -> None:
    """A key's score depends on the key alone: not on where it lies or how many there are."""
    rng = np.random.default_rng(6)
    keys, q = vectors(rng, (64, 384), np.float32), vectors(rng, (384,), np.float32)
    room = np.empty(64 * 384 + 16, np.float32)
    want = distances.dot(q, keys)
    for skip in range(16):
        moved = room[skip : skip + keys.size].reshape(keys.shape)
        moved[:] = keys
        assert np.array_equal(distances.dot(q, moved), want)
        assert np.array_equal(distances.dot(q, moved[:29]), want[:29])
        assert distances.dot(q, moved[62:]).tolist() == want[62:].tolist()


def test_keys_past_the_caches_are_summed_in_the_same_order() -> None:
    rng = np.random.default_rng(7)
    keys, q = vectors(rng, (3000, 384), np.float32), vectors(rng, (384,), np.float32)
    for metric in FLOATS:
        far = distances.distances(q, keys, metric)
        near = distances.distances(q, keys[:800], metric)
        assert np.array_equal(far[:800], near)


def test_elsewhere_reasoningbank_nan_comes_last() -> None:
    """A linear cosine scan elsewhere sorts its scores and panics when one is NaN. Here NaN is behind every number."""
    rng = np.random.default_rng(8)
    keys, q = vectors(rng, (500, 16), np.float32), vectors(rng, (16,), np.float32)
    keys[::3] = np.nan
    keys[1] = np.inf  # an infinite norm: inf * 0
    for metric in FLOATS:
        scores, indices = distances.nearest(q, keys, 500, metric)
        all_scores = distances.distances(q, keys, metric)
        assert np.array_equal(indices, sorted_all(metric, all_scores, 500))
        numbers = int((~np.isnan(all_scores)).sum())
        assert not np.isnan(scores[:numbers]).any()
        assert np.isnan(scores[numbers:]).all()
        assert np.array_equal(distances.nearest(q, keys, 3, metric)[1], indices[:3])


def test_elsewhere_hdc_top_k_sorts_no_list_of_all_scores() -> None:
    """An item memory elsewhere writes out every similarity and sorts them all. Here scratch does not grow with n."""
    sizes = [
        lib.gn_nearest_scratch(lib.GN_METRIC_HAMMING, lib.GN_ELEMENT_B1, 1, n, 1250, 10, 1)
        for n in (2_000, 1_000_000)
    ]
    assert sizes[0] == sizes[1] < 1 << 16


def test_elsewhere_kwta_nan_does_not_move_winners() -> None:
    """A selection elsewhere compares NaN as equal: [1,NaN,3,2,NaN,0,5,4] and k = 2 gave indices 0 and 1."""
    keys = np.array([1, np.nan, 3, 2, np.nan, 0, 5, 4], np.float32)[:, None]
    _, indices = distances.nearest(np.ones(1, np.float32), keys, 2, "dot")
    assert indices.tolist() == [6, 7]


def test_ties_go_to_the_lowest_index_and_both_zeros_tie() -> None:
    keys = np.array([1, -0.0, 0.0, 1, -1], np.float32)[:, None]
    scores, indices = distances.nearest(np.ones(1, np.float32), keys, 5)
    assert indices.tolist() == [0, 3, 1, 2, 4]
    assert scores.tolist() == [1, 1, 0, 0, -1]
    scores, indices = distances.nearest(np.zeros(1, np.float32), keys, 5, "l2")
    assert indices.tolist() == [1, 2, 0, 3, 4]
    assert scores.tolist() == [0, 0, 1, 1, 1]


def test_sizes_of_nothing() -> None:
    none, some = np.empty((0, 4), np.float32), np.ones((3, 4), np.float32)
    assert distances.dot(none, some).shape == (0, 3)
    assert distances.dot(some, none).shape == (3, 0)
    assert (
        distances.cosine(np.empty((2, 0), np.float32), np.empty((3, 0), np.float32)).tolist()
        == [[0] * 3] * 2
    )
    scores, indices = distances.nearest(some[0], none, 5)
    assert scores.shape == indices.shape == (0,)
    assert distances.nearest(some, some, 0)[1].shape == (3, 0)


def test_bound_calls_follow_their_arrays() -> None:
    rng = np.random.default_rng(9)
    keys, q = vectors(rng, (30, 8), np.float32), vectors(rng, (8,), np.float32)
    out = np.empty(30, np.float32)
    for metric in FLOATS:
        bound = distances.bind_distances(q, keys, metric, out=out)
        assert bound() is out
        keys *= 2
        assert np.array_equal(bound(), distances.distances(q, keys, metric))
    near = distances.bind_nearest(q, keys, 4, "cosine")
    q *= -1
    assert np.array_equal(near()[1], distances.nearest(q, keys, 4, "cosine")[1])


def test_takes_buffers_and_tensors() -> None:
    rng = np.random.default_rng(10)
    keys, q = vectors(rng, (6, 8), np.float32), vectors(rng, (8,), np.float32)
    want = distances.dot(q, keys)
    assert np.array_equal(distances.dot(memoryview(q), memoryview(keys)), want)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensor = torch.from_numpy(keys)
    assert np.array_equal(distances.dot(torch.from_numpy(q), tensor), want)
    half = tensor.to(torch.bfloat16)
    exact, _ = reference("dot", q, half.to(torch.float32).numpy())
    got = distances.dot(torch.from_numpy(q).to(torch.bfloat16), half)
    np.testing.assert_allclose(got, exact[0], atol=0.1)


F = np.zeros((3, 4), np.float32)


@pytest.mark.parametrize(
    ("begins", "queries", "keys", "options"),
    [
        ("queries: dtype", np.zeros((2, 4)), F, {}),
        ("queries: not an array", 7, F, {}),
        ("queries: not dense", np.zeros((4, 2), np.float32).T, F, {}),
        ("queries: 3 dimensions", np.zeros((1, 2, 4), np.float32), F, {}),
        ("queries: rows of 5", np.zeros(5, np.float32), F, {}),
        ("keys: 1 dimensions", F[0], F[0], {}),
        ("keys: not dense", F[0], np.zeros((4, 3), np.float32).T, {}),
        ("keys: another dtype", F, np.zeros((3, 4), np.float16), {}),
        ("metric: ", F, F, {"metric": "euclid"}),
        ("queries: dtype", F, F, {"metric": "hamming"}),
        ("sums: ", F, F, {"sums": "f16"}),
        ("sums: ", F.astype(np.float16), F.astype(np.float16), {"sums": "f64"}),
        ("out: shape", F, F, {"out": np.zeros((3, 4), np.float32)}),
        ("out: shape", F[0], F, {"out": np.zeros(4, np.float32)}),
        ("out: dtype", F, F, {"out": np.zeros((3, 3))}),
        ("threads: ", F, F, {"threads": 0}),
        ("keys: rows too long", np.zeros((2, 70_000), np.int8), np.zeros((2, 70_000), np.int8), {}),
    ],
)
def test_refusals_name_the_argument(
    begins: str, queries: Any, keys: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"^{begins}"):
        distances.distances(queries, keys, **options)


def test_out_may_not_be_an_input_or_read_only() -> None:
    square = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match=r"^out: overlaps"):
        distances.dot(square, square, out=square)
    with pytest.raises(ValueError, match=r"^out: overlaps"):
        distances.dot(np.zeros(4, np.float32), square, out=square[1])
    fixed = np.zeros(4, np.float32)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=r"^out: read-only"):
        distances.dot(np.zeros(4, np.float32), square, out=fixed)
    with pytest.raises(ValueError, match=r"^out\[1\]: shape"):
        distances.nearest(square, square, 2, out=(None, np.zeros((4, 3), np.int64)))
    with pytest.raises(ValueError, match=r"^k: "):
        distances.nearest(square, square, -1)
