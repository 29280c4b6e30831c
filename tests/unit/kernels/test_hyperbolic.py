"""Hyperbolic space beside float64: distances, maps that invert each other, means, attention, in both models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import hyperbolic


def ball(*shape: int, seed: int = 0, c: float = 1.0, far: float = 0.9) -> Any:
    """Points at radii up to `far` of the ball's."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return (far / math.sqrt(c) * rng.random((*shape[:-1], 1)) * x).astype(np.float32)


def distance(x: Any, y: Any, c: float = 1.0) -> Any:
    """Rows of x to rows of y, by the difference's square."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    gap = np.square(x[:, None] - y[None]).sum(-1)
    edge = np.outer(1 - c * np.square(x).sum(1), 1 - c * np.square(y).sum(1))
    return np.arccosh(1 + 2 * c * gap / edge) / math.sqrt(c)


def midpoint(v: Any, w: Any, c: float = 1.0) -> Any:
    """Einstein's: in Klein coordinates, weights times Lorentz factors; then back."""
    v = v.astype(np.float64) * math.sqrt(c)
    square = np.square(v).sum(1, keepdims=True)
    klein, gamma = 2 * v / (1 + square), (1 + square) / (1 - square)
    middle = (w[:, None] * gamma * klein).sum(0) / (w[:, None] * gamma).sum()
    return middle / (1 + math.sqrt(1 - middle @ middle)) / math.sqrt(c)


def attention(q: Any, k: Any, v: Any, c: float = 1.0, temperature: float = 1.0) -> Any:
    d = distance(q, k, c)
    w = np.exp((d.min(1, keepdims=True) - d) / temperature)
    return np.stack([midpoint(v, row / row.sum(), c) for row in w])


def test_elsewhere_hyperbolic_conformal_factor_round_trip() -> None:
    """The conformal factor was 1 / (1 - c|p|^2), half of what it is: exp(log(y)) was off by 0.40 in a 4-d case."""
    for seed in range(50):
        c = (0.3, 1.0, 4.0)[seed % 3]
        p, y = ball(1, 4, seed=seed, c=c, far=0.95)[0], ball(1, 4, seed=seed + 99, c=c, far=0.95)[0]
        back = hyperbolic.exp(p, hyperbolic.log(p, y, curvature=c), curvature=c)
        assert np.abs(back - y).max() < 2e-6 / math.sqrt(c)


def test_elsewhere_hyperbolic_log_has_the_length_of_the_distance() -> None:
    """The same mistake where a round trip cannot hide it: the length at p, lambda_p |log_p(y)|, is the distance."""
    p, y = ball(40, 4), ball(40, 4, seed=1)
    v = hyperbolic.log(p, y).astype(np.float64)
    length = 2 / (1 - np.square(p.astype(np.float64)).sum(1)) * np.linalg.norm(v, axis=1)
    assert np.abs(length - np.diag(distance(p, y))).max() < 1e-5


def test_elsewhere_hyperbolic_frechet_mean_converges() -> None:
    """Fixed steps of 0.1, at most 50 of them, end where they end. Here the gradient at the mean is 0, far points
    included: the weighted sum of logs."""
    for far in (0.5, 0.9, 0.99):
        points, w = ball(200, 8, far=far), np.random.default_rng(1).random(200).astype(np.float32)
        middle = hyperbolic.mean(points, w, mean="frechet")
        logs = hyperbolic.log(middle, points).astype(np.float64)
        gradient = (w[:, None] * logs).sum(0) / w.sum()
        assert 2 / (1 - middle @ middle) * np.linalg.norm(gradient) < 1e-5


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 9),
    count=st.integers(0, 70),
    dim=st.integers(1, 70),
    c=st.sampled_from([0.1, 1.0, 3.0]),
    seed=st.integers(0, 1 << 20),
)
def test_distances_and_attention(rows: int, count: int, dim: int, c: float, seed: int) -> None:
    q, k, v = (ball(n, dim, seed=seed + i, c=c) for i, n in enumerate((rows, count, count)))
    got = hyperbolic.distances(q, k, curvature=c)
    assert got.shape == (rows, count)
    assert np.abs(got - distance(q, k, c)).max(initial=0) * math.sqrt(c) < 1e-5
    found = hyperbolic.attention(q, k, v, curvature=c, temperature=0.5)
    if not count:
        assert (found == 0).all()
    elif rows:
        want = attention(q, k, v, c, 0.5)
        assert np.abs(found - want).max() * math.sqrt(c) < 2e-6


