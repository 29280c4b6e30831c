"""Attention as a layer: heads with projections, differential heads, experts behind a gate. Everything is float32.

Weights are matrices [outputs, inputs], one row per output (y = W x + b), as trained layers keep them. Masks, biases and
positions are `attention.sdpa`'s. Wrong arguments are ValueErrors that name them.

Sources: Vaswani et al. 2017, section 3.2.2; Ainslie et al. 2023 (grouped queries); Ye et al. 2024, "Differential
Transformer", section 2; Shazeer et al. 2017 and Fedus et al. 2021, "Switch Transformers", equation 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    SIZE_MAX,
    U8,
    U32,
    Array,
    array,
    broadcast,
    kept_room,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import Bound, Pool, call, check, count, whole
from ganglion.kernels._kernels import ffi, lib

__all__ = [
    "Differential",
    "Expert",
    "Layer",
    "Mixture",
    "Route",
    "bind_multi_head",
    "differential",
    "differential_lambda",
    "mixture",
    "multi_head",
    "route",
]

_NULL = ffi.NULL
_BOOL = np.dtype(np.bool_)

Expert = Callable[[Array, Array], Any]
"""From query rows [rows, d] and their positions uint32 [rows] to float32 [rows, value_dim]."""


@dataclass(frozen=True)
class Differential:
    """What makes heads differential. `lambdas` [heads] (or one number for all): what the second softmax counts.

    Each head's result is divided by its root mean square, and multiplied by `gain` [value_dim] and by `out_scale`,
    the paper's 1 - lambda_init.
    """

    lambdas: Any
    gain: Any = None
    out_scale: float = 0.2
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Layer:
    """Projections of a layer: q [heads * dim, width], k [kv_heads * dim, context width], v [kv_heads * value_dim,
    context width], out [out width, heads * value_dim], and their biases. With `differential`, q and k hold two
    matrices a head, one after the other: [heads * 2 * dim, width], [kv_heads * 2 * dim, context width].
    """

    q: Any
    k: Any
    v: Any
    out: Any
    heads: int
    kv_heads: int | None = None
    q_bias: Any = None
    k_bias: Any = None
    v_bias: Any = None
    out_bias: Any = None
    differential: Differential | None = None


class Route(NamedTuple):
    """Which experts a token goes to. Best first, ties to the lowest index, NaN last; a row of weights sums to 1."""

    experts: Array  # uint32 [tokens, k]
    weights: Array  # float32 [tokens, k]
    load: Array  # float32 [experts]: share of the tokens * k places
    importance: Array  # float32 [experts]: mean gate
    balance: float  # experts * sum(load * importance): 1 when even, experts when all go to one


class Mixture(NamedTuple):
    """What the experts gave, and how the tokens were spread over them."""

    out: Array  # float32 [tokens, value_dim]
    route: Route


def multi_head(
    x: Any,
    layer: Layer,
    *,
    context: Any = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """A layer over x [queries, width] or [batch, queries, width], looking at `context` (x when None).

    The result has x's shape with the layer's out width. `mask` (bool, True: may see) and `bias` (float32, added to the
    scores) have a shape that broadcasts to [batch, heads, queries, keys]; over keys they are whole. `scale` None is
    1 / sqrt(dim). Every head of every batch honours them; a query that sees nothing gets the out bias alone.
    """
    shape, arguments, result, keep = _checked(x, layer, context, mask, bias, causal, scale, out)
    size = _size(lib.gn_multi_head_scratch(shape, layer.differential is not None, count(threads)))
    call("multi_head", threads, lib.gn_multi_head, *arguments, pointer(result), scratch(size))
    del keep
    return result


def bind_multi_head(
    x: Any,
    layer: Layer,
    *,
    context: Any = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`multi_head` of these arrays, to call many times."""
    shape, arguments, result, keep = _checked(x, layer, context, mask, bias, causal, scale, out)
    size = _size(lib.gn_multi_head_scratch(shape, layer.differential is not None, count(threads)))
    room = kept_room(max(size, 1))
    whole = (*arguments, pointer(result), room)
    return Bound("multi_head", threads, lib.gn_multi_head, whole, result, keep)


def _size(size: int) -> int:
    if size == SIZE_MAX:
        raise ValueError("x: too large")
    return size


