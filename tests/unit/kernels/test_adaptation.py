"""Adaptation from Python: BTSP, e-prop, MicroLoRA and EWC beside their formulas in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import adaptation as ad


@pytest.fixture(params=kernels.isas())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each level in turn."""
    best = kernels.isa()
    kernels.force_isa(request.param)
    yield request.param
    kernels.force_isa(best)


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


# BTSP


def test_elsewhere_btsp_one_shot_recalls_any_target(level: str) -> None:
    """Elsewhere weights are clamped to 0..1, so that a target of -1 recalls 0 and one of 10 recalls 4."""
    weights, x = np.zeros((3, 100), np.float32), np.abs(normal(100))
    targets = np.array([-1, 10, 0.5], np.float32)
    ad.btsp_plateau(weights, x, targets)
    np.testing.assert_allclose(ad.btsp_recall(weights, x), targets, rtol=1e-5)


def test_elsewhere_btsp_traces_play_a_part(level: str) -> None:
    """Elsewhere one-shot learning looks only at the input of the moment: here what came before the plateau counts."""
    before, now = np.zeros(64, np.float32), np.zeros(64, np.float32)
    before[:32], now[32:] = 1, 1
    trace = np.zeros(64, np.float32)
    ad.btsp_step(trace, before, decay=0.5)
    ad.btsp_step(trace, now, decay=0.5)
    weights = np.zeros((1, 64), np.float32)
    ad.btsp_plateau(weights, trace, np.array([1], np.float32))
    earlier, later = ad.btsp_recall(weights, before)[0], ad.btsp_recall(weights, now)[0]
    np.testing.assert_allclose(
        [earlier, later], [0.4, 0.8], rtol=1e-6
    )  # 0.5 and 1, of a length of 1.25


def test_elsewhere_btsp_does_not_drift_to_a_half() -> None:
    """Elsewhere the trace rule pushes every weight to 0.5; here what is recalled right stays as it is."""
    weights, x = normal(2, 50), normal(50, seed=1)
    targets = ad.btsp_recall(weights, x)
    was = weights.copy()
    for _ in range(100):
        ad.btsp_plateau(weights, x, targets, rate=0.5)
    np.testing.assert_allclose(weights, was, atol=1e-5)


def test_btsp_chooses_and_keeps() -> None:
    weights, x = normal(4, 50), normal(50, seed=1)
    was = weights.copy()
    chosen = np.array([True, False, True, False])
    ad.btsp_plateau(weights, x, np.ones(4, np.float32), plateau=chosen, rate=0.25, threads=2)
    exact = was.astype(float) @ x
    wanted = np.where(chosen, exact + 0.25 * (1 - exact), exact)
    np.testing.assert_allclose(ad.btsp_recall(weights, x), wanted, atol=1e-5)
    assert (weights[~chosen] == was[~chosen]).all()
    ad.btsp_plateau(weights, np.zeros(50, np.float32), np.ones(4, np.float32))
    assert (weights[~chosen] == was[~chosen]).all()


# E-prop


def lif(weights: Any, inputs: Any, rule: dict[str, float]) -> tuple[Any, Any, Any]:
    """Spikes, membranes and surrogate derivatives of units fed inputs[t], in float64."""
    height = rule["threshold"] - rule["rest"]
    v, z = np.full(len(weights), rule["rest"]), np.zeros(len(weights))
    out = []
    for x in inputs:
        v = rule["rest"] + rule["membrane"] * (v - rule["rest"]) - height * z + weights @ x
        z = (v >= rule["threshold"]).astype(float)
        near = np.maximum(0, 1 - np.abs(v - rule["threshold"]) / height)
        out.append((z, v, rule["dampening"] * near / height))
    spikes, membranes, slopes = zip(*out, strict=True)
    return np.array(spikes), np.array(membranes), np.array(slopes)


RULE = {"membrane": 0.9, "rest": -0.5, "threshold": 1.0, "dampening": 0.3}


