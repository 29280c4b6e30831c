"""Linear attention: softmax attention estimated by positive random features (FAVOR+), and its causal prefix form.

Source: Choromanski et al., "Rethinking Attention with Performers", ICLR 2021. The cost grows with the length, not with
its square; the error falls as 1 / sqrt(features). Arrays are float32: queries [rows, dim] or [heads, rows, dim], keys
and values alike. One projection serves all heads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    Array,
    array,
    kept_room,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import Bound, Pool, call, check, count
from ganglion.kernels._kernels import lib

__all__ = [
    "bind_linear_attention",
    "bind_linear_causal",
    "favor_projection",
    "linear_attention",
    "linear_causal",
    "linear_state",
]

_FEATURES_MAX = 1 << 32


def favor_projection(features: int, dim: int, *, seed: int = 0, out: Any = None) -> Array:
    """Orthogonal random rows [features, dim], float32: the same for the same seed.

    Blocks of `dim` rows stand at right angles (section 3.3), each as long as a normal vector of its own. features round
    dim * ln(dim) is the paper's choice. Raises ValueError: a size is negative, too large, out does not fit.
    """
    for name, value in (("features", features), ("dim", dim)):
        if not 0 <= value < _FEATURES_MAX:
            raise ValueError(f"{name}: {value} is out of range")
    result = out_array(out, "out", (features, dim), F32)
    check(
        lib.gn_favor_projection(features, dim, seed & 0xFFFFFFFFFFFFFFFF, pointer(result)),
        "favor_projection",
    )
    return result


def linear_attention(
    queries: Any,
    keys: Any,
    values: Any,
    projection: Any,
    *,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Every query over every key: [..., rows, value_dim], an estimate of softmax(scale q k^T) v.

    queries [..., rows, dim], keys [..., count, dim], values [..., count, value_dim] with one leading heads dimension
    or none; projection [features, dim] (`favor_projection`); scale is 1 / sqrt(dim) unless given. No key: zeros. A NaN
    in a key makes all rows of its head NaN, one in a query its row.

    Raises ValueError: an argument is no dense float32 array of a fitting shape, scale is not finite and above 0, out
    does not fit or overlaps an input, threads is out of range.
    """
    arguments, result, size = _full(queries, keys, values, projection, scale, out, threads)
    call("linear_attention", threads, lib.gn_linear_attention, *arguments, scratch(size))
    return result


