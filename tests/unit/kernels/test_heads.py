"""Heads with projections, differential heads, experts: through the face, against float64 and torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.kernels import Pool, attention, heads
from ganglion.kernels.heads import Differential, Layer

rng = np.random.default_rng(17620)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def weights(rows: int, columns: int) -> np.ndarray:
    return normal(rows, columns) / np.float32(np.sqrt(columns))


def softmax(scores: np.ndarray) -> np.ndarray:
    top = scores.max(axis=-1, keepdims=True)
    p = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = p.sum(axis=-1, keepdims=True)
    return np.divide(p, total, out=np.zeros_like(p), where=total > 0)


def split(y: np.ndarray, count: int) -> np.ndarray:
    """[batch, rows, count * d] as [batch, count, rows, d]."""
    return y.reshape(*y.shape[:2], count, -1).transpose(0, 2, 1, 3)


def reference(
    x: np.ndarray, layer: Layer, context: np.ndarray, seen: Any = None, bias: Any = 0.0
) -> np.ndarray:
    """A layer over [batch, rows, width] in float64."""

    def affine(y: np.ndarray, w: np.ndarray, b: Any) -> np.ndarray:
        return y.astype(np.float64) @ w.T.astype(np.float64) + (
            0 if b is None else b.astype(np.float64)
        )

    kv = layer.kv_heads or layer.heads
    groups = layer.heads // kv
    pair = 2 if layer.differential else 1
    q = split(affine(x, layer.q, layer.q_bias), layer.heads * pair)
    k = split(affine(context, layer.k, layer.k_bias), kv * pair)
    v = np.repeat(split(affine(context, layer.v, layer.v_bias), kv), groups, axis=1)
    maps = []
    for t in range(pair):
        keys = np.repeat(k[:, t::pair], groups, axis=1)
        scores = q[:, t::pair] @ keys.swapaxes(-1, -2) / np.sqrt(q.shape[-1]) + bias
        maps.append(softmax(scores if seen is None else np.where(seen, scores, -np.inf)))
    if layer.differential:
        rule = layer.differential
        y = (maps[0] - np.asarray(rule.lambdas).reshape(-1, 1, 1) * maps[1]) @ v
        y *= rule.out_scale / np.sqrt((y**2).mean(axis=-1, keepdims=True) + rule.epsilon)
        y = y if rule.gain is None else y * rule.gain
    else:
        y = maps[0] @ v
    return affine(y.transpose(0, 2, 1, 3).reshape(*x.shape[:2], -1), layer.out, layer.out_bias)


def layer_of(
    width: int, seen: int, out: int, count: int, kv: int, dim: int, value: int, pair: int = 1
) -> Layer:
    return Layer(
        q=weights(count * pair * dim, width), k=weights(kv * pair * dim, seen), v=weights(kv * value, seen),
        out=weights(out, count * value), heads=count, kv_heads=kv, q_bias=normal(count * pair * dim),
        k_bias=normal(kv * pair * dim), v_bias=normal(kv * value), out_bias=normal(out),
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([(1, 1), (4, 2), (3, 3)]),
    st.booleans(),
)
def test_a_layer_is_its_formula(
    batch: int, queries: int, keys: int, count: tuple[int, int], masked: bool
) -> None:
    x, context = normal(batch, queries, 24), normal(batch, keys, 16)
    layer = layer_of(24, 16, 20, *count, 8, 12)
    mask = rng.random((batch, count[0], queries, keys)) < 0.6 if masked else None
    bias = normal(queries, keys) if masked else None
    got = heads.multi_head(x, layer, context=context, mask=mask, bias=bias)
    want = reference(x, layer, context, mask, 0.0 if bias is None else bias.astype(np.float64))
    assert np.abs(got - want).max() < 5e-6


def test_a_layer_is_torchs_own() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    theirs = torch.nn.MultiheadAttention(64, 8, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_bias.normal_()
        theirs.out_proj.bias.normal_()
    w, b = theirs.in_proj_weight.detach().numpy(), theirs.in_proj_bias.detach().numpy()
    layer = Layer(
        w[:64], w[64:128], w[128:], theirs.out_proj.weight.detach().numpy(), 8,
        q_bias=b[:64], k_bias=b[64:128], v_bias=b[128:], out_bias=theirs.out_proj.bias.detach().numpy(),
    )  # fmt: skip
    x = torch.randn(2, 50, 64)
    hidden = torch.triu(torch.ones(50, 50, dtype=torch.bool), 1)
    want = theirs(x, x, x, attn_mask=hidden, need_weights=False)[0].detach().numpy()
    assert np.abs(heads.multi_head(x, layer, causal=True) - want).max() < 5e-6
    assert np.abs(heads.multi_head(x, layer, mask=~hidden) - want).max() < 5e-6


def test_elsewhere_multi_head_has_projections() -> None:
    """Elsewhere the vector is cut in slices and there is no W_q, W_k, W_v, W_o."""
    x, layer = normal(1, 9, 16), layer_of(16, 16, 16, 2, 2, 8, 8)
    want = reference(x, layer, x)
    for name in ("q", "k", "v", "out"):
        other = replace(layer, **{name: getattr(layer, name) + weights(16, 16)})
        assert np.abs(heads.multi_head(x, other) - heads.multi_head(x, layer)).max() > 1e-3
    assert np.abs(heads.multi_head(x, layer) - want).max() < 5e-6
    assert np.array_equal(heads.multi_head(x[0], layer), heads.multi_head(x, layer)[0])


def test_elsewhere_multi_head_honours_its_mask() -> None:
    """Elsewhere the mask argument is ignored. Here a hidden key may hold anything, for each head by itself."""
    x, context, layer = normal(2, 5, 16), normal(2, 7, 16), layer_of(16, 16, 16, 4, 2, 8, 8)
    mask = np.ones((2, 4, 5, 7), bool)
    mask[:, :, :, 3] = False
    other = context.copy()
    other[:, 3] = 1e6
    got = heads.multi_head(x, layer, context=context, mask=mask)
    assert np.array_equal(got, heads.multi_head(x, layer, context=other, mask=mask))
    assert np.abs(got - heads.multi_head(x, layer, context=context)).max() > 1e-3
    mask[:] = True
    mask[1, 2, 4] = False  # one head of one query sees nothing
    want = reference(x, layer, context, mask)
    assert np.abs(heads.multi_head(x, layer, context=context, mask=mask) - want).max() < 5e-6
    blind = heads.multi_head(x, layer, mask=np.zeros((5, 5), bool))
    assert np.abs(blind - layer.out_bias).max() < 1e-6


@pytest.mark.parametrize("kv", [1, 2, 4])
def test_elsewhere_differential_attention_exists(kv: int) -> None:
    """Elsewhere there is no such code. Ye et al. 2024, equations 1 to 3, with a lambda and a norm per head."""
    x = normal(2, 11, 16)
    rule = Differential(normal(4) * np.float32(0.3), normal(10), 0.2, 1e-5)
    layer = replace(layer_of(16, 16, 16, 4, kv, 6, 10, pair=2), differential=rule)
    causal = np.tril(np.ones((11, 11), bool))
    assert np.abs(heads.multi_head(x, layer) - reference(x, layer, x)).max() < 1e-5
    assert (
        np.abs(heads.multi_head(x, layer, causal=True) - reference(x, layer, x, causal)).max()
        < 1e-5
    )


def test_differential_attention_cancels_what_both_maps_share() -> None:
    """With both halves equal and lambda 1 nothing is left; with lambda 0 it is attention, normalised."""
    q, k, v = normal(2, 1, 8, 4), normal(2, 1, 9, 4), normal(2, 9, 6)
    twice = [np.ascontiguousarray(np.repeat(each, 2, axis=1)) for each in (q, k)]
    none = heads.differential(*twice, v, Differential(1.0, epsilon=1e-5))
    assert np.abs(none).max() < 1e-5
    plain = attention.sdpa(q[:, 0].copy(), k[:, 0].copy(), v)
    plain *= 0.2 / np.sqrt((plain**2).mean(axis=-1, keepdims=True) + 1e-5)
    got = heads.differential(*twice, v, Differential(0.0))
    assert np.abs(got - plain).max() < 1e-6
    batched = heads.differential(twice[0][None], twice[1][None], v[None], Differential(0.0))
    assert np.array_equal(batched[0], got)


def test_differential_lambda_is_equation_2() -> None:
    a, b, c, d = normal(4, 16) * np.float32(0.1)
    want = np.exp(np.dot(a, b)) - np.exp(np.dot(c, d)) + 0.8
    assert heads.differential_lambda(a, b, c, d) == pytest.approx(want, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.data())
def test_elsewhere_moe_route_is_softmax_top_k_renormalised(
    tokens: int, experts: int, data: st.DataObject
) -> None:
    """The gate's law: the k largest of a softmax, weights that sum to 1, ties to the lowest index."""
    k = data.draw(st.integers(1, experts))
    logits = rng.integers(-3, 4, (tokens, experts)).astype(np.float32)
    got = heads.route(logits, k=k)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    assert np.array_equal(got.experts, order)
    gates = softmax(logits.astype(np.float64))
    want = np.take_along_axis(gates, order, axis=1)
    want /= want.sum(axis=1, keepdims=True)
    assert np.abs(got.weights - want).max() < 1e-6
    load = np.bincount(order.ravel(), minlength=experts) / (tokens * k)
    assert np.abs(got.load - load).max() < 1e-6
    assert np.abs(got.importance - gates.mean(axis=0)).max() < 1e-6
    assert got.balance == pytest.approx(experts * (load * gates.mean(axis=0)).sum(), rel=1e-5)


