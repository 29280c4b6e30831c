"""Scaled dot-product attention: whole, local and global, or block-sparse, with memory O(n).

Shapes: q is [..., queries, dim], k [..., keys, dim], v [..., keys, value_dim], where ... is nothing, heads, or batch
and heads; k and v may have fewer heads than q (grouped queries: a divisor). q may also be [dim] beside k [keys, dim]:
one query. The result is [..., queries, value_dim]. Query i stands at position i + keys - queries among the keys: the
last query at the last key. `causal` lets a query see keys up to its own position.

`mask` (bool or uint8, not 0: may see) and `bias` (float32, added to the scores) have the shape [..., queries, keys] or
one that broadcasts to it as numpy does it, except over keys. What a query may not see contributes nothing, whatever it
holds; a query that sees nothing gets zeros. `scale` is 1 / sqrt(dim) unless given.

All is float32, but `sdpa` also takes q, k, v (and out) of float16 or bfloat16 and returns their type, and
`precision="f32x3"`: three bfloat16 products in place of a float32 one where the machine has AMX tiles (error within
5e-6 for unit normal inputs where rows see 256 keys and more); elsewhere it is float32.

Every function raises ValueError naming the argument: wrong dtype, shape or stride, a read-only or overlapping `out`.
Sources: Milakov and Gimelshein 2018, algorithm 3; Dao et al. 2022 (FlashAttention), algorithm 1.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

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
)
from ganglion.kernels._attention16 import Way, way_of
from ganglion.kernels._call import INTEGERS, Bound, Pool, call, check, count
from ganglion.kernels._kernels import ffi, lib

__all__ = [
    "bigbird_layout",
    "bind_block_sparse",
    "bind_local_attention",
    "bind_sdpa",
    "block_sparse",
    "local_attention",
    "sdpa",
]

_NULL = ffi.NULL
_BOOL = np.dtype(np.bool_)
_F32_MAX = float(np.finfo(np.float32).max)
_FLOATS = ffi.typeof("float[]")
_from_buffer, _empty, _sdpa = ffi.from_buffer, np.empty, lib.gn_sdpa
Shape = tuple[int, ...]
_Call = tuple[tuple[Any, ...], Array, int, tuple[Any, ...]]


def sdpa(
    q: Any,
    k: Any,
    v: Any,
    *,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
    precision: str = "f32",
) -> Any:
    """softmax(scale q k^T + bias) v, over the keys that each query may see.

    precision: "f32", or "f32x3" (see above); bfloat16 results come as a tensor or array of q's library.
    """
    if threads == 1 and mask is None and bias is None and out is None and precision == "f32":
        try:  # the common call by the short way; whatever is wrong is said by the long one
            if q.dtype is k.dtype is v.dtype is F32:
                plan = _plans.get((q.shape, k.shape, v.shape, causal, scale))
                if plan is None:
                    plan = _keep_plan(q.shape, k.shape, v.shape, causal, scale)
                result: Array = _empty(plan.out_shape, F32)
                if not _sdpa(
                    plan.shape,
                    _from_buffer(_FLOATS, q),  # refuses what is not dense and row-major
                    _from_buffer(_FLOATS, k),
                    _from_buffer(_FLOATS, v),
                    _NULL,
                    _NULL,
                    _from_buffer(_FLOATS, result),
                    scratch(plan.scratch_one),
                    _NULL,
                ):
                    return result
        except (AttributeError, BufferError, TypeError, ValueError):
            pass
    way = way_of(q, precision)
    if way is not None:
        arguments, given, size, _ = _checked_typed(
            way, q, k, v, mask, bias, causal, scale, out, threads
        )
        call("sdpa", threads, way.function, *arguments, scratch(size))
        return given
    arguments, result, size, _ = _checked(q, k, v, mask, bias, causal, scale, out, threads)
    call("sdpa", threads, lib.gn_sdpa, *arguments, scratch(size))
    return result


def bind_sdpa(
    q: Any,
    k: Any,
    v: Any,
    *,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
    precision: str = "f32",
) -> Bound[Any]:
    """`sdpa` of these arrays, to call many times."""
    way = way_of(q, precision)
    if way is not None:
        arguments, given, size, keep = _checked_typed(
            way, q, k, v, mask, bias, causal, scale, out, threads
        )
        return Bound("sdpa", threads, way.function, (*arguments, kept_room(size)), given, keep)
    arguments, result, size, keep = _checked(q, k, v, mask, bias, causal, scale, out, threads)
    return Bound("sdpa", threads, lib.gn_sdpa, (*arguments, kept_room(size)), result, keep)


def local_attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    window: int,
    globals: int = 0,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Attention to the keys at most `window` positions away, and to the first `globals` keys.

    A query whose own position is below `globals` sees all keys. Beltagy et al. 2020 (Longformer), section 3.1.
    """
    arguments, result, size, _ = _checked(q, k, v, mask, bias, causal, scale, out, threads)
    rule = (arguments[0], _whole(window, "window"), _whole(globals, "globals"), *arguments[1:])
    call("local_attention", threads, lib.gn_sdpa_local, *rule, scratch(size))
    return result