def test_eprop_is_the_gradient_through_time(level: str) -> None:
    """Without recurrence e-prop is exact: the same gradient as going back in time (with the reset held fixed)."""
    steps, units, inputs, filter_ = 60, 7, 19, 0.8
    weights = normal(units, inputs, seed=1)
    xs = (np.random.default_rng(2).random((steps, inputs)) < 0.3).astype(np.float32)
    back, target = normal(3, units, seed=3).astype(float), normal(steps, 3, seed=4).astype(float)
    spikes, _, slopes = lif(weights.astype(float), xs.astype(float), RULE)
    y = np.zeros((steps, 3))
    for t in range(steps):
        y[t] = (filter_ * y[t - 1] if t else 0) + back @ spikes[t]
    error = y - target
    wanted, by_v, by_y = np.zeros((units, inputs)), np.zeros(units), np.zeros(3)
    for t in reversed(range(steps)):
        by_y = error[t] + filter_ * by_y
        by_v = slopes[t] * (back.T @ by_y) + RULE["membrane"] * by_v
        wanted += np.outer(by_v, xs[t])
    net = ad.EProp(weights, filter=filter_, **RULE)
    told = None
    for t in range(steps):
        assert (net.step(xs[t], told) == spikes[t]).all()
        told = (back.T @ error[t]).astype(np.float32)
    net.flush(told)
    assert spikes.sum() > 20
    np.testing.assert_allclose(net.gradient, wanted, atol=2e-4 * np.abs(wanted).max())
    was = net.weights.copy()
    gradient = net.gradient.copy()
    net.apply(0.01)
    np.testing.assert_allclose(net.weights, was - 0.01 * gradient, atol=1e-6)
    assert not net.gradient.any()


def test_elsewhere_eprop_input_synapses_learn() -> None:
    """Elsewhere input synapses are told that nothing came before, so that they never change; here they reach a goal."""
    xs = (np.random.default_rng(3).random((60, 20)) < 0.2).astype(np.float32)
    teacher = ad.EProp(normal(4, 20, seed=53) * np.float32(0.6), membrane=0.9, filter=0.9)
    goal = np.array([teacher.step(x).copy() for x in xs])
    net = ad.EProp(normal(4, 20, seed=63) * np.float32(0.6), membrane=0.9, filter=0.9)
    losses = []
    for _ in range(60):
        net.reset()
        told, y, wanted, loss = None, np.zeros(4), np.zeros(4), 0.0
        for x, g in zip(xs, goal, strict=True):
            y = 0.9 * y + net.step(x, told)
            wanted = 0.9 * wanted + g
            loss += ((y - wanted) ** 2).sum()
            told = (y - wanted).astype(np.float32)
        net.flush(told)
        net.apply(0.001)
        losses.append(loss)
    assert goal.sum() > 20
    assert losses[-1] < losses[0] / 10


def test_elsewhere_eprop_rests_without_input() -> None:
    """Elsewhere the membrane leaks from its rest at -70 to 0, past the threshold at -55: silence makes spikes."""
    net = ad.EProp(normal(5, 8), membrane=0.95, rest=-70, threshold=-55)
    for _ in range(1000):
        assert not net.step(np.zeros(8, np.float32)).any()
    assert (net.v == -70).all()
    strong = ad.EProp(np.full((1, 1), 16, np.float32), membrane=0.95, rest=-70, threshold=-55)
    assert strong.step(np.ones(1, np.float32))[0] == 1


def test_elsewhere_eprop_takes_twelve_bytes() -> None:
    """Elsewhere a synapse takes 20 bytes where 12 are said."""
    net = ad.EProp(normal(10, 30))
    kept = net.weights, net.eligibility, net.gradient
    assert sum(a.nbytes for a in kept) == net.BYTES_PER_SYNAPSE * net.weights.size == 12 * 300


def test_eprop_threads_agree() -> None:
    nets = [ad.EProp(normal(50, 33, seed=7), threads=threads) for threads in (1, 3)]
    for t in range(20):
        first, second = (net.step(normal(33, seed=t), normal(50, seed=t)) for net in nets)
        assert (first == second).all()
    assert (nets[0].gradient == nets[1].gradient).all()


# MicroLoRA


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 9),
    d_in=st.integers(1, 300),
    d_out=st.integers(1, 300),
    rank=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_lora_is_its_formula(n: int, d_in: int, d_out: int, rank: int, seed: int) -> None:
    x, base = normal(n, d_in, seed=seed), normal(n, d_out, seed=seed + 1)
    down, up = normal(rank, d_in, seed=seed + 2), normal(rank, d_out, seed=seed + 3)
    got = ad.lora(x, down, up, scale=0.3, base=base)
    hidden = x.astype(float) @ down.T
    wanted = base + 0.3 * hidden @ up
    size = np.abs(base) + 0.3 * (np.abs(x).astype(float) @ np.abs(down).T) @ np.abs(up)
    assert (np.abs(got - wanted) <= 1e-6 * size).all()
    if n:
        one = ad.lora(x[0], down, up, scale=0.3, base=base[0])
        assert (np.abs(one - wanted[0]) <= 1e-6 * size[0]).all()


def test_elsewhere_lora_any_size(level: str) -> None:
    """Elsewhere the dimension is cut to 256 without a word."""
    x, down, up = normal(1001), normal(2, 1001, seed=1), normal(2, 1001, seed=2)
    wanted = x + (down.astype(float) @ x) @ up
    got = ad.lora(x, down, up)
    assert got.shape == (1001,)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    assert np.abs(got - x)[256:].min() > 0