def test_the_balance_is_1_when_even_and_the_number_of_experts_when_one_has_all() -> None:
    even = np.zeros((8, 8), np.float32)
    even[np.arange(8), np.arange(8)] = 30
    assert heads.route(even, k=1).balance == pytest.approx(1)
    one = np.zeros((8, 8), np.float32)
    one[:, 3] = 30
    assert heads.route(one, k=1).balance == pytest.approx(8)


def test_a_nan_goes_last_and_stays_with_its_token() -> None:
    logits = normal(3, 5)
    logits[1, 0] = np.nan
    got = heads.route(logits, k=4)
    assert 0 not in got.experts[1]
    assert np.isnan(got.weights[1]).all()
    assert np.isfinite(got.weights[[0, 2]]).all()
    assert np.isfinite(got.balance)


def test_elsewhere_moe_gate_and_experts_are_given_and_their_sum_is_right() -> None:
    """Elsewhere the gate's weights come from a fixed generator and one of the three experts is broken."""
    x, gate, gate_bias = normal(40, 16), normal(4, 16), normal(4)
    keys, values = normal(30, 16), normal(30, 12)
    experts = [
        lambda q, at: attention.sdpa(q, keys, values),
        lambda q, at: attention.sdpa(q, keys, values, scale=2.0),
        lambda q, at: np.ascontiguousarray(values[at % 30]),
        lambda q, at: np.tile(q.sum(axis=1, keepdims=True), 12),
    ]
    got = heads.mixture(x, gate, experts, k=2, gate_bias=gate_bias)
    everyone = np.arange(40, dtype=np.uint32)
    each = np.stack([expert(x, everyone) for expert in experts]).astype(np.float64)
    logits = x.astype(np.float64) @ gate.T + gate_bias
    gates = softmax(logits)
    for t in range(40):
        best = np.argsort(-logits[t])[:2]
        assert got.route.experts[t].tolist() == best.tolist()
        want = (gates[t, best] / gates[t, best].sum()) @ each[best, t]
        assert np.abs(got.out[t] - want).max() < 1e-5