def _batched(value: Any, name: str) -> tuple[Array, int, int, int]:
    """An array [rows, width] or [batch, rows, width], and those sizes."""
    found = array(value, name, F32)
    if found.ndim not in (2, 3):
        raise ValueError(f"{name}: {found.ndim} dimensions, not 2 or 3")
    batch, rows, width = found.shape if found.ndim == 3 else (1, *found.shape)
    return found, batch, rows, width


def _vector(value: Any, name: str, size: int, keep: list[Any]) -> Any:
    if value is None:
        return _NULL
    keep.append(shaped(array(value, name, F32), name, (size,)))
    return pointer(keep[-1])


def _heights(layer: Layer, width: int, seen_width: int) -> tuple[dict[str, Array], int, int, int]:
    """The four matrices, kv_heads, dim and value_dim. Raises ValueError naming the matrix that does not fit."""
    if not isinstance(layer, Layer):
        raise ValueError(f"layer: a {type(layer).__name__}, not a heads.Layer")
    found = {name: array(getattr(layer, name), name, F32, 2) for name in ("q", "k", "v", "out")}
    heads, kv_heads = layer.heads, layer.heads if layer.kv_heads is None else layer.kv_heads
    pair = 1 if layer.differential is None else 2
    if heads < 1:
        raise ValueError(f"heads: {heads!r} is not 1 or more")
    if kv_heads < 1 or heads % kv_heads:
        raise ValueError(f"kv_heads: {kv_heads!r} does not divide {heads} heads")
    dim, rest = divmod(found["q"].shape[0], heads * pair)
    if rest:
        raise ValueError(f"q: {found['q'].shape[0]} rows are not {heads} heads of the same size")
    value_dim, rest = divmod(found["v"].shape[0], kv_heads)
    if rest:
        raise ValueError(f"v: {found['v'].shape[0]} rows are not {kv_heads} heads of the same size")
    shaped(found["q"], "q", (heads * pair * dim, width))
    shaped(found["k"], "k", (kv_heads * pair * dim, seen_width))
    shaped(found["v"], "v", (kv_heads * value_dim, seen_width))
    shaped(found["out"], "out", (found["out"].shape[0], heads * value_dim))
    return found, kv_heads, dim, value_dim


def _broadcast(value: Any, name: str, full: tuple[int, ...], steps: Any, keep: list[Any]) -> Any:
    """The pointer of a mask or bias that broadcasts to [batch, heads, queries, keys]; fills its strides."""
    if value is None:
        return _NULL
    found = value
    if name == "mask":
        plain = found if isinstance(found, np.ndarray) else np.asarray(found)
        found = array(plain.view(U8) if plain.dtype == _BOOL else plain, name, U8)
    else:
        found = array(found, name, F32)
    broadcast(name, found.shape, full, steps)
    keep.append(found)
    return pointer(found)


def _rule(given: Differential | None, heads: int, value_dim: int, keep: list[Any]) -> Any:
    if given is None:
        return _NULL
    if isinstance(given.lambdas, (int, float)):
        lambdas = np.full(heads, given.lambdas, F32)
    else:
        lambdas = shaped(array(given.lambdas, "lambdas", F32), "lambdas", (heads,))
    for name in ("out_scale", "epsilon"):
        if not math.isfinite(getattr(given, name)):
            raise ValueError(f"{name}: {getattr(given, name)!r} is not finite")
    if given.epsilon < 0:
        raise ValueError(f"epsilon: {given.epsilon!r} is below 0")
    rule = ffi.new("struct gn_differential *")
    keep.append(lambdas)
    held = pointer(lambdas)
    gain = _vector(given.gain, "gain", value_dim, keep)
    rule[0] = {
        "lambda": held, "gain": gain, "out_scale": given.out_scale, "epsilon": given.epsilon,
    }  # fmt: skip
    keep += [rule, held, gain]
    return rule


def _scale(scale: float | None, dim: int) -> float:
    if scale is None:
        return 1.0 / math.sqrt(dim) if dim else 1.0
    if not math.isfinite(np.float32(scale)):
        raise ValueError(f"scale: {scale!r} is not finite in float32")
    return scale


