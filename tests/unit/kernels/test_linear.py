"""Linear attention (FAVOR+) beside exact softmax attention and its own definition, both in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import linear


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def softmax_attention(q: Any, k: Any, v: Any, causal: bool = False) -> Any:
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    scores = q @ k.T / math.sqrt(q.shape[1])
    if causal:
        scores[np.triu_indices(len(q), 1)] = -np.inf
    p = np.exp(scores - scores.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True) @ v


def estimate(
    q: Any, k: Any, v: Any, w: Any, scale: float | None = None, causal: bool = False
) -> Any:
    """The definition: phi_i(x) = exp(w_i.x' - |x'|^2 / 2), x' = sqrt(scale) x."""
    q, k, v, w = (a.astype(np.float64) for a in (q, k, v, w))
    root = math.sqrt(1 / math.sqrt(q.shape[1]) if scale is None else scale)
    a = q @ w.T * root
    b = k @ w.T * root - (k * k).sum(1, keepdims=True) * root * root / 2
    weights = np.exp(a - a.max(1, keepdims=True)) @ np.exp(b - b.max()).T
    if causal:
        weights = np.tril(weights)
    return weights @ v / weights.sum(1, keepdims=True)


def test_elsewhere_linear_scaling_at_d_64() -> None:
    """Features scaled by d^-1/2 with |x|^2 / 2 at full size estimate another kernel: at d = 64, unit normal, the result
    was 1e-21 in place of 1 for values that are all 1."""
    q, k = normal(50, 64), normal(80, 64, seed=1)
    got = linear.linear_attention(
        q, k, np.ones((80, 3), np.float32), linear.favor_projection(256, 64)
    )
    assert np.abs(got - 1).max() < 1e-5


def test_elsewhere_linear_not_only_constant_values() -> None:
    """Tests with constant values cannot tell a right estimate from a wrong one: these values differ, and the error
    against exact softmax falls as features grow."""
    q, k, v = 0.5 * normal(40, 64), 0.5 * normal(60, 64, seed=1), normal(60, 16, seed=2)
    exact = softmax_attention(q, k, v)
    errors = []
    for features in (16, 256, 4096):
        found = [
            linear.linear_attention(q, k, v, linear.favor_projection(features, 64, seed=s)) - exact
            for s in range(5)
        ]
        errors.append(math.sqrt(np.mean(np.square(found))))
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.5 * errors[1]
    assert errors[2] < 0.25 * exact.std()


def test_the_kernel_is_estimated_without_bias() -> None:
    """With one key of weight exp(q.k / sqrt d) and one at the origin (weight 1), the quotient's mean is the softmax."""
    rng = np.random.default_rng(5)
    q, k = rng.standard_normal((2, 1, 8)).astype(np.float32)
    keys, values = np.concatenate([k, 0 * k]), np.array([[1.0], [0.0]], np.float32)
    want = softmax_attention(q, keys, values)[0, 0]
    w = linear.favor_projection(1 << 15, 8, seed=1)
    assert abs(linear.linear_attention(q, keys, values, w)[0, 0] - want) < 0.01


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 70),
    count=st.integers(1, 130),
    dim=st.integers(1, 40),
    value_dim=st.integers(1, 40),
    features=st.integers(1, 80),
    seed=st.integers(0, 1 << 20),
)
def test_is_the_definition(
    rows: int, count: int, dim: int, value_dim: int, features: int, seed: int
) -> None:
    q, k, v = (
        normal(rows, dim, seed=seed),
        normal(count, dim, seed=seed + 1),
        normal(count, value_dim),
    )
    w = linear.favor_projection(features, dim, seed=seed)
    assert np.abs(linear.linear_attention(q, k, v, w) - estimate(q, k, v, w)).max() < 2e-5
    assert np.abs(linear.linear_causal(k, k, v, w) - estimate(k, k, v, w, causal=True)).max() < 2e-5


@pytest.mark.parametrize("level", kernels.isas())
def test_every_level_at_1000(level: str) -> None:
    q, k, v = normal(300, 64), normal(1000, 64, seed=1), normal(1000, 64, seed=2)
    w = linear.favor_projection(256, 64)
    best = kernels.isa()
    try:
        kernels.force_isa(level)
        assert np.abs(linear.linear_attention(q, k, v, w) - estimate(q, k, v, w)).max() < 1e-5
    finally:
        kernels.force_isa(best)


def test_long_queries_and_keys_neither_overflow_nor_vanish() -> None:
    """Norms of 40 to 400: plain features are e^-800 and less; their logarithms cancel in the quotient."""
    q, k, v = 5 * normal(20, 64), 5 * normal(30, 64, seed=1), normal(30, 4, seed=2)
    k[7] *= 10
    w = linear.favor_projection(64, 64)
    got = linear.linear_attention(q, k, v, w)
    assert np.isfinite(got).all()
    assert np.abs(got - estimate(q, k, v, w)).max() < 1e-3


def test_a_sequence_in_pieces_and_token_by_token() -> None:
    q, k, v = normal(3, 90, 12), normal(3, 90, 12, seed=1), normal(3, 90, 7, seed=2)
    w = linear.favor_projection(20, 12)
    whole = linear.linear_causal(q, k, v, w)
    for head in range(3):
        want = estimate(q[head], k[head], v[head], w, causal=True)
        assert np.abs(whole[head] - want).max() < 1e-5
    state = linear.linear_state(20, 7, heads=3)
    parts = []
    for i, j in ((0, 1), (1, 2), (2, 50), (50, 90)):
        x, y, z = (np.ascontiguousarray(a[:, i:j]) for a in (q, k, v))
        parts.append(linear.linear_causal(x, y, z, w, state=state))
    assert np.abs(np.concatenate(parts, 1) - whole).max() < 1e-5