@settings(max_examples=40, deadline=None)
@given(dim=st.integers(1, 20), seed=st.integers(0, 1 << 20))
def test_is_a_metric(dim: int, seed: int) -> None:
    x = ball(6, dim, seed=seed)
    d = hyperbolic.distances(x, x).astype(np.float64)
    assert (np.diag(d) == 0).all()
    assert np.abs(d - d.T).max() < 1e-5
    assert (d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-4).all()


@pytest.mark.parametrize("level", kernels.isas())
@pytest.mark.parametrize("mean", ["einstein", "frechet"])
def test_both_models_agree_on_every_level(level: str, mean: Any) -> None:
    q, k, v = ball(7, 16), ball(50, 16, seed=1), ball(50, 16, seed=2)
    best = kernels.isa()
    try:
        kernels.force_isa(level)
        flat = hyperbolic.attention(q, k, v, mean=mean)
        lifted = [hyperbolic.to_lorentz(a) for a in (q, k, v)]
        other = hyperbolic.attention(*lifted, mean=mean, model="lorentz")
        assert np.abs(hyperbolic.to_poincare(other) - flat).max() < 1e-5
        assert (
            np.abs(hyperbolic.distances(*lifted[:2], model="lorentz") - distance(q, k)).max() < 1e-3
        )
    finally:
        kernels.force_isa(best)


def test_frechet_attention_is_the_mean_of_its_weights() -> None:
    q, k, v = ball(4, 6), ball(30, 6, seed=1), ball(30, 6, seed=2)
    got = hyperbolic.attention(q, k, v, mean="frechet", temperature=0.3)
    w = np.exp(-distance(q, k) / 0.3).astype(np.float32)
    for row, weights in zip(got, w, strict=True):
        assert np.abs(hyperbolic.mean(v, weights, mean="frechet") - row).max() < 1e-5
    assert np.abs(got - hyperbolic.attention(q, k, v, temperature=0.3)).max() > 1e-4


def test_lorentz_points_and_maps() -> None:
    p, y = ball(30, 5, c=2.0), ball(30, 5, seed=1, c=2.0)
    a, b = hyperbolic.to_lorentz(p, curvature=2.0), hyperbolic.to_lorentz(y, curvature=2.0)
    norms = np.square(a[:, 1:].astype(np.float64)).sum(1) - np.square(a[:, 0].astype(np.float64))
    assert np.abs(norms + 0.5).max() < 1e-4
    assert np.abs(hyperbolic.to_poincare(a, curvature=2.0) - p).max() < 1e-6
    v = hyperbolic.log(a, b, model="lorentz", curvature=2.0)
    back = hyperbolic.exp(a, v, model="lorentz", curvature=2.0)
    assert np.abs(back - b).max() < 1e-4
    length = np.sqrt(
        np.square(v[:, 1:].astype(np.float64)).sum(1) - np.square(v[:, 0].astype(np.float64))
    )
    assert np.abs(length - np.diag(distance(p, y, 2.0))).max() < 1e-3


def test_moebius_sum() -> None:
    x, y = ball(20, 4), ball(20, 4, seed=1)
    assert np.abs(hyperbolic.moebius_add(-x, hyperbolic.moebius_add(x, y)) - y).max() < 2e-6
    assert np.abs(hyperbolic.moebius_add(x, np.zeros_like(x)) - x).max() < 1e-7
    want = hyperbolic.moebius_add(x, y)
    assert hyperbolic.moebius_add(x, y, out=x) is x
    assert (x == want).all()