def bind_local_attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    window: int,
    globals: int = 0,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`local_attention` of these arrays, to call many times."""
    arguments, result, size, keep = _checked(q, k, v, mask, bias, causal, scale, out, threads)
    rule = (arguments[0], _whole(window, "window"), _whole(globals, "globals"), *arguments[1:])
    function = lib.gn_sdpa_local
    return Bound("local_attention", threads, function, (*rule, kept_room(size)), result, keep)


def block_sparse(
    q: Any,
    k: Any,
    v: Any,
    layout: Any,
    *,
    block: int,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """Attention of blocks of `block` queries to the blocks of `block` keys that `layout` gives them.

    layout: a boolean matrix [query blocks, key blocks], or (starts, columns) as uint32: query block r sees the key
    blocks columns[starts[r]:starts[r + 1]], ascending. Also raises ValueError: a layout of another size, a column that
    is out of range or out of order. Child et al. 2019; Zaheer et al. 2020.
    """
    arguments, result, size, _ = _checked(q, k, v, mask, bias, causal, scale, out, threads)
    starts, columns = _layout(layout, block, q, k)
    rule = (arguments[0], block, pointer(starts), pointer(columns), *arguments[1:])
    call("layout", threads, lib.gn_sdpa_blocks, *rule, scratch(size))
    return result


def bind_block_sparse(
    q: Any,
    k: Any,
    v: Any,
    layout: Any,
    *,
    block: int,
    mask: Any = None,
    bias: Any = None,
    causal: bool = False,
    scale: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`block_sparse` of these arrays, to call many times; the layout stays what it is now."""
    arguments, result, size, keep = _checked(q, k, v, mask, bias, causal, scale, out, threads)
    starts, columns = (part.copy() for part in _layout(layout, block, q, k))
    rule = (arguments[0], block, pointer(starts), pointer(columns), *arguments[1:])
    return Bound("layout", threads, lib.gn_sdpa_blocks, (*rule, kept_room(size)), result, keep)


def bigbird_layout(
    blocks: int, *, window: int = 1, globals: int = 1, randoms: int = 2, seed: int = 0
) -> tuple[Array, Array]:
    """A layout (starts, columns) for `block_sparse`: Zaheer et al. 2020 (BigBird), section 2.

    Row r sees columns r - window..r + window, the first `globals` columns and `randoms` others drawn by `seed`; the
    first `globals` rows see all. Raises ValueError: blocks not in 0..65535, another number below 0.
    """
    sizes = [_whole(blocks, "blocks"), _whole(window, "window"), _whole(globals, "globals")]
    rule = (*sizes, _whole(randoms, "randoms"), _whole(seed, "seed"))
    if blocks > 65535:
        raise ValueError(f"blocks: {blocks} is over 65535")
    starts = np.empty(blocks + 1, U32)
    check(lib.gn_bigbird_layout(*rule, pointer(starts), _NULL), "blocks")
    columns = np.empty(int(starts[blocks]), U32)
    check(lib.gn_bigbird_layout(*rule, pointer(starts), pointer(columns)), "blocks")
    return starts, columns