def bind_linear_attention(
    queries: Any,
    keys: Any,
    values: Any,
    projection: Any,
    *,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`linear_attention` of these arrays, to call many times."""
    arguments, result, size = _full(queries, keys, values, projection, scale, out, threads)
    room = kept_room(size)
    return Bound("linear_attention", threads, lib.gn_linear_attention, (*arguments, room), result)


def linear_state(features: int, value_dim: int, *, heads: int = 1) -> Array:
    """The running sums of a causal attention that has seen nothing: [heads, features * (value_dim + 2)], float32."""
    if min(features, value_dim, heads) < 0 or heads * features * (value_dim + 2) >= 1 << 60:
        raise ValueError(
            f"features, value_dim, heads: {features}, {value_dim}, {heads} are out of range"
        )
    state = np.empty((heads, features * (value_dim + 2)), F32)
    check(lib.gn_linear_begin(heads, features, value_dim, pointer(state)), "linear_state")
    return state


def linear_causal(
    queries: Any,
    keys: Any,
    values: Any,
    projection: Any,
    *,
    state: Any = None,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Each query over the keys up to its own: [..., length, value_dim].

    Shapes as `linear_attention`, with as many keys as queries. `state` (`linear_state`) is what came before; it is
    updated, so a sequence may be cut anywhere and one token at a time is length 1. None: begins with nothing.

    Raises ValueError as `linear_attention` does; state does not fit, cannot be written or overlaps another array.
    """
    arguments, result, size = _causal(queries, keys, values, projection, state, scale, out, threads)
    call("linear_causal", threads, lib.gn_linear_causal, *arguments, scratch(size))
    return result


def bind_linear_causal(
    queries: Any,
    keys: Any,
    values: Any,
    projection: Any,
    *,
    state: Any,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`linear_causal` of these arrays, to call many times: each call goes on from `state`."""
    arguments, result, size = _causal(queries, keys, values, projection, state, scale, out, threads)
    room = kept_room(size)
    return Bound("linear_causal", threads, lib.gn_linear_causal, (*arguments, room), result)


def _headed(value: Any, name: str, heads: int | None, ndim: int | None = None) -> Array:
    found = array(value, name, F32, ndim)
    if found.ndim not in (2, 3):
        raise ValueError(f"{name}: {found.ndim} dimensions, not 2 or 3")
    if heads is not None and found.ndim == 3 and found.shape[0] != heads:
        raise ValueError(f"{name}: {found.shape[0]} heads, queries have {heads}")
    return found


def _inputs(
    queries: Any, keys: Any, values: Any, projection: Any, scale: float | None
) -> tuple[Array, Array, Array, Array, int, float]:
    q = _headed(queries, "queries", None)
    heads = q.shape[0] if q.ndim == 3 else 1
    k, v = _headed(keys, "keys", heads, q.ndim), _headed(values, "values", heads, q.ndim)
    w, dim = array(projection, "projection", F32, 2), q.shape[-1]
    if k.shape[-1] != dim:
        raise ValueError(f"keys: dim {k.shape[-1]}, queries have {dim}")
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(f"values: {v.shape[-2]} rows, keys have {k.shape[-2]}")
    if w.shape[1] != dim or not w.shape[0]:
        raise ValueError(
            f"projection: shape {w.shape}, not (features, {dim}) with a feature at least"
        )
    s = (1 / math.sqrt(dim) if dim else 1.0) if scale is None else float(scale)
    if not 0 < s < 3.4e38:
        raise ValueError(f"scale: {scale} is not finite and above 0")
    return q, k, v, w, heads, s


def _room(size: int) -> int:
    if size >= 1 << 62:
        raise ValueError("keys: too large")
    return size


def _full(
    queries: Any,
    keys: Any,
    values: Any,
    projection: Any,
    scale: float | None,
    out: Any,
    threads: int | Pool,
) -> tuple[tuple[Any, ...], Array, int]:
    q, k, v, w, heads, s = _inputs(queries, keys, values, projection, scale)
    rows, dim = q.shape[-2:]
    keyed, value_dim = v.shape[-2:]
    result = out_array(out, "out", (*q.shape[:-1], value_dim), F32, (q, k, v, w))
    size = lib.gn_linear_scratch(heads, keyed, dim, value_dim, w.shape[0], count(threads))
    arguments = (
        pointer(q), heads, rows, pointer(k), keyed, dim, pointer(v), value_dim, pointer(w), w.shape[0], s,
        pointer(result),
    )  # fmt: skip
    return arguments, result, _room(size)


def _causal(
    queries: Any,
    keys: Any,
    values: Any,
    projection: Any,
    state: Any,
    scale: float | None,
    out: Any,
    threads: int | Pool,
) -> tuple[tuple[Any, ...], Array, int]:
    q, k, v, w, heads, s = _inputs(queries, keys, values, projection, scale)
    length, dim = q.shape[-2:]
    features, value_dim = w.shape[0], v.shape[-1]
    if k.shape[-2] != length:
        raise ValueError(f"keys: {k.shape[-2]} rows, queries have {length}")
    if state is None:
        sums = linear_state(features, value_dim, heads=heads)
    else:
        sums = shaped(array(state, "state", F32), "state", (heads, features * (value_dim + 2)))
        sums = out_array(sums, "state", sums.shape, F32, (q, k, v, w))
    result = out_array(out, "out", (*q.shape[:-1], value_dim), F32, (q, k, v, w, sums))
    size = lib.gn_linear_causal_scratch(dim, value_dim, features, count(threads))
    arguments = (
        pointer(q), pointer(k), pointer(v), heads, length, dim, value_dim, pointer(w), features, s, pointer(sums),
        pointer(result),
    )  # fmt: skip
    return arguments, result, _room(size)