def _checked(
    x: Any,
    layer: Layer,
    context: Any,
    mask: Any,
    bias: Any,
    causal: bool,
    scale: float | None,
    out: Any,
) -> tuple[Any, tuple[Any, ...], Array, list[Any]]:
    """The shape, the arguments of gn_multi_head up to bias, the result, and what must outlive the call."""
    asked, batch, queries, width = _batched(x, "x")
    seen, batches, keys, seen_width = _batched(x if context is None else context, "context")
    if batches != batch or seen.ndim != asked.ndim:
        raise ValueError(f"context: shape {seen.shape} does not go with x {asked.shape}")
    found, kv_heads, dim, value_dim = _heights(layer, width, seen_width)
    out_width = found["out"].shape[0]
    shape = ffi.new("struct gn_heads *")
    shape.batch, shape.queries, shape.keys = batch, queries, keys
    shape.width, shape.context_width, shape.out_width = width, seen_width, out_width
    shape.heads, shape.kv_heads, shape.dim, shape.value_dim = layer.heads, kv_heads, dim, value_dim
    shape.scale, shape.causal = _scale(scale, dim), bool(causal)
    weights = ffi.new("struct gn_projections *")
    keep: list[Any] = [asked, seen, *found.values(), shape, weights]
    heights = {"q": found["q"].shape[0], "k": found["k"].shape[0], "v": found["v"].shape[0]}
    for name, height in {**heights, "out": out_width}.items():
        matrix = pointer(found[name])
        vector = _vector(getattr(layer, f"{name}_bias"), f"{name}_bias", height, keep)
        setattr(weights, name, matrix)
        setattr(weights, f"{name}_bias", vector)
        keep += [matrix, vector]
    full = (batch, layer.heads, queries, keys)
    masked = _broadcast(mask, "mask", full, shape.mask_strides, keep)
    biased = _broadcast(bias, "bias", full, shape.bias_strides, keep)
    rule = _rule(layer.differential, layer.heads, value_dim, keep)
    inputs = [each for each in keep if isinstance(each, np.ndarray)]
    result = out_array(out, "out", (*asked.shape[:-1], out_width), F32, inputs)
    return (
        shape,
        (shape, weights, rule, pointer(asked), pointer(seen), masked, biased),
        result,
        keep,
    )