def loss(adapter: ad.MicroLora, x: Any, target: Any) -> float:
    """Half the squared error, in float64."""
    hidden = x.astype(float) @ adapter.down.T.astype(float)
    return float(((x + adapter.scale * hidden @ adapter.up - target) ** 2).sum() / 2)


def test_elsewhere_lora_learns_by_the_true_gradient() -> None:
    """Elsewhere no update looks at x: B moves along the sum of A's columns."""
    adapter = ad.MicroLora(12, 2, scale=0.7, seed=1)
    adapter.up[:] = normal(2, 12, seed=2)
    x, target = normal(5, 12, seed=3), normal(5, 12, seed=4)
    found = adapter.gradient(x, adapter(x) - target)
    for i in range(len(adapter.parameters)):
        was = adapter.parameters[i]
        sides = []
        for step in (1e-2, -1e-2):
            adapter.parameters[i] = was + np.float32(step)
            sides.append((loss(adapter, x, target), float(adapter.parameters[i])))
        adapter.parameters[i] = was
        slope = (sides[0][0] - sides[1][0]) / (sides[0][1] - sides[1][1])
        assert abs(slope - found[i]) <= 1e-3 * max(1, abs(slope))
    was = adapter.parameters.copy()
    adapter.learn(x, adapter(x) - target, rate=0.01)
    np.testing.assert_allclose(adapter.parameters, was - 0.01 * found, atol=1e-6)


def test_elsewhere_lora_of_rank_two_is_of_rank_two() -> None:
    """Elsewhere each rank's row gets the same gradient, so that rank 2 is rank 1."""
    adapter = ad.MicroLora(16, 2, seed=3)
    x, mixing = normal(400, 16, seed=4), np.zeros((16, 16), np.float32)
    mixing[0, 1] = mixing[2, 3] = 1.5  # what it has to learn has rank 2
    target = x + x @ mixing
    first = loss(adapter, x, target)
    for _ in range(600):
        adapter.learn(x, adapter(x) - target, rate=0.001)
    assert loss(adapter, x, target) < 0.02 * first
    change = np.linalg.svd(adapter.down.T @ adapter.up, compute_uv=False)
    assert change[1] > 0.8 * change[0] > 20 * change[2]


def test_elsewhere_lora_learns_from_the_start() -> None:
    """Elsewhere (SONA) the signal before a query is zero, so that B stays 0 and the adapter the identity."""
    scopes = ad.Adapters(8, 2)
    x = normal(8, seed=5)
    mine = scopes.scope("mine")
    assert (mine(x) == x).all()
    mine.learn(x, np.ones(8, np.float32), rate=0.1)
    assert (scopes.scope("mine")(x) != x).all()
    assert (scopes.scope("yours")(x) == x).all()
    assert list(scopes) == ["mine", "yours"]
    scopes.forget("mine")
    assert "mine" not in scopes
    assert len(scopes) == 1
    assert (scopes.scope("mine")(x) == x).all()


def test_lora_in_place_bound_and_plain_agree(level: str) -> None:
    x, down, up = normal(70, 33), normal(3, 33, seed=1), normal(3, 33, seed=2)
    wanted = ad.lora(x, down, up)
    out = np.empty_like(x)
    bound = ad.bind_lora(x, down, up, out=out)
    assert bound() is out
    assert (out == wanted).all()
    assert (ad.lora(x, down, up, threads=3) == wanted).all()
    assert (ad.lora(x, down, up, base=x) == wanted).all()
    assert (ad.lora(x, down, up, out=x) == wanted).all()
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert (ad.lora(torch.from_numpy(wanted), down, up) == ad.lora(wanted, down, up)).all()


def test_what_is_not_finite_stays_in_its_row() -> None:
    x, down, up = normal(9, 40), normal(2, 40, seed=1), normal(2, 40, seed=2)
    wanted = ad.lora(x, down, up)
    x[3, 5], x[6, 0] = np.nan, np.inf
    got = ad.lora(x, down, up)
    rows = [0, 1, 2, 4, 5, 7, 8]
    assert (got[rows] == wanted[rows]).all()
    assert np.isnan(got[3]).all()
    assert not np.isfinite(got[6]).any()


# EWC