def test_an_expert_without_tokens_is_not_called() -> None:
    def never(q: np.ndarray, at: np.ndarray) -> np.ndarray:
        raise AssertionError

    x = normal(5, 3)
    got = heads.mixture(x, np.zeros((2, 3), np.float32), [lambda q, at: q, never], k=1)
    assert np.array_equal(got.out, x)
    assert got.route.load.tolist() == [1, 0]
    empty = heads.mixture(normal(0, 3), np.zeros((2, 3), np.float32), [never, never], k=1)
    assert empty.out.shape == (0, 3)


def test_threads_and_bound_calls_change_nothing() -> None:
    x, layer = normal(2, 60, 32), layer_of(32, 32, 32, 4, 2, 8, 8)
    want = heads.multi_head(x, layer, causal=True)
    with Pool(2) as pool:
        assert np.array_equal(heads.multi_head(x, layer, causal=True, threads=pool), want)
        bound = heads.bind_multi_head(x, layer, causal=True, threads=pool)
        assert np.array_equal(bound(), want)
    assert np.array_equal(heads.multi_head(x, layer, causal=True, threads=2), want)
    out = np.empty_like(want)
    assert heads.multi_head(x, layer, causal=True, out=out) is out
    bound = heads.bind_multi_head(x, layer)
    x *= 2
    assert np.array_equal(bound(), heads.multi_head(x, layer))