def differential(
    q: Any,
    k: Any,
    v: Any,
    rule: Differential,
    *,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Differential attention of projected q [..., heads, 2, queries, dim], k [..., kv_heads, 2, keys, dim] and
    v [..., kv_heads, keys, value_dim], where ... is nothing or batch: [..., heads, queries, value_dim].
    """
    first, second, values = (array(a, n, F32) for a, n in ((q, "q"), (k, "k"), (v, "v")))
    if first.ndim not in (4, 5) or first.shape[-3] != 2:
        raise ValueError(f"q: shape {first.shape}, not [..., heads, 2, queries, dim]")
    batch, heads, _, queries, dim = (1, *first.shape)[-5:]
    lead = first.shape[:-4]
    if second.ndim != first.ndim or second.shape[:-4] != lead or second.shape[-3::2] != (2, dim):
        raise ValueError(f"k: shape {second.shape}, not [..., kv_heads, 2, keys, {dim}]")
    kv_heads, keys = second.shape[-4], second.shape[-2]
    if values.ndim != first.ndim - 1 or values.shape[:-1] != (*lead, kv_heads, keys):
        raise ValueError(f"v: shape {values.shape}, not {(*lead, kv_heads, keys)} and columns")
    if heads and (not kv_heads or heads % kv_heads):
        raise ValueError(f"k: {kv_heads} heads do not divide q's {heads}")
    shape = ffi.new("struct gn_heads *")
    shape.batch, shape.queries, shape.keys = batch, queries, keys
    shape.heads, shape.kv_heads, shape.dim, shape.value_dim = heads, kv_heads, dim, values.shape[-1]
    shape.scale, shape.causal = _scale(scale, dim), bool(causal)
    keep: list[Any] = [first, second, values]
    full = (batch, heads, queries, keys)
    masked = _broadcast(mask, "mask", full, shape.mask_strides, keep)
    biased = _broadcast(bias, "bias", full, shape.bias_strides, keep)
    given = _rule(rule, heads, values.shape[-1], keep)
    inputs = [each for each in keep if isinstance(each, np.ndarray)]
    result = out_array(out, "out", (*lead, heads, queries, values.shape[-1]), F32, inputs)
    room = scratch(_size(lib.gn_differential_scratch(shape, count(threads))))
    call(
        "differential", threads, lib.gn_differential, shape, given, pointer(first),
        pointer(second), pointer(values), masked, biased, pointer(result), room,
    )  # fmt: skip
    return result


def differential_lambda(q1: Any, k1: Any, q2: Any, k2: Any, init: float = 0.8) -> float:
    """exp(q1.k1) - exp(q2.k2) + init of vectors [dim]: Ye et al. 2024, equation 2."""
    vectors = [array(q1, "q1", F32, 1)]
    for value, name in ((k1, "k1"), (q2, "q2"), (k2, "k2")):
        vectors.append(shaped(array(value, name, F32), name, vectors[0].shape))
    dim = vectors[0].size
    return float(lib.gn_differential_lambda(*(pointer(each) for each in vectors), dim, init))


def route(logits: Any, *, k: int = 2) -> Route:
    """The k experts of each token by its gate's logits [tokens, experts]: softmax, the k largest, renormalised.

    A row with NaN has weights NaN, a row of -infinity has weights 0.
    """
    given = array(logits, "logits", F32, 2)
    tokens, experts = given.shape
    if not 1 <= whole(k, "k") <= experts:
        raise ValueError(f"k: {k!r} is not in 1..{experts}, the number of experts")
    index, weights = np.empty((tokens, k), U32), np.empty((tokens, k), F32)
    load, importance, balance = np.empty(experts, F32), np.empty(experts, F32), np.empty(1, F32)
    status = lib.gn_experts_route(
        pointer(given), tokens, experts, k, pointer(index), pointer(weights), pointer(load),
        pointer(importance), pointer(balance), scratch(lib.gn_experts_scratch(experts)),
    )  # fmt: skip
    check(status, "logits")
    return Route(index, weights, load, importance, float(balance[0]))


def mixture(
    x: Any,
    gate: Any,
    experts: Sequence[Expert],
    *,
    k: int = 2,
    gate_bias: Any = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Mixture:
    """Mixture of attention experts: each token of x [tokens, d] goes to the k experts that softmax(gate x) ranks best,
    and gets the sum of their results by renormalised weight.

    gate [experts, d]. An expert takes the query rows that came to it [rows, d] and their positions in x, and gives
    float32 [rows, value_dim]: for one, `lambda q, at: attention.sdpa(q, keys, values)`. One that no token came to is
    not called.
    """
    tokens_in = array(x, "x", F32, 2)
    tokens, d = tokens_in.shape
    matrix = shaped(array(gate, "gate", F32, 2), "gate", (len(experts), d))
    logits = np.empty((tokens, len(experts)), F32)
    room = scratch(_size(lib.gn_matmul_scratch(tokens, len(experts), d, count(threads))))
    call(
        "gate", threads, lib.gn_matmul_nt, pointer(tokens_in), tokens, pointer(matrix),
        len(experts), d, pointer(logits), room,
    )  # fmt: skip
    if gate_bias is not None:
        logits += shaped(array(gate_bias, "gate_bias", F32), "gate_bias", (len(experts),))
    ways = route(logits, k=k)
    offsets, row = np.empty(len(experts) + 1, U32), np.empty(tokens * k, U32)
    place = np.empty((tokens, k), U32)
    status = lib.gn_experts_order(
        pointer(ways.experts),
        tokens,
        k,
        len(experts),
        pointer(offsets),
        pointer(row),
        pointer(place),
    )
    check(status, "x")
    gathered = np.empty((tokens * k, d), F32)
    check(
        lib.gn_experts_gather(pointer(tokens_in), tokens, d, pointer(row), row.size, pointer(gathered)),
        "x",
    )  # fmt: skip
    given = _given(experts, offsets, gathered, row)
    width = given.shape[1]
    result = out_array(out, "out", (tokens, width), F32, (tokens_in, matrix, given))
    call(
        "mixture", threads, lib.gn_experts_combine, pointer(given), row.size, width, pointer(place),
        pointer(ways.weights), tokens, k, pointer(result),
    )  # fmt: skip
    return Mixture(result, ways)


def _given(experts: Sequence[Expert], offsets: Array, gathered: Array, row: Array) -> Array:
    """What every expert gives for its rows, one after the other."""
    parts: list[Array] = []
    for e, expert in enumerate(experts):
        first, last = int(offsets[e]), int(offsets[e + 1])
        if first == last:
            continue
        part = array(expert(gathered[first:last], row[first:last]), f"experts[{e}]", F32, 2)
        if part.shape[0] != last - first or (parts and part.shape[1] != parts[0].shape[1]):
            width = parts[0].shape[1] if parts else "any width"
            raise ValueError(f"experts[{e}]: gave {part.shape}, not ({last - first}, {width})")
        parts.append(part)
    return np.concatenate(parts) if parts else np.empty((0, gathered.shape[1]), F32)