class _Plan:
    """A struct gn_sdpa and all else that shapes alone decide; kept, since the same shapes come again."""

    __slots__ = ("out_shape", "scratch_one", "shape", "sizes")

    def __init__(self, shape: Any, out_shape: Shape) -> None:
        self.shape, self.out_shape = shape, out_shape
        self.sizes: dict[Any, int] = {}
        self.scratch_one = self.scratch(1)

    def scratch(self, threads: int) -> int:
        """Bytes for that many threads. Raises ValueError when there are too many."""
        size = self.sizes.get(threads)
        if size is None:
            size = self.sizes[threads] = lib.gn_sdpa_scratch(self.shape, threads)
            if size == SIZE_MAX:
                raise ValueError("q: too large")
        return size


@lru_cache(maxsize=256)
def _plan(
    q: Shape,
    k: Shape,
    v: Shape,
    mask: Shape | None,
    bias: Shape | None,
    causal: bool,
    scale: float | None,
) -> _Plan:
    if not 1 <= len(q) <= 4:
        raise ValueError(f"q: {len(q)} dimensions, not 1 to 4")
    lead = len(q) if len(q) > 1 else 2
    for name, shape in (("k", k), ("v", v)):
        if len(shape) != lead:
            raise ValueError(f"{name}: {len(shape)} dimensions, not {lead}")
    batch, heads, queries, dim = (1, 1, 1, 1, *q)[-4:]
    _, kv_heads, keys, width = (1, 1, *k)[-4:]
    if width != dim:
        raise ValueError(f"k: shape {k}, {width} columns where q has {dim}")
    if lead == 4 and k[0] != batch:
        raise ValueError(f"k: shape {k}, {k[0]} batches where q has {batch}")
    if heads and (not kv_heads or heads % kv_heads):
        raise ValueError(f"k: shape {k}, {kv_heads} heads do not divide q's {heads}")
    if v[:-1] != k[:-1]:
        raise ValueError(f"v: shape {v}, not {k[:-1]} and columns as k has it")
    if scale is None:
        scale = 1 / math.sqrt(dim) if dim else 1.0
    elif not abs(scale) <= _F32_MAX:
        raise ValueError(f"scale: {scale} is not finite in float32")
    shape = ffi.new("struct gn_sdpa *")
    shape.batch, shape.heads, shape.kv_heads = batch, heads, kv_heads
    shape.queries, shape.keys, shape.dim, shape.value_dim = queries, keys, dim, v[-1]
    shape.scale, shape.causal = scale, bool(causal)
    lib.gn_sdpa_dense(shape)
    full = (batch, heads, queries, keys)[4 - max(len(q), 1) :] if len(q) > 1 else (keys,)
    if mask is not None:
        broadcast("mask", mask, full, shape.mask_strides)
    if bias is not None:
        broadcast("bias", bias, full, shape.bias_strides)
    return _Plan(shape, (*q[:-1], v[-1]))


_plans: dict[Any, _Plan] = {}


def _keep_plan(q: Shape, k: Shape, v: Shape, causal: bool, scale: float | None) -> _Plan:
    if len(_plans) >= 256:
        _plans.clear()
    plan = _plans[q, k, v, causal, scale] = _plan(q, k, v, None, None, causal, scale)
    return plan


def _checked(
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    bias: Any,
    causal: bool,
    scale: float | None,
    out: Any,
    threads: int | Pool,
) -> _Call:
    """The C function's arguments up to out, the result, the bytes of scratch, and what must outlive the pointers."""
    q, k, v = array(q, "q", F32), array(k, "k", F32), array(v, "v", F32)
    pointers, inputs, plan = _planned(q, k, v, mask, bias, causal, scale)
    result = out_array(out, "out", plan.out_shape, F32, inputs)
    size = plan.scratch(1 if threads == 1 else count(threads))
    return (*pointers, pointer(result)), result, size, (plan, inputs)