def test_elsewhere_ewc_is_used_and_is_its_formula() -> None:
    """Elsewhere EWC is built and never called; here an adapter that learns pays for what it would forget."""
    free, held = ad.MicroLora(10, 2, seed=1), ad.MicroLora(10, 2, seed=1)
    x, grad = normal(4, 10, seed=2), normal(4, 10, seed=3)
    ewc = ad.Ewc(held.parameters, strength=5.0)
    for seed in range(10):
        ewc.observe(held.gradient(normal(4, 10, seed=seed), grad), keep=0.5)
    assert ewc.penalty(held.parameters) == 0
    fisher, anchor = ewc.fisher.astype(float), ewc.anchor.astype(float)
    for _ in range(5):
        was, slope = held.parameters.astype(float), held.gradient(x, grad).astype(float)
        held.learn(x, grad, rate=0.01, ewc=ewc)
        free.learn(x, grad, rate=0.01)
        wanted = was - 0.01 * (slope + 5.0 * fisher * (was - anchor))
        np.testing.assert_allclose(held.parameters, wanted, atol=1e-5)
    gap = held.parameters - anchor
    assert ewc.penalty(held.parameters) == pytest.approx(2.5 * (fisher * gap**2).sum(), rel=1e-5)
    assert ewc.penalty(held.parameters) < ewc.penalty(free.parameters)
    ewc.consolidate(held.parameters)
    assert ewc.penalty(held.parameters) == 0


def test_ewc_pulls_back_to_the_anchor() -> None:
    parameters = normal(257)
    ewc = ad.Ewc(parameters, strength=1.0)
    ewc.observe(np.ones(257, np.float32), keep=0.0)
    start = parameters.copy()
    parameters += 1
    for _ in range(60):
        ewc.step(parameters, None, rate=0.5)
    np.testing.assert_allclose(parameters, start, atol=1e-6)


W = normal(3, 8)
X = normal(8)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("trace", lambda: ad.btsp_step([1.0], X, decay=0.5)),
        ("trace", lambda: ad.btsp_step(np.broadcast_to(np.float32(1), 1), X, decay=0.5)),
        ("x", lambda: ad.btsp_step(np.zeros(7, np.float32), X, decay=0.5)),
        ("decay", lambda: ad.btsp_step(np.zeros(8, np.float32), X, decay=1.5)),
        ("decay", lambda: ad.btsp_step(np.zeros(8, np.float32), X, decay=float("nan"))),
        ("weights", lambda: ad.btsp_plateau(W.astype(float), X, np.zeros(3, np.float32))),
        ("targets", lambda: ad.btsp_plateau(W.copy(), X, np.zeros(4, np.float32))),
        ("plateau", lambda: ad.btsp_plateau(W.copy(), X, X[:3], plateau=np.ones(2, bool))),
        ("rate", lambda: ad.btsp_plateau(W.copy(), X, X[:3], rate=-1)),
        ("x", lambda: ad.btsp_recall(W, X[:7])),
        ("out", lambda: ad.btsp_recall(W, X, out=X[:3])),
        ("membrane", lambda: ad.EProp(W.copy(), membrane=1.5)),
        ("filter", lambda: ad.EProp(W.copy(), filter=-0.5)),
        ("threshold", lambda: ad.EProp(W.copy(), rest=1.0)),
        ("dampening", lambda: ad.EProp(W.copy(), dampening=float("inf"))),
        ("x", lambda: ad.EProp(W.copy()).step(X[:4])),
        ("signal", lambda: ad.EProp(W.copy()).step(X, X)),
        ("signal", lambda: ad.EProp(W.copy()).flush(X)),
        ("x", lambda: ad.lora(X[:7], W, W)),
        ("x", lambda: ad.lora(X[::2], W[:, :4].copy(), W[:, :4].copy())),
        ("x", lambda: ad.lora(X.astype(np.float64), W, W)),
        ("down", lambda: ad.lora(X, np.zeros((0, 8), np.float32), np.zeros((0, 8), np.float32))),
        ("up", lambda: ad.lora(X, W, W[:2])),
        ("base", lambda: ad.lora(X, W, W[:, :4].copy())),
        ("base", lambda: ad.lora(X, W, W, base=X[:4])),
        ("out", lambda: ad.lora(X, W, W, out=np.empty(7, np.float32))),
        ("lora", lambda: ad.lora(X, W, W, out=W[0])),
        ("grad", lambda: ad.lora_gradient(X, X[:4], W, W)),
        ("grad", lambda: ad.MicroLora(8).learn(X, X[:4], rate=1)),
        ("rank", lambda: ad.MicroLora(8, 0)),
        ("rank", lambda: ad.Adapters(8, 257)),
        ("d_in, d_out", lambda: ad.MicroLora(0)),
        ("parameters", lambda: ad.Ewc(W, strength=1)),
        ("parameters", lambda: ad.Ewc(X, strength=1).step(W[0, :4], X, rate=1)),
        ("gradient", lambda: ad.Ewc(X, strength=1).observe(X[:4])),
        ("keep", lambda: ad.Ewc(X, strength=1).observe(X, keep=2)),
    ],
)
def test_what_is_wrong_is_named(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()
