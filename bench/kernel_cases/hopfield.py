"""Modern Hopfield retrieval beside the same two products and softmax in numpy and torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ganglion.kernels import hopfield, hypervectors
from kernel_cases.case import Call, Case, library, present


def _numpy(x: Any, q: Any, beta: Any) -> Call:
    def retrieve() -> object:
        p = x @ q
        p *= beta
        p -= p.max()
        np.exp(p, out=p)
        p /= p.sum()
        return p @ x

    return retrieve


def _torch(x: Any, q: Any, beta: float) -> Call:
    torch = library("torch")
    patterns, query = torch.from_numpy(x), torch.from_numpy(q)

    def retrieve() -> object:
        return torch.softmax((patterns @ query) * beta, 0) @ patterns

    return retrieve


def _exact(x: Any, q: Any, beta: float) -> Any:
    scores = beta * (x.astype(np.float64) @ q.astype(np.float64))
    p = np.exp(scores - scores.max())
    return (p / p.sum()) @ x.astype(np.float64)


def _case(n: int, d: int, goals: tuple[float, float, float], bound: bool) -> Case:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, d)).astype(np.float32)
    q = rng.standard_normal(d).astype(np.float32)
    beta = float(np.float32(d**-0.5))
    others = {"numpy": _numpy(x, q, np.float32(beta))}
    if present("torch"):
        others["torch"] = _torch(x, q, beta)
    kept = hopfield.bind_retrieve(x, q, beta=beta)

    def errors() -> dict[str, float]:
        want = _exact(x, q, beta)
        calls = {"ganglion": kept, **others}
        return {k: float(np.abs(np.asarray(call()) - want).max()) for k, call in calls.items()}

    return Case(
        name=f"retrieve {n:,} x {d}" + (", bound" if bound else ""),
        family="hopfield",
        ours=kept if bound else lambda: hopfield.retrieve(x, q, beta=beta),
        others=others,
        against="numpy",
        floor=None if bound else goals[0],
        target=None if bound else goals[1],
        stretch=None if bound else goals[2],
        bytes=4.0 * n * d,
        errors=errors,
        error_max=1e-6,
        note="bound by one reading of the patterns: csrc/kernels/hopfield/README.md, Speed",
    )


def _many() -> Case:
    """A batch: two matrix products for the others."""
    n, d, m = 10_000, 384, 32
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, d)).astype(np.float32)
    q = rng.standard_normal((m, d)).astype(np.float32)
    beta = np.float32(d**-0.5)

    def in_numpy() -> object:
        p = q @ x.T
        p *= beta
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=1, keepdims=True)
        return p @ x

    return Case(
        name=f"retrieve {m} queries, {n:,} x {d}",
        family="hopfield",
        ours=lambda: hopfield.retrieve(x, q),
        others={"numpy": in_numpy},
        flops=4.0 * n * d * m,
    )


def _hdc(n: int, bits: int, width: int) -> Case:
    """One query over packed keys; numpy counts the bits of the words."""
    keys = hypervectors.random(n, bits, seed=1)
    query = keys[n // 2].copy()
    given = np.random.default_rng(6).standard_normal((n, width)).astype(np.float32)
    beta = np.float32(bits**0.5)
    others: dict[str, Call] = {}
    if hasattr(np, "bitwise_count"):

        def in_numpy() -> object:
            apart = np.bitwise_count(keys ^ query).sum(axis=1, dtype=np.int32)
            p = beta * (1 - apart * np.float32(2 / bits))
            p = np.exp(p - p.max())
            return (p / p.sum()) @ given

        others["numpy"] = in_numpy
    return Case(
        name=f"hypervector attention {n:,} x {bits:,} bits, values of {width}",
        family="hopfield",
        ours=lambda: hopfield.hdc_attention(query, keys, given, bits=bits),
        others=others,
        bytes=float(keys.nbytes + given.nbytes),
    )


def cases() -> Iterator[Case]:
    for bound in (False, True):
        yield _case(1_000, 64, (2, 4, 6), bound)
        yield _case(10_000, 384, (5, 8, 11), bound)
    yield _many()
    yield _hdc(1_000, 10_000, 64)