def _checked_typed(
    way: Way,
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    bias: Any,
    causal: bool,
    scale: float | None,
    out: Any,
    threads: int | Pool,
) -> tuple[tuple[Any, ...], Any, int, tuple[Any, ...]]:
    """As `_checked` for one of the ways of 16 bits or of three products."""
    arrays = way.input(q, "q"), way.input(k, "k"), way.input(v, "v")
    pointers, inputs, plan = _planned(*arrays, mask, bias, causal, scale)
    result, given = way.result(out, plan.out_shape, inputs, q)
    size = way.scratch(plan.shape, plan.sizes, 1 if threads == 1 else count(threads))
    return (*pointers, pointer(result)), given, size, (plan, inputs, result)


def _planned(
    q: Array, k: Array, v: Array, mask: Any, bias: Any, causal: bool, scale: float | None
) -> tuple[tuple[Any, ...], tuple[Array, ...], _Plan]:
    """The C function's arguments before out, the inputs, and the plan of their shapes."""
    masked, added = _NULL, _NULL
    mask_shape = bias_shape = None
    inputs: tuple[Array, ...] = (q, k, v)
    if mask is not None:
        mask = _flags(mask, "mask")
        masked, mask_shape, inputs = pointer(mask), mask.shape, (*inputs, mask)
    if bias is not None:
        bias = array(bias, "bias", F32)
        added, bias_shape, inputs = pointer(bias), bias.shape, (*inputs, bias)
    plan = _plan(q.shape, k.shape, v.shape, mask_shape, bias_shape, causal, scale)
    return (plan.shape, pointer(q), pointer(k), pointer(v), masked, added), inputs, plan


def _flags(value: Any, name: str) -> Array:
    """A dense array of bool or uint8, as uint8."""
    if type(value) is not np.ndarray or value.dtype != _BOOL:
        value = array(value, name, _BOOL if _is_bool(value) else U8)
    if not value.ndim or not value.flags.c_contiguous:
        raise ValueError(f"{name}: not dense and row-major, or no array")
    found: Array = value.view(U8)
    return found


def _is_bool(value: Any) -> bool:
    kind = str(getattr(value, "dtype", ""))
    return kind in ("bool", "torch.bool") or getattr(value, "format", "") == "?"


def _whole(value: int, name: str) -> int:
    if not isinstance(value, INTEGERS) or not 0 <= value < 2**62:
        raise ValueError(f"{name}: {value!r} is not a number from 0 up")
    return value


def _layout(layout: Any, block: int, q: Any, k: Any) -> tuple[Array, Array]:
    """starts and columns of a layout for those arrays."""
    if _whole(block, "block") == 0:
        raise ValueError("block: 0")
    rows = -(-(1 if len(q.shape) == 1 else q.shape[-2]) // block)
    cols = -(-k.shape[-2] // block)
    if isinstance(layout, tuple):
        if len(layout) != 2:
            raise ValueError(f"layout: {len(layout)} arrays, not starts and columns")
        starts, columns = array(layout[0], "layout", U32, 1), array(layout[1], "layout", U32, 1)
        if starts.shape != (rows + 1,):
            raise ValueError(f"layout: {starts.size} starts, not {rows + 1}")
        if int(starts.max()) > columns.size:
            raise ValueError(f"layout: a start is beyond the {columns.size} columns")
        return starts, columns
    seen = _flags(layout, "layout")
    if seen.shape != (rows, cols):
        raise ValueError(f"layout: shape {seen.shape}, not {(rows, cols)}")
    starts = np.zeros(rows + 1, U32)
    np.cumsum(np.count_nonzero(seen, axis=1), out=starts[1:])
    return starts, np.nonzero(seen)[1].astype(U32)
