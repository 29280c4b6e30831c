"""Scaled dot-product attention beside torch's and beside numpy, at the sizes agents use and at those papers use.

Everything is dim 64, float32, unit normal unless said. torch gets [1, heads, n, 64] and no gradients; numpy the formula
in as few passes as it allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ganglion import kernels
from ganglion.kernels import attention
from ganglion.kernels.attention import sdpa
from kernel_cases.case import Call, Case, library, present

FAMILY = "attention"
DIM = 64
Goals = tuple[float | None, float | None, float | None]


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def exact(q: Any, k: Any, v: Any, see: Any = None) -> Any:
    """In float64, one head after another."""
    out = np.empty((*q.shape[:-1], v.shape[-1]))
    group = q.shape[-3] // k.shape[-3]
    for h in range(q.shape[-3]):
        keys, values = (x[0, h // group].astype(np.float64) for x in (k, v))
        scores = q[0, h].astype(np.float64) @ keys.T / np.sqrt(DIM)
        if see is not None:
            scores[~see] = -np.inf
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        out[0, h] = scores / scores.sum(-1, keepdims=True) @ values
    return out


def in_torch(q: Any, k: Any, v: Any, threads: int = 1, **options: Any) -> dict[str, Call]:
    """torch's fused attention, if torch is there; `threads` for the time of the call."""
    if not present("torch"):
        return {}
    torch = library("torch")
    function = torch.nn.functional.scaled_dot_product_attention
    tensors = [torch.from_numpy(x) for x in (q, k, v)]

    def one() -> object:
        return function(*tensors, **options)

    def many() -> object:
        torch.set_num_threads(threads)
        result = function(*tensors, **options)
        torch.set_num_threads(1)
        return result

    return {"torch": one if threads == 1 else many}


def in_numpy(q: Any, k: Any, v: Any) -> dict[str, Call]:
    """One head."""
    queries, keys, values = q[0, 0], k[0, 0], v[0, 0]
    scale = np.float32(DIM**-0.5)

    def run() -> object:
        scores = queries @ keys.T
        scores *= scale
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        sums = scores.sum(-1, keepdims=True)
        result = scores @ values
        result /= sums
        return result

    return {"numpy": run}


