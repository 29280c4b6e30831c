"""Hyperbolic attention and distances beside numpy and torch: Poincare ball, d = 64, one query."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ganglion.kernels import hyperbolic
from kernel_cases.case import Call, Case, library, present


def cases() -> Iterator[Case]:
    """One query over 100 and 1,000 keys with the Einstein midpoint; 1,000 distances."""
    yield _attention(1000, floor=4.0, target=8.0, stretch=12.0)
    yield _attention(100)
    yield _distances(1000)


def _inputs(n: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(1)
    arrays = [0.08 * rng.standard_normal(s).astype(np.float32) for s in ((64,), (n, 64), (n, 64))]
    return arrays[0], hyperbolic.project(arrays[1]), hyperbolic.project(arrays[2])


def numpy_distances(q: Any, k: Any) -> Any:
    gap = k - q
    near = np.einsum("ij,ij->i", gap, gap)
    norms = np.einsum("ij,ij->i", k, k)
    u = 2 * near / ((1 - norms) * (1 - q @ q))
    return np.log1p(u + np.sqrt(u * (u + 2)))


def numpy_attention(q: Any, k: Any, v: Any) -> Any:
    d = numpy_distances(q, k)
    w = np.exp(d.min() - d)
    w *= 2 / (1 - np.einsum("ij,ij->i", v, v))
    plain = np.exp(d.min() - d).sum()
    m, t = w @ v, w.sum() - plain
    return m / (t + np.sqrt(t * t - m @ m))


def _torch_attention(q: Any, k: Any, v: Any) -> Call:
    torch = library("torch")
    tq, tk, tv = (torch.from_numpy(a) for a in (q, k, v))

    def call() -> Any:
        gap = tk - tq
        u = 2 * (gap * gap).sum(1) / ((1 - (tk * tk).sum(1)) * (1 - tq @ tq))
        w = torch.softmax(-torch.acosh(1 + u), 0)
        factors = w * (2 / (1 - (tv * tv).sum(1)))
        m, t = factors @ tv, factors.sum() - 1
        return m / (t + torch.sqrt(t * t - m @ m))

    return call


def _attention(n: int, **goals: Any) -> Case:
    q, k, v = _inputs(n)
    others: dict[str, Any] = {"numpy": partial(numpy_attention, q, k, v)}
    if present("torch"):
        others["torch"] = _torch_attention(q, k, v)

    def errors() -> dict[str, float]:
        want = numpy_attention(*(a.astype(np.float64) for a in (q, k, v)))
        found = {"ganglion": hyperbolic.attention(q, k, v), **{x: f() for x, f in others.items()}}
        return {name: float(np.abs(np.asarray(x) - want).max()) for name, x in found.items()}

    return Case(
        name=f"hyperbolic attention, one query, n {n}, d 64",
        family="hyperbolic",
        ours=lambda: hyperbolic.attention(q, k, v),
        others=others,
        against="numpy",
        bytes=2.0 * n * 64 * 4,
        errors=errors,
        error_max=1e-6,
        **goals,
    )


def _distances(n: int) -> Case:
    q, k, _ = _inputs(n)

    def errors() -> dict[str, float]:
        want = numpy_distances(q.astype(np.float64), k.astype(np.float64))
        found = {"ganglion": hyperbolic.distances(q, k), "numpy": numpy_distances(q, k)}
        return {name: float(np.abs(x - want).max()) for name, x in found.items()}

    return Case(
        name=f"hyperbolic distances, one point, n {n}, d 64",
        family="hyperbolic",
        ours=lambda: hyperbolic.distances(q, k),
        others={"numpy": lambda: numpy_distances(q, k)},
        bytes=1.0 * n * 64 * 4,
        errors=errors,
        error_max=1e-5,
    )