X, L = normal(2, 5, 8), layer_of(8, 8, 8, 2, 1, 4, 4)
BAD = np.zeros((3, 8), np.float32)
Q, K, V = normal(2, 2, 3, 4), normal(1, 2, 5, 4), normal(1, 5, 6)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("x", lambda: heads.multi_head(X.astype(np.float64), L)),
        ("x", lambda: heads.multi_head(X[0, 0], L)),
        ("context", lambda: heads.multi_head(X, L, context=X[:1])),
        ("q", lambda: heads.multi_head(X, replace(L, q=BAD))),
        ("k", lambda: heads.multi_head(X, replace(L, k=BAD))),
        ("v", lambda: heads.multi_head(X, replace(L, v=BAD[:, :7].copy()))),
        ("out", lambda: heads.multi_head(X, replace(L, out=BAD[:, :5].copy()))),
        ("q_bias", lambda: heads.multi_head(X, replace(L, q_bias=normal(9)))),
        ("heads", lambda: heads.multi_head(X, replace(L, heads=0))),
        ("kv_heads", lambda: heads.multi_head(X, replace(L, kv_heads=3))),
        ("mask", lambda: heads.multi_head(X, L, mask=np.ones((5, 4), bool))),
        ("mask", lambda: heads.multi_head(X, L, mask=np.ones((3, 1, 5, 5), bool))),
        ("bias", lambda: heads.multi_head(X, L, bias=np.ones((5, 5)))),
        ("scale", lambda: heads.multi_head(X, L, scale=float("inf"))),
        ("out", lambda: heads.multi_head(X, L, out=X)),
        ("threads", lambda: heads.multi_head(X, L, threads=0)),
        ("q", lambda: heads.differential(Q[0], K, V, Differential(0.1))),
        ("k", lambda: heads.differential(Q, K[:, :1], V, Differential(0.1))),
        ("v", lambda: heads.differential(Q, K, V[:, :4], Differential(0.1))),
        ("lambdas", lambda: heads.differential(Q, K, V, Differential(normal(3)))),
        ("gain", lambda: heads.differential(Q, K, V, Differential(0.1, normal(3)))),
        ("epsilon", lambda: heads.differential(Q, K, V, Differential(0.1, epsilon=-1))),
        ("k1", lambda: heads.differential_lambda(normal(3), normal(4), normal(3), normal(3))),
        ("k", lambda: heads.route(BAD, k=9)),
        ("logits", lambda: heads.route(BAD[0])),
        ("gate", lambda: heads.mixture(X[0], BAD, [lambda q, at: q] * 2)),
        (r"experts\[0\]", lambda: heads.mixture(X[0], BAD, [lambda q, at: q[1:]] * 3, k=1)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, call: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}:"):
        call()