def gaps(want: Callable[[], Any], calls: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """The largest error of each side, found when it is asked for."""

    def errors() -> dict[str, float]:
        exact_result = want()
        return {
            name: float(np.abs(np.asarray(call()).reshape(exact_result.shape) - exact_result).max())
            for name, call in calls.items()
        }

    return errors


def whole(n: int, goals: Goals, share: float | None, heads: int = 1) -> Case:
    q, k, v = (normal(seed, 1, heads, n, DIM) for seed in range(3))
    others = in_torch(q, k, v)

    def ours() -> object:
        return sdpa(q, k, v)

    calls = {"ganglion": ours, **others}
    if heads == 1 and n <= 1000:
        others |= in_numpy(q, k, v)
    return Case(
        f"sdpa {n} x {n}" + (f", {heads} heads" if heads > 1 else ""),
        FAMILY,
        ours,
        others,
        against="torch",
        floor=goals[0],
        target=goals[1],
        stretch=goals[2],
        flops=4.0 * heads * n * n * DIM,
        share_floor=share,
        errors=gaps(lambda: exact(q, k, v), calls) if n <= 2048 and heads == 1 else None,
        error_max=1e-6 if n <= 2048 and heads == 1 else None,
        budget_us=100.0 if n == 100 and heads == 1 else None,
    )


def causal(n: int, goals: Goals) -> Case:
    q, k, v = (normal(seed, 1, 1, n, DIM) for seed in range(3))
    return Case(
        f"sdpa {n} x {n}, causal",
        FAMILY,
        lambda: sdpa(q, k, v, causal=True),
        in_torch(q, k, v, is_causal=True),
        against="torch",
        floor=goals[0],
        target=goals[1],
        stretch=goals[2],
        flops=2.0 * n * (n + 1) * DIM,
    )


def large_logits() -> Case:
    n = 2048
    q, k, v = (normal(seed, 1, 1, n, DIM) for seed in range(3))
    q, k = q * np.float32(6), k * np.float32(6)
    others = in_torch(q, k, v)

    def ours() -> object:
        return sdpa(q, k, v)

    return Case(
        f"sdpa {n} x {n}, logits past 100",
        FAMILY,
        ours,
        others,
        against="torch",
        flops=4.0 * n * n * DIM,
        errors=gaps(lambda: exact(q, k, v), {"ganglion": ours, **others}),
        error_times=2.0,
    )


def two_threads(n: int, heads: int, pool: kernels.Pool) -> Iterator[Case]:
    q, k, v = (normal(seed, 1, heads, n, DIM) for seed in range(3))
    name = f"sdpa {n} x {n}" + (f", {heads} heads" if heads > 1 else "")
    flops = 4.0 * heads * n * n * DIM

    def ours() -> object:
        return sdpa(q, k, v, threads=pool)

    one: dict[str, Any] = {"one thread": lambda: sdpa(q, k, v)}
    goals: dict[str, Any] = {"floor": 1.75, "target": 1.9} if heads == 1 else {}
    yield Case(f"{name}, 2 threads over 1", FAMILY, ours, one, "one thread", **goals, flops=flops)
    theirs: dict[str, Any] = {**in_torch(q, k, v, threads=2)}
    yield Case(f"{name}, 2 threads", FAMILY, ours, theirs, "torch", flops=flops)


def one_query(n: int, goals: Goals, bound: bool) -> Case:
    q, k, v = normal(0, 1, 1, 1, DIM), normal(1, 1, 1, n, DIM), normal(2, 1, 1, n, DIM)
    others = in_torch(q, k, v) | in_numpy(q, k, v)
    flat = [x[0, 0] for x in (q, k, v)]
    kept = attention.bind_sdpa(*flat)
    ours: Call = kept if bound else lambda: sdpa(*flat)
    return Case(
        f"one query, {n:,} keys" + (", bound" if bound else ""),
        FAMILY,
        ours,
        {**others},
        floor=goals[0],
        target=goals[1],
        stretch=goals[2],
        bytes=2.0 * 4 * n * DIM,
        peak="load_l2" if n <= 1000 else "load_l3",
        errors=gaps(lambda: exact(q, k, v), {"ganglion": ours, **others}),
        error_max=1e-6,
    )


def masked(n: int) -> Iterator[Case]:
    q, k, v = (normal(seed, 1, 1, n, DIM) for seed in range(3))
    mask = np.random.default_rng(4).random((n, n)) < 0.7
    bias = normal(5, n, n)
    for name, array, option in (("mask", mask, "mask"), ("bias", bias, "bias")):
        others: dict[str, Any] = {}
        if present("torch"):
            others = {**in_torch(q, k, v, attn_mask=library("torch").from_numpy(array))}
        arguments = {option: array}
        yield Case(
            f"sdpa {n} x {n}, {name}",
            FAMILY,
            lambda arguments=arguments: sdpa(q, k, v, **arguments),  # type: ignore[misc]
            others,
            against="torch",
            flops=4.0 * n * n * DIM,
        )


def grouped() -> Case:
    """Decoding: one query each for 32 heads that share 8 heads of keys."""
    n = 1000
    q, k, v = normal(0, 1, 32, 1, DIM), normal(1, 1, 8, n, DIM), normal(2, 1, 8, n, DIM)
    others: dict[str, Any] = {**in_torch(q, k, v, enable_gqa=True)}
    flops = 4.0 * 32 * n * DIM
    name = f"one query, {n:,} keys, 32 heads over 8"
    return Case(name, FAMILY, lambda: sdpa(q, k, v), others, "torch", flops=flops)


def sparse(n: int) -> Iterator[Case]:
    """Windows and layouts; others can only mask the whole square."""
    q, k, v = (normal(seed, 1, 1, n, DIM) for seed in range(3))
    window, first, block = 128, 16, 64
    row, col = np.indices((n, n), np.int32, sparse=True)
    near = (np.abs(row - col) <= window) | (row < first) | (col < first)
    starts, columns = attention.bigbird_layout(n // block)
    seen = np.zeros((n // block, n // block), bool)
    seen[np.repeat(np.arange(n // block), np.diff(starts)), columns] = True
    blocks = np.kron(seen, np.ones((block, block), bool)).astype(bool)
    kinds: list[tuple[str, Call, Any]] = [
        (
            f"local {n} x {n}, window {window}, {first} global",
            lambda: attention.local_attention(q, k, v, window=window, globals=first),
            near,
        ),
        (
            f"block-sparse {n} x {n}, BigBird of {block}",
            lambda: attention.block_sparse(q, k, v, (starts, columns), block=block),
            blocks,
        ),
    ]
    for name, ours, see in kinds:
        others: dict[str, Any] = {"own, whole": lambda: sdpa(q, k, v)}
        if present("torch"):
            others |= in_torch(q, k, v, attn_mask=library("torch").from_numpy(see))
        yield Case(
            name,
            FAMILY,
            ours,
            others,
            against="torch",
            flops=4.0 * float(see.sum()) * DIM,
            errors=gaps(lambda see=see: exact(q, k, v, see), {"ganglion": ours}),  # type: ignore[misc]
            error_max=2e-6,
            note=f"{see.mean():.1%} of the pairs",
        )


def cases() -> Iterator[Case]:
    """The floors of the issue first, then what else a user does."""
    yield whole(100, (1.3, 1.7, 2.2), None)
    for n in (512, 1000, 2048):
        yield whole(n, (1.05, 1.2, 1.3), 0.58)
    yield whole(8192, (1.0, 1.15, 1.3), None)
    yield causal(512, (1.1, 1.5, 1.8))
    yield causal(2048, (1.0, 1.1, 1.8))
    for bound in (False, True):
        yield one_query(100, (2.0, 4.0, 5.0), bound)
        yield one_query(1000, (1.6, 2.3, 3.0), bound)
        yield one_query(10_000, (None, None, None), bound)
    with kernels.Pool(2) as pool:
        for n, heads in ((1000, 1), (2048, 1), (512, 8)):
            yield from two_threads(n, heads, pool)
    yield large_logits()
    yield whole(512, (None, None, None), None, heads=8)
    yield from masked(1000)
    yield grouped()
    yield from sparse(2048)
