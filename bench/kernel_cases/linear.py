"""Linear attention (FAVOR+) beside the same computation in torch and numpy: the same projection, the same stabilising.

256 features is the paper's d ln d for d = 64. torch's form is products, in-place subtractions and one exp a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganglion.kernels import linear
from kernel_cases.case import Call, Case, library, present


def cases() -> Iterator[Case]:
    """n = 1000, d = 64, one head."""
    yield _full(1000, 64, 256, floor=1.8, target=2.5, stretch=3.5)
    yield _full(1000, 64, 64)
    yield _causal(1000, 64, 256)


def _inputs(n: int, dim: int, features: int) -> list[Any]:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal((n, dim)).astype(np.float32) for _ in range(3)]
    return [*arrays, linear.favor_projection(features, dim, seed=1)]


def _exact(q: Any, k: Any, v: Any, w: Any, causal: bool) -> Any:
    """The same estimate in float64."""
    q, k, v, w = (a.astype(np.float64) for a in (q, k, v, w))
    root = q.shape[1] ** -0.25
    a, b = q @ w.T * root, k @ w.T * root - (k * k).sum(1, keepdims=True) * root * root / 2
    weights = np.exp(a - a.max(1, keepdims=True)) @ np.exp(b - b.max()).T
    if causal:
        weights = np.tril(weights)
    return weights @ v / weights.sum(1, keepdims=True)


def _torch_full(q: Any, k: Any, v: Any, w: Any) -> Call:
    torch = library("torch")
    tq, tk, tv, tw = (torch.from_numpy(a) for a in (q, k, v, w))
    root = q.shape[1] ** -0.25
    turned = (tw.t() * root).contiguous()

    def call() -> Any:
        a, b = tq @ turned, tk @ turned
        a -= a.amax(1, keepdim=True)
        b -= (tk * tk).sum(1, keepdim=True) * (root * root / 2)
        b -= b.max()
        a.exp_()
        b.exp_()
        return (a @ (b.t() @ tv)) / (a @ b.sum(0)).unsqueeze(1)

    return call


def _numpy_full(q: Any, k: Any, v: Any, w: Any) -> Call:
    root = np.float32(q.shape[1] ** -0.25)
    turned = np.ascontiguousarray(w.T * root)

    def call() -> Any:
        a, b = q @ turned, k @ turned
        a -= a.max(1, keepdims=True)
        b -= (k * k).sum(1, keepdims=True) * (root * root / 2)
        b -= b.max()
        np.exp(a, out=a)
        np.exp(b, out=b)
        return (a @ (b.T @ v)) / (a @ b.sum(0))[:, None]

    return call


def _full(n: int, dim: int, features: int, **goals: Any) -> Case:
    q, k, v, w = _inputs(n, dim, features)
    bound = linear.bind_linear_attention(q, k, v, w)
    others: dict[str, Any] = {"numpy": _numpy_full(q, k, v, w)}
    if present("torch"):
        others["torch"] = _torch_full(q, k, v, w)

    def errors() -> dict[str, float]:
        want = _exact(q, k, v, w, causal=False)
        found = {"ganglion": bound(), **{name: other() for name, other in others.items()}}
        return {name: float(np.abs(np.asarray(x) - want).max()) for name, x in found.items()}

    return Case(
        name=f"linear attention n {n}, d {dim}, {features} features",
        family="linear",
        ours=bound,
        others=others,
        against="torch" if "torch" in others else "best",
        flops=8.0 * n * dim * features,
        errors=errors,
        error_max=1e-5,
        **goals,
    )


def _torch_causal(q: Any, k: Any, v: Any, w: Any) -> Call:
    """By chunks of 64, the usual way: the prefix's sums, and a masked product inside the chunk."""
    torch = library("torch")
    tq, tk, tv, tw = (torch.from_numpy(a) for a in (q, k, v, w))
    root = q.shape[1] ** -0.25
    turned = (tw.t() * root).contiguous()

    def call() -> Any:
        a, b = tq @ turned, tk @ turned
        a -= a.amax(1, keepdim=True)
        b -= (tk * tk).sum(1, keepdim=True) * (root * root / 2)
        b -= b.max()
        a.exp_()
        b.exp_()
        sums = torch.zeros(tw.shape[0], tv.shape[1])
        total = torch.zeros(tw.shape[0])
        out = torch.empty_like(tv)
        for i in range(0, tq.shape[0], 64):
            x, y, z = a[i : i + 64], b[i : i + 64], tv[i : i + 64]
            inner = (x @ y.t()).tril_()
            weight = x @ total + inner.sum(1)
            out[i : i + 64] = (x @ sums + inner @ z) / weight.unsqueeze(1)
            sums += y.t() @ z
            total += y.sum(0)
        return out

    return call


def _causal(n: int, dim: int, features: int) -> Case:
    q, k, v, w = _inputs(n, dim, features)
    others: dict[str, Any] = {"torch": _torch_causal(q, k, v, w)} if present("torch") else {}

    def errors() -> dict[str, float]:
        want = _exact(q, k, v, w, causal=True)
        found: dict[str, Any] = {"ganglion": linear.linear_causal(q, k, v, w)}
        found.update({name: other() for name, other in others.items()})
        return {name: float(np.abs(np.asarray(x) - want).max()) for name, x in found.items()}

    return Case(
        name=f"linear attention, causal, n {n}, d {dim}, {features} features",
        family="linear",
        ours=lambda: linear.linear_causal(q, k, v, w),
        others=others,
        errors=errors,
        error_max=1e-5,
    )