def test_points_at_the_edge_and_outside() -> None:
    q = np.zeros(3, np.float32)
    keys = np.array([[0.5, 0, 0], [1, 0, 0], [2, 0, 0], [np.nan, 0, 0]], np.float32)
    d = hyperbolic.distances(q, keys)
    assert abs(d[0] - 2 * math.atanh(0.5)) < 1e-6
    assert d[1] == np.inf
    assert np.isnan(d[2:]).all()
    assert np.abs(hyperbolic.attention(q, keys[:2], keys[:2]) - keys[0]).max() < 1e-6
    assert (hyperbolic.attention(q, keys[1:2], keys[1:2]) == 0).all()
    assert np.isnan(hyperbolic.attention(q, keys, keys)).all()
    inside = hyperbolic.project(keys[:3], margin=1e-3)
    assert np.abs(np.linalg.norm(inside, axis=1) - [0.5, 0.999, 0.999]).max() < 1e-6
    assert np.isfinite(hyperbolic.distances(q, inside)).all()


def test_far_tangents_stay_in_the_ball() -> None:
    p = ball(10, 3)
    out = hyperbolic.exp(p, np.full((10, 3), 1e8, np.float32))
    assert np.isfinite(hyperbolic.distances(p, out)).all()
    same = np.zeros((10, 3), np.float32)
    assert (hyperbolic.exp(p, same) == p).all()
    assert (hyperbolic.log(p, p) == 0).all()


def test_threads_bind_out_and_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed; nothing depends on it")
    q, k, v = ball(21, 12), ball(40, 12, seed=1), ball(40, 9, seed=2)
    want = hyperbolic.attention(q, k, v, mean="frechet")
    assert (hyperbolic.attention(q, k, v, mean="frechet", threads=3) == want).all()
    out = np.empty_like(want)
    bound = hyperbolic.bind_attention(q, k, v, mean="frechet", out=out)
    assert bound() is out
    assert (out == want).all()
    d = hyperbolic.distances(q, k)
    assert (hyperbolic.bind_distances(q, k, threads=2)() == d).all()
    assert (hyperbolic.distances(torch.from_numpy(q), torch.from_numpy(k)) == d).all()
    assert (hyperbolic.distances(q[3], k) == d[3]).all()
    assert (hyperbolic.attention(q[3], k, v, mean="frechet") == want[3]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": ball(3, 4).astype(np.float64)}, "queries: dtype"),
        ({"queries": ball(2, 3, 4)}, "queries: 3 dim"),
        ({"keys": ball(5, 3)}, "keys: dim 3"),
        ({"values": ball(4, 4)}, "values: 4 rows"),
        ({"values": ball(8, 5).T}, "values: not dense"),
        ({"model": "klein"}, "model: 'klein'"),
        ({"mean": "median"}, "mean: 'median'"),
        ({"curvature": 0.0}, "curvature: 0.0"),
        ({"curvature": math.nan}, "curvature: nan"),
        ({"temperature": -1.0}, "temperature: -1.0"),
        ({"out": np.empty((3, 5), np.float32)}, "out: shape"),
        ({"threads": 0}, "threads: 0"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    good = {"queries": ball(3, 4), "keys": ball(5, 4), "values": ball(5, 4)}
    with pytest.raises(ValueError, match=message):
        hyperbolic.attention(**{**good, **change})


def test_what_is_wrong_is_named_elsewhere() -> None:
    p = ball(3, 4)
    with pytest.raises(ValueError, match="weights: one is below 0"):
        hyperbolic.mean(p, np.array([1, -1, 1], np.float32))
    with pytest.raises(ValueError, match="weights: shape"):
        hyperbolic.mean(p, np.ones(4, np.float32))
    with pytest.raises(ValueError, match="base: shape"):
        hyperbolic.exp(ball(2, 4), p)
    with pytest.raises(ValueError, match="out: overlaps"):
        hyperbolic.exp(p, ball(3, 4, seed=1), out=p)
    with pytest.raises(ValueError, match="a Lorentz point has a time"):
        hyperbolic.distances(
            np.empty((2, 0), np.float32), np.empty((2, 0), np.float32), model="lorentz"
        )
    with pytest.raises(ValueError, match="margin: 0"):
        hyperbolic.project(p, margin=0)
    with pytest.raises(ValueError, match="others: dim"):
        hyperbolic.distances(p, ball(3, 5))
