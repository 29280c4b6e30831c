"""The selective scan, the causal convolution and the Mamba block beside float64 loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion import kernels
from ganglion.kernels import scan


def normal(*shape: int, seed: int = 0, by: float = 1.0) -> Any:
    return (by * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def softplus(x: Any) -> Any:
    return np.logaddexp(0.0, x)


def silu(x: Any) -> Any:
    return x / (1 + np.exp(-x))


def inputs(length: int, channels: int, states: int, seed: int = 0) -> dict[str, Any]:
    shapes = {
        "x": (length, channels),
        "delta": (length, channels),
        "a_log": (channels, states),
        "b": (length, states),
        "c": (length, states),
    }
    return {name: normal(*s, seed=seed + i) for i, (name, s) in enumerate(shapes.items())}


def reference(
    x: Any, delta: Any, a_log: Any, b: Any, c: Any, state: Any = None, **extra: Any
) -> tuple[Any, Any]:
    """The recurrence in float64: result and last state [states, channels]."""
    x, delta, a_log, b, c = (i.astype(np.float64) for i in (x, delta, a_log, b, c))
    delta = delta + extra.get("delta_bias", 0.0)
    if extra.get("softplus", True):
        delta = softplus(delta)
    h = np.zeros(a_log.shape).T if state is None else state.astype(np.float64)
    y = np.empty_like(x)
    for t in range(len(x)):
        h = h * np.exp(-delta[t] * np.exp(a_log).T) + b[t][:, None] * (delta[t] * x[t])
        y[t] = c[t] @ h
    y = y + extra.get("skip", 0.0) * x
    if "gate" in extra:
        y = y * silu(extra["gate"].astype(np.float64))
    return y, h


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(0, 40),
    channels=st.integers(0, 70),
    states=st.integers(0, 70),
    options=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_is_the_recurrence(
    length: int, channels: int, states: int, options: bool, seed: int
) -> None:
    of = inputs(length, channels, states, seed)
    extra = {}
    if options:
        extra = {
            "skip": normal(channels),
            "gate": normal(length, channels),
            "delta_bias": normal(channels),
        }
    begun = normal(states, channels, seed=9)
    want, last = reference(**of, state=begun, **extra)
    state = begun.copy()
    got = scan.selective_scan(**of, **extra, state=state)
    assert np.abs(got - want).max(initial=0) < 1e-5 * (1 + np.abs(want).max(initial=0))
    assert np.abs(state - last).max(initial=0) < 1e-5 * (1 + np.abs(last).max(initial=0))


@pytest.mark.parametrize("level", kernels.isas())
def test_every_level_at_1000_tokens(level: str) -> None:
    of = inputs(1000, 64, 16)
    want, _ = reference(**of)
    best = kernels.isa()
    try:
        kernels.force_isa(level)
        assert np.abs(scan.selective_scan(**of) - want).max() < 1e-5 * (1 + np.abs(want).max())
    finally:
        kernels.force_isa(best)


@pytest.mark.parametrize("a_log", [-2.0, 0.0, 3.0, 80.0, 1000.0])
def test_elsewhere_mamba_state_does_not_grow(a_log: float) -> None:
    """A = exp(-ln i) is positive, so the state grew as e^(0.1 t): norm 1,800 at 100 tokens, infinite by 1,000. Here A
    is -exp(a_log): under input of size 1 it stays below dt / (1 - e^(dt A)) at any length."""
    state = np.zeros((4, 3), np.float32)
    ones = np.ones((5000, 3), np.float32)
    table = np.full((3, 4), a_log, np.float32)
    bc = np.ones((5000, 4), np.float32)
    scan.selective_scan(ones, ones, table, bc, bc, state=state)
    dt = softplus(1.0)
    bound = dt / -np.expm1(-dt * np.exp(min(a_log, 700.0)))
    assert np.abs(state).max() <= bound * 1.001


def test_elsewhere_mamba_without_input_the_state_decays() -> None:
    """The same mistake seen from the other side: with no input the norm can only fall."""
    state = normal(16, 8)
    norms = [np.abs(state).max()]
    zeros, b = np.zeros((10, 8), np.float32), normal(10, 16)
    for _ in range(9):
        scan.selective_scan(zeros, zeros, np.zeros((8, 16), np.float32), b, b, state=state)
        norms.append(np.abs(state).max())
    assert all(after < before for before, after in itertools.pairwise(norms))


def weights(
    dim: int, inner: int, states: int, rank: int, width: int, seed: int = 0
) -> dict[str, Any]:
    shapes = {
        "in_proj": (2 * inner, dim),
        "conv": (width, inner),
        "conv_bias": (inner,),
        "x_proj": (rank + 2 * states, inner),
        "dt_proj": (inner, rank),
        "dt_bias": (inner,),
        "a_log": (inner, states),
        "skip": (inner,),
        "out_proj": (dim, inner),
    }
    return {n: normal(*s, seed=seed + i, by=0.3) for i, (n, s) in enumerate(shapes.items())}


def block(w: dict[str, Any], x: Any) -> Any:
    """The Mamba block in float64."""
    w = {n: a.astype(np.float64) for n, a in w.items()}
    inner, states = w["a_log"].shape
    rank, width = w["dt_proj"].shape[1], len(w["conv"])
    both = x.astype(np.float64) @ w["in_proj"].T
    u, z = both[:, :inner], both[:, inner:]
    padded = np.concatenate([np.zeros((width - 1, inner)), u])
    u = silu(sum(w["conv"][k] * padded[k : k + len(x)] for k in range(width)) + w["conv_bias"])
    said = u @ w["x_proj"].T
    low, b, c = said[:, :rank], said[:, rank : rank + states], said[:, rank + states :]
    y, _ = reference(
        u, low @ w["dt_proj"].T, w["a_log"], b, c, delta_bias=w["dt_bias"], skip=w["skip"], gate=z
    )
    return y @ w["out_proj"].T


def test_elsewhere_mamba_step_is_forward() -> None:
    """step() left out the causal convolution that forward() applies, so decoding differed from the pass."""
    w = weights(12, 24, 8, 3, 4)
    mamba, x = scan.Mamba(w), normal(40, 12)
    whole = mamba.forward(x)
    assert np.abs(whole - block(w, x)).max() < 1e-5
    state = mamba.state()
    steps = np.stack([mamba.step(token, state) for token in x])
    assert np.abs(steps - whole).max() < 1e-5
    kept = mamba.state()
    mamba.forward(x[:17], state=kept)
    assert np.abs(mamba.forward(x[17:], state=kept) - whole[17:]).max() < 1e-5
    assert np.abs(kept - state).max() < 1e-5


def test_elsewhere_mamba_every_weight_counts() -> None:
    """All weights were one constant and none could be loaded: here each array changes the result."""
    w = weights(6, 10, 4, 2, 3)
    x = normal(9, 6)
    plain = scan.Mamba(w).forward(x)
    for name in w:
        changed = {**w, name: w[name] + normal(*w[name].shape, seed=77, by=0.3)}
        got = scan.Mamba(changed).forward(x)
        assert np.abs(got - block(changed, x)).max() < 1e-5
        assert np.abs(got - plain).max() > 1e-4, name


def test_mamba_batches_threads_and_errors() -> None:
    w = weights(6, 10, 4, 2, 3)
    mamba, x = scan.Mamba(w), normal(3, 20, 6)
    state = mamba.state(3)
    got = mamba.forward(x, state=state, threads=2)
    for i in range(3):
        assert np.abs(got[i] - block(w, x[i])).max() < 1e-5
    more = normal(3, 6, seed=5)
    want = [block(w, np.concatenate([x[i], more[i : i + 1]]))[-1] for i in range(3)]
    assert np.abs(mamba.step(more, state) - np.stack(want)).max() < 1e-5
    with pytest.raises(ValueError, match="x: dim 5"):
        mamba.forward(normal(3, 5))
    with pytest.raises(ValueError, match="x: shape"):
        mamba.step(normal(5), mamba.state())
    with pytest.raises(ValueError, match="state: shape"):
        mamba.forward(x, state=mamba.state())
    with pytest.raises(ValueError, match="out: overlaps"):
        mamba.forward(x, out=x)
    with pytest.raises(ValueError, match="in_proj is missing"):
        scan.Mamba({n: a for n, a in w.items() if n != "in_proj"})
    with pytest.raises(ValueError, match="bias is unknown"):
        scan.Mamba({**w, "bias": w["skip"]})
    with pytest.raises(ValueError, match="x_proj: shape"):
        scan.Mamba({**w, "x_proj": normal(9, 10)})
    with pytest.raises(ValueError, match="a_log: dtype"):
        scan.Mamba({**w, "a_log": w["a_log"].astype(np.float64)})
    assert np.isfinite(
        scan.Mamba({n: w[n] for n in w if "bias" not in n and n != "skip"}).forward(x)
    ).all()


@pytest.mark.parametrize("width", [1, 2, 4])
def test_convolution(width: int) -> None:
    x, w, bias = normal(2, 9, 5), normal(width, 5), normal(5)
    padded = np.concatenate([np.zeros((2, width - 1, 5)), x], 1)
    want = sum(w[k] * padded[:, k : k + 9] for k in range(width)) + bias
    assert np.abs(scan.causal_conv(x, w, bias=bias) - want).max() < 1e-5
    state = np.zeros((2, width - 1, 5), np.float32)
    tokens = [
        scan.causal_conv(
            np.ascontiguousarray(x[:, t : t + 1]), w, bias=bias, silu=True, state=state
        )
        for t in range(9)
    ]
    assert np.abs(np.concatenate(tokens, 1) - silu(want)).max() < 1e-5
    assert (state == padded[:, 9:].astype(np.float32)).all()


def test_batches_bind_threads_and_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed; nothing depends on it")
    of = inputs(30, 40, 9)
    twice: dict[str, Any] = {n: a if n == "a_log" else np.stack([a, 2 * a]) for n, a in of.items()}
    got = scan.selective_scan(**twice)
    assert (got[0] == scan.selective_scan(**of)).all()
    assert (scan.selective_scan(**twice, threads=2) == got).all()
    out = np.empty_like(got)
    assert scan.bind_selective_scan(**twice, out=out)() is out
    assert (out == got).all()
    tensors: dict[str, Any] = {n: torch.from_numpy(a) for n, a in of.items()}
    assert (scan.selective_scan(**tensors) == got[0]).all()
    state = np.zeros((9, 40), np.float32)
    follow = scan.bind_selective_scan(**of, state=state)
    assert (follow().copy() == got[0]).all()
    assert (follow() != got[0]).any()


def test_nan_stays_in_its_channel() -> None:
    of = inputs(12, 33, 5)
    calm = scan.selective_scan(**of)
    of["x"][4, 7] = np.nan
    got = scan.selective_scan(**of)
    assert np.isnan(got[4:, 7]).all()
    assert (np.delete(got, 7, 1) == np.delete(calm, 7, 1)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": normal(4)}, "x: 1 dim"),
        ({"x": normal(6, 5).T}, "x: not dense"),
        ({"delta": normal(5, 5)}, "delta: shape"),
        ({"a_log": normal(4, 3)}, "a_log: 4 rows"),
        ({"b": normal(5, 4)}, "b: shape"),
        ({"c": normal(5, 3).astype(np.float64)}, "c: dtype"),
        ({"skip": normal(5)}, "skip: shape"),
        ({"gate": normal(5)}, "gate: shape"),
        ({"delta_bias": normal(5)}, "delta_bias: shape"),
        ({"state": normal(6, 3)}, "state: shape"),
        ({"out": normal(5, 5)}, "out: shape"),
        ({"threads": 300}, "threads: 300"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scan.selective_scan(**{**inputs(5, 6, 3), **change})


def test_overlaps_are_refused() -> None:
    of = inputs(5, 6, 3)
    with pytest.raises(ValueError, match="out: overlaps"):
        scan.selective_scan(**of, out=of["x"])
    with pytest.raises(ValueError, match="state: overlaps"):
        scan.selective_scan(**of, state=of["x"][:3])
    with pytest.raises(ValueError, match="weight: shape"):
        scan.causal_conv(of["x"], normal(0, 6))
