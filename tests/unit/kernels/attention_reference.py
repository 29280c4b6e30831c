"""Attention as its formula has it, in numpy's float64: what the tests of attention compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def attend(
    q: Array,
    k: Array,
    v: Array,
    see: Array | None = None,
    bias: Array | None = None,
    scale: float | None = None,
) -> Array:
    """softmax(scale q k^T + bias) v over what `see` allows; zeros where it allows nothing."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    if k.ndim > 2 and k.shape[-3] != q.shape[-3]:
        times = q.shape[-3] // k.shape[-3]
        k, v = (np.repeat(x, times, -3) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = scores + bias
    if see is not None:
        scores = np.where(see, scores, -np.inf)
    most = scores.max(-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(np.isfinite(most), most, 0))
    total = weights.sum(-1, keepdims=True)
    result: Array = weights / np.where(total > 0, total, 1) @ v
    return result


def positions(queries: int, keys: int) -> tuple[Array, Array]:
    """Where each query stands, as a column, and each key, as a row: the last query at the last key."""
    return np.arange(queries)[:, None] + keys - queries, np.arange(keys)[None]


def causal(queries: int, keys: int) -> Array:
    at, key = positions(queries, keys)
    see: Array = key <= at
    return see


def local(queries: int, keys: int, window: int, globals_: int) -> Array:
    at, key = positions(queries, keys)
    see: Array = (np.abs(key - at) <= window) | (key < globals_)
    return see | ((at < globals_) & (globals_ > 0))


def blocks(layout: Array, block: int, queries: int, keys: int) -> Array:
    see: Array = np.kron(layout, np.ones((block, block), bool))[:queries, :keys].astype(bool)
    return see


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)
