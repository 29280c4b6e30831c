"""Selection and competition beside torch and numpy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ganglion.kernels import selection

from .case import Call, Case, library, present

K = 32
GOALS = {1_000: (2, 3.5, 5), 10_000: (2.5, 5, 10), 100_000: (8, 14, 20)}


def cases() -> Iterator[Case]:
    for n, goals in GOALS.items():
        for order in ("random", "ascending", "descending"):
            yield kwta(n, order, goals)
    yield plain()
    yield rows()
    yield soft()
    yield from (kuramoto(n) for n in (100, 10_000))


def numbers(n: int, order: str) -> np.ndarray:
    x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    if order == "random":
        return x
    return np.sort(x) if order == "ascending" else np.sort(x)[::-1].copy()


def others_of(x: np.ndarray, k: int = K) -> dict[str, Call]:
    n = x.shape[-1]
    others: dict[str, Call] = {"numpy": lambda: np.argpartition(x, n - k)[..., n - k :]}
    if present("torch"):
        torch = library("torch")
        tensor = torch.from_numpy(x)
        others["torch"] = lambda: torch.topk(tensor, k, sorted=False)
    return others


def kwta(n: int, order: str, goals: tuple[float, float, float]) -> Case:
    x = numbers(n, order)
    floor, target, stretch = goals
    return Case(
        name=f"k-WTA {K} of {n:,}, {order}",
        family="selection",
        ours=lambda: selection.top(x, K, sorted=False),
        others=others_of(x),
        floor=floor,
        target=target,
        stretch=stretch,
        bytes=4.0 * n,
        peak="load_l1" if n <= 8192 else "load_l2",
        errors=lambda: {"ganglion": float(wrong(x))},
        error_max=0.0,
        note="plain call, values and indices; torch.topk unsorted, np.argpartition indices only",
    )


def wrong(x: np.ndarray) -> int:
    """How many of our winners are not those of a stable sort."""
    want = np.argsort(-x, kind="stable")[:K]
    return int((selection.kwta(x, K) != want).sum())


def plain() -> Case:
    x = numbers(1_000, "random")
    bound = selection.bind_top(x, K)
    return Case(
        name=f"k-WTA {K} of 1,000, bound, sorted",
        family="selection",
        ours=bound,
        others=others_of(x),
        budget_us=1.0,
        note="the published target is 1 us for one K-WTA of 1,000",
    )


def rows() -> Case:
    x = np.random.default_rng(0).standard_normal((64, 1_000)).astype(np.float32)
    return Case(
        name=f"k-WTA {K} of 64 x 1,000",
        family="selection",
        ours=lambda: selection.top(x, K, sorted=False),
        others=others_of(x),
    )


def soft() -> Case:
    x = numbers(10_000, "random")
    others: dict[str, Call] = {}
    if present("torch"):
        torch = library("torch")
        tensor = torch.from_numpy(x)
        others["torch"] = lambda: torch.softmax(tensor, 0)

    def by_numpy() -> np.ndarray:
        e = np.exp(x - x.max())
        return e / e.sum()

    others["numpy"] = by_numpy
    wide = x.astype(np.float64)
    want = np.exp(wide - wide.max()) / np.exp(wide - wide.max()).sum()
    return Case(
        name="soft WTA of 10,000",
        family="selection",
        ours=lambda: selection.soft_wta(x),
        others=others,
        errors=lambda: {"ganglion": float(np.abs(selection.soft_wta(x) - want).max())},
        error_max=1e-9,
    )


def kuramoto(n: int) -> Case:
    frequencies = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    ours = selection.Oscillators(frequencies)
    phases = ours.phases.copy()
    coupling, dt = np.float32(2.0), np.float32(0.01)

    def by_numpy() -> np.ndarray:
        nonlocal phases
        c, s = np.cos(phases), np.sin(phases)
        phases = phases + dt * (frequencies + coupling * (s.mean() * c - c.mean() * s))
        return phases

    return Case(
        name=f"Kuramoto step, n = {n:,}",
        family="selection",
        ours=lambda: ours.step(2.0, 0.01),
        others={"numpy": by_numpy},
    )
