"""Adapters, e-prop and the nearest pattern beside what one writes with numpy and torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ganglion.kernels import adaptation as ad
from kernel_cases.case import Call, Case, library, present

DIM, RANK = 256, 2


def cases() -> Iterator[Case]:
    """MicroLoRA three ways, e-prop in two sizes, one pattern in 10,000, a ring's record, a plateau."""
    yield adapter("bound", 1, 8, 12, None)
    yield adapter("plain arrays", 1, 2.5, 3.5, None)
    yield adapter("function of four arrays", 1, None, None, None)
    yield adapter("bound", 64, 3, 4, 6)
    yield eprop(256, 3, 5, 6)
    yield eprop(1024, 1.5, 1.9, 2)
    for dim in (256, 384):
        yield nearest(10_000, dim)
    yield plateau(1024)


def adapter(
    form: str, n: int, floor: float | None, target: float | None, stretch: float | None
) -> Case:
    """`form`: everything bound; plain arrays in and out, the factors an adapter's own; the function of four arrays."""
    rng = np.random.default_rng(n)
    down, up = rng.standard_normal((2, RANK, DIM), dtype=np.float32)
    x = rng.standard_normal((n, DIM) if n > 1 else DIM, dtype=np.float32)
    out, hidden_t, up_t = np.empty_like(x), np.ascontiguousarray(down.T), up
    if form == "bound":
        ours: Call = ad.bind_lora(x, down, up, scale=0.5, out=out)
    elif form == "plain arrays":
        own = ad.MicroLora(DIM, RANK, scale=0.5)
        own.down[:], own.up[:] = down, up
        ours = lambda: own(x)  # noqa: E731
    else:
        ours = lambda: ad.lora(x, down, up, scale=0.5)  # noqa: E731
    others: dict[str, Call] = {"numpy": lambda: x + 0.5 * ((x @ hidden_t) @ up_t)}
    if present("torch"):
        torch = library("torch")
        tx, ta, tb = (torch.from_numpy(a) for a in (x, hidden_t, up_t))
        others["torch"] = lambda: torch.add(tx, (tx @ ta) @ tb, alpha=0.5)
    exact = x + 0.5 * ((x.astype(np.float64) @ down.T) @ up)

    def errors() -> dict[str, float]:
        return {
            "ganglion": float(np.abs(ours() - exact).max()),
            "numpy": float(np.abs(others["numpy"]() - exact).max()),
        }

    return Case(
        name=f"MicroLoRA d {DIM} rank {RANK}, {form}" + (f", batch {n}" if n > 1 else ""),
        family="adaptation",
        ours=ours,
        others=others,
        against="numpy",
        floor=floor,
        target=target,
        stretch=stretch,
        flops=4.0 * n * DIM * RANK,
        errors=errors,
        error_times=4.0,
        budget_us=100 if n == 1 else None,
    )


def eprop(size: int, floor: float, target: float, stretch: float) -> Case:
    rng = np.random.default_rng(size)
    weights = rng.standard_normal((size, size), dtype=np.float32) / np.float32(size**0.5)
    x = (rng.random(size) < 0.1).astype(np.float32)
    signal = rng.standard_normal(size, dtype=np.float32)
    net = ad.EProp(weights.copy(), membrane=0.95, filter=0.9)
    trace, v, z = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32)
    eligibility, gradient = np.zeros_like(weights), np.zeros_like(weights)
    term = np.empty_like(weights)
    alpha, kappa, gamma = np.float32(0.95), np.float32(0.9), np.float32(0.3)

    def by_numpy() -> object:
        np.multiply(eligibility, signal[:, None], out=term)
        np.add(gradient, term, out=gradient)
        np.multiply(trace, alpha, out=trace)
        np.add(trace, x, out=trace)
        v[:] = alpha * v - z + weights @ x
        z[:] = v >= 1
        psi = gamma * np.maximum(0, 1 - np.abs(v - 1))
        np.multiply(eligibility, kappa, out=eligibility)
        np.multiply(psi[:, None], trace, out=term)
        np.add(eligibility, term, out=eligibility)
        return z

    return Case(
        name=f"e-prop step {size} x {size}",
        family="adaptation",
        ours=lambda: net.step(x, signal),
        others={"numpy": by_numpy},
        floor=floor,
        target=target,
        stretch=stretch,
        bytes=20.0 * size * size,
        peak="load_l2" if size < 512 else "load_l3",
        note="12 bytes a synapse read, 8 written",
    )


def nearest(n: int, dim: int) -> Case:
    rng = np.random.default_rng(dim)
    bank = ad.PatternBank(n, dim)
    vectors = rng.standard_normal((n, dim), dtype=np.float32)
    for vector in vectors:
        bank.add(vector)
    query = rng.standard_normal(dim, dtype=np.float32)
    unit = bank.vectors

    def by_numpy() -> object:
        scores = unit @ (query / np.linalg.norm(query))
        best = np.argpartition(scores, -10)[-10:]
        return best[np.argsort(-scores[best])]

    others: dict[str, Call] = {"numpy": by_numpy}
    if present("torch"):
        torch = library("torch")
        tv, tq = torch.from_numpy(unit), torch.from_numpy(query)
        others["torch"] = lambda: torch.topk(tv @ (tq / tq.norm()), 10)
    if present("faiss"):
        faiss = library("faiss")
        index = faiss.IndexFlatIP(dim)
        index.add(unit)
        one = (query / np.linalg.norm(query))[None]
        others["faiss"] = lambda: index.search(one, 10)
    return Case(
        name=f"nearest 10 of {n:,} patterns of {dim}",
        family="adaptation",
        ours=lambda: bank.nearest(query, 10),
        others=others,
        bytes=float(unit.nbytes),
        peak="load_l3",
        budget_us=2000,
    )


def plateau(size: int) -> Case:
    rng = np.random.default_rng(7)
    weights, other = np.zeros((2, size, size), np.float32)
    trace, targets = rng.standard_normal((2, size), dtype=np.float32)

    def by_numpy() -> object:
        error = (targets - other @ trace) / (trace @ trace)
        other[:] += np.multiply.outer(error, trace)
        return other

    return Case(
        name=f"BTSP plateau {size} x {size}",
        family="adaptation",
        ours=lambda: ad.btsp_plateau(weights, trace, targets),
        others={"numpy": by_numpy},
        bytes=8.0 * size * size,
        peak="load_l3",
    )