def test_the_future_is_not_seen() -> None:
    q, k, v = normal(60, 8), normal(60, 8, seed=1), normal(60, 5, seed=2)
    w = linear.favor_projection(16, 8)
    calm = linear.linear_causal(q, k, v, w)
    for array in (k, v):
        kept = array[30].copy()
        for wild in (np.nan, np.inf, 1e30):
            array[30] = wild
            assert np.abs(linear.linear_causal(q, k, v, w)[:30] - calm[:30]).max() < 1e-6
        array[30] = kept


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
def test_a_wild_query_is_its_own_row(wild: float) -> None:
    q, k, v = normal(60, 8), normal(70, 8, seed=1), normal(70, 5, seed=2)
    w = linear.favor_projection(19, 8)
    calm = linear.linear_attention(q, k, v, w)
    q[33, 2] = wild
    got = linear.linear_attention(q, k, v, w)
    assert np.isnan(got[33]).all()
    assert (np.delete(got, 33, 0) == np.delete(calm, 33, 0)).all()


def test_threads_bind_out_and_scale() -> None:
    q, k, v = normal(2, 600, 16), normal(2, 700, 16, seed=1), normal(2, 700, 9, seed=2)
    w = linear.favor_projection(33, 16)
    want = linear.linear_attention(q, k, v, w, scale=0.3)
    assert np.abs(want[1] - estimate(q[1], k[1], v[1], w, scale=0.3)).max() < 1e-5
    assert (linear.linear_attention(q, k, v, w, scale=0.3, threads=2) == want).all()
    out = np.empty_like(want)
    bound = linear.bind_linear_attention(q, k, v, w, scale=0.3, out=out, threads=2)
    assert bound() is out
    assert (out == want).all()
    state = linear.linear_state(33, 9, heads=2)
    follow = linear.bind_linear_causal(k, k, v, w, state=state)
    first = follow().copy()
    assert (first == linear.linear_causal(k, k, v, w, threads=2)).all()
    assert (follow() != first).any()  # it goes on from the state


def test_nothing_to_see_is_zeros() -> None:
    w = linear.favor_projection(4, 8)
    none = np.empty((0, 8), np.float32)
    assert (linear.linear_attention(normal(3, 8), none, np.empty((0, 2), np.float32), w) == 0).all()
    assert linear.linear_attention(none, normal(3, 8), normal(3, 2), w).shape == (0, 2)
    assert linear.linear_causal(none, none, np.empty((0, 2), np.float32), w).shape == (0, 2)


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed; nothing depends on it")
    q, k, v, w = normal(5, 8), normal(6, 8), normal(6, 3), linear.favor_projection(9, 8)
    got = linear.linear_attention(*(torch.from_numpy(a) for a in (q, k, v, w)))
    assert (got == linear.linear_attention(q, k, v, w)).all()


def test_projection() -> None:
    w = linear.favor_projection(40, 16, seed=3).astype(np.float64)
    assert (w == linear.favor_projection(40, 16, seed=3)).all()
    assert (w != linear.favor_projection(40, 16, seed=4)).any()
    gram = w[:16] @ w[:16].T
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-4
    assert abs((np.square(w).sum(1)).mean() / 16 - 1) < 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": normal(2, 3, 4, 5)}, "queries: 4 dim"),
        ({"queries": normal(5, 8).astype(np.float64)}, "queries: dtype"),
        ({"queries": [[1.0]]}, "queries: not an array"),
        ({"keys": normal(6, 7)}, "keys: dim 7"),
        ({"keys": normal(8, 6).T}, "keys: not dense"),
        ({"keys": normal(1, 6, 8)}, "keys: 3 dimensions"),
        ({"values": normal(5, 3)}, "values: 5 rows"),
        ({"projection": normal(9, 7)}, "projection: shape"),
        ({"projection": normal(0, 8)}, "projection: shape"),
        ({"scale": 0.0}, "scale: 0.0"),
        ({"scale": math.nan}, "scale: nan"),
        ({"out": np.empty((5, 4), np.float32)}, "out: shape"),
        ({"threads": 0}, "threads: 0"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    good = {
        "queries": normal(5, 8),
        "keys": normal(6, 8),
        "values": normal(6, 3),
        "projection": normal(9, 8),
    }
    with pytest.raises(ValueError, match=message):
        linear.linear_attention(**{**good, **change})


def test_what_is_wrong_is_named_causal() -> None:
    q, v, w = normal(5, 8), normal(5, 3), normal(9, 8)
    state = linear.linear_state(9, 3)
    with pytest.raises(ValueError, match="keys: 4 rows"):
        linear.linear_causal(q, normal(4, 8), normal(4, 3), w)
    with pytest.raises(ValueError, match="state: shape"):
        linear.linear_causal(q, q, v, w, state=linear.linear_state(9, 4))
    with pytest.raises(ValueError, match="state: overlaps"):
        linear.linear_causal(q, q, state[0, :15].reshape(5, 3), w, state=state)
    state.flags.writeable = False
    with pytest.raises(ValueError, match="state: read-only"):
        linear.linear_causal(q, q, v, w, state=state)
    with pytest.raises(ValueError, match="features"):
        linear.favor_projection(-1, 4)
    with pytest.raises(ValueError, match="out of range"):
        linear.linear_state(-1, 4)
    with pytest.raises(ValueError, match="out: overlaps"):
        linear.linear_attention(q, q, q, w, out=q)
