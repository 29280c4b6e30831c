"""Distances and similarities of queries to keys: all of them, or the nearest k with the scores of others never kept.

| metric | of query q and key k | nearest is | elements |
|---|---|---|---|
| dot | sum q_i k_i | largest | float32, float16, bfloat16, int8 |
| cosine | dot / (|q| |k|); 0 when a norm is 0 | largest | the same |
| l2 | square root of l2sq | smallest | the same |
| l2sq | sum (q_i - k_i)^2 | smallest | the same |
| hamming | bits that differ | smallest | bits: uint8 (numpy.packbits) or uint64 |
| jaccard | 1 - |q and k| / |q or k|; 0 when both are empty | smallest | the same |

`queries` is one row or a matrix of rows, `keys` a matrix of rows as long. Results are float32; sums are float32, exact
for int8 (at most 65,536 elements) and bits (at most 2 MiB a row). `sums="f64"` (float32 only) sums and returns float64.
Differences are squared as they are, not by |q|^2 + |k|^2 - 2 q.k, so that near vectors keep their digits.
Error of float sums: (dim + 4) 2^-24 sum |terms|; of "f64" (dim + 4) 2^-53.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    F64,
    I8,
    I64,
    U8,
    U64,
    Array,
    array,
    halves,
    kept_room,
    out_array,
    pointer,
    scratch,
)
from ganglion.kernels._call import INTEGERS, Bound, Pool, call, count
from ganglion.kernels._kernels import ffi, lib

__all__ = [
    "METRICS",
    "bind_distances",
    "bind_nearest",
    "cosine",
    "distances",
    "dot",
    "hamming",
    "jaccard",
    "l2",
    "l2sq",
    "nearest",
]

METRICS = {
    "dot": lib.GN_METRIC_DOT,
    "cosine": lib.GN_METRIC_COSINE,
    "l2": lib.GN_METRIC_L2,
    "l2sq": lib.GN_METRIC_L2SQ,
    "hamming": lib.GN_METRIC_HAMMING,
    "jaccard": lib.GN_METRIC_JACCARD,
}
_BITS = ("hamming", "jaccard")
_HALVES = {"f16": lib.GN_ELEMENT_F16, "bf16": lib.GN_ELEMENT_BF16}
_from_buffer = ffi.from_buffer
_gn_distances = lib.gn_distances
_NULL = ffi.NULL
_FLOATS = ffi.typeof("float[]")
_BYTES = ffi.typeof("uint8_t[]")
_HAMMING = lib.GN_METRIC_HAMMING
_B1 = lib.GN_ELEMENT_B1
_SCRATCHLESS = {name: METRICS[name] for name in ("dot", "l2", "l2sq", "hamming")}
_ndarray = np.ndarray
_empty = np.empty


def distances(
    queries: Any,
    keys: Any,
    metric: str = "dot",
    *,
    sums: str = "f32",
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """`metric` of every query to every key: [m, n], or [n] when `queries` is one row. `sums`: "f32" or "f64".

    Raises ValueError: an array is not dense or of a type the metric has, rows of different lengths, `out` does not fit
    or overlaps an input, an unknown metric or sums, threads out of range.
    """
    if threads == 1 and sums == "f32" and type(keys) is _ndarray and metric in _SCRATCHLESS:
        done = _quick(queries, keys, _SCRATCHLESS[metric], out)
        if done is not None:
            return done
    function, arguments, result, size = _prepared(queries, keys, metric, sums, out, threads)
    if size < 0:
        call(metric, threads, function, *arguments)
    else:
        call(metric, threads, function, *arguments, scratch(size))
    return result


def bind_distances(
    queries: Any,
    keys: Any,
    metric: str = "dot",
    *,
    sums: str = "f32",
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`distances` of these arrays, to call many times."""
    function, arguments, result, size = _prepared(queries, keys, metric, sums, out, threads)
    if size >= 0:
        arguments = (*arguments, kept_room(size))
    return Bound(metric, threads, function, arguments, result)


def dot(
    queries: Any, keys: Any, *, sums: str = "f32", out: Any = None, threads: int | Pool = 1
) -> Array:
    """Dot products: `distances` with that metric."""
    return distances(queries, keys, "dot", sums=sums, out=out, threads=threads)


def cosine(
    queries: Any, keys: Any, *, sums: str = "f32", out: Any = None, threads: int | Pool = 1
) -> Array:
    """Cosines of the angles: `distances` with that metric."""
    return distances(queries, keys, "cosine", sums=sums, out=out, threads=threads)


def l2(
    queries: Any, keys: Any, *, sums: str = "f32", out: Any = None, threads: int | Pool = 1
) -> Array:
    """Euclidean distances: `distances` with that metric."""
    return distances(queries, keys, "l2", sums=sums, out=out, threads=threads)


def l2sq(
    queries: Any, keys: Any, *, sums: str = "f32", out: Any = None, threads: int | Pool = 1
) -> Array:
    """Squared Euclidean distances: `distances` with that metric."""
    return distances(queries, keys, "l2sq", sums=sums, out=out, threads=threads)


def hamming(queries: Any, keys: Any, *, out: Any = None, threads: int | Pool = 1) -> Array:
    """Bits that differ, as float32: exact. `distances` with that metric."""
    return distances(queries, keys, "hamming", out=out, threads=threads)


def jaccard(queries: Any, keys: Any, *, out: Any = None, threads: int | Pool = 1) -> Array:
    """1 - bits in both / bits in either: `distances` with that metric."""
    return distances(queries, keys, "jaccard", out=out, threads=threads)


def nearest(
    queries: Any,
    keys: Any,
    k: int,
    metric: str = "dot",
    *,
    out: tuple[Any, Any] | None = None,
    threads: int | Pool = 1,
) -> tuple[Array, Array]:
    """The k nearest keys of each query, nearest first: scores (float32) and indices (int64).

    Each is [m, k], or [k] for one row. All n keys when k is more than n. Ties go to the lowest
    index, NaN comes last. `out` takes both results.
    Raises ValueError as `distances` does; k below 0.
    """
    arguments, results, size = _prepared_nearest(queries, keys, k, metric, out, threads)
    call("nearest", threads, lib.gn_nearest, *arguments, scratch(size))
    return results


def bind_nearest(
    queries: Any,
    keys: Any,
    k: int,
    metric: str = "dot",
    *,
    out: tuple[Any, Any] | None = None,
    threads: int | Pool = 1,
) -> Bound[tuple[Array, Array]]:
    """`nearest` of these arrays, to call many times."""
    arguments, results, size = _prepared_nearest(queries, keys, k, metric, out, threads)
    return Bound("nearest", threads, lib.gn_nearest, (*arguments, kept_room(size)), results)


def _quick(queries: Any, keys: Array, code: int, out: Any) -> Array | None:
    """One row of float32 or bytes against keys, with as few questions as that needs; None when it is anything else.

    from_buffer refuses gaps and C an overlap: what is wrong is then said by the long way.
    """
    dtype = keys.dtype
    if dtype is F32 and code < _HAMMING:
        element = 0
    elif dtype is U8 and code >= _HAMMING:
        element = _B1
    else:
        return None
    shape = keys.shape
    if len(shape) != 2 or type(queries) is not _ndarray or queries.dtype is not dtype:
        return None
    n, dim = shape
    if queries.shape != (dim,):
        return None
    if out is None:
        out = _empty(n, F32)
    elif type(out) is not _ndarray or out.dtype is not F32 or out.shape != (n,):
        return None
    kind = _FLOATS if dtype is F32 else _BYTES
    try:
        status = _gn_distances(
            *(code, element, _from_buffer(kind, queries), 1, _from_buffer(kind, keys), n, dim),
            *(_from_buffer(_FLOATS, out, True), _NULL, _NULL),
        )
    except (BufferError, ValueError):
        return None
    return None if status else out


def _code(metric: str) -> int:
    try:
        return int(METRICS[metric])
    except (KeyError, TypeError):
        raise ValueError(f"metric: {metric!r} is not one of {', '.join(METRICS)}") from None


def _rows(value: Any, name: str, metric: str) -> tuple[Array, int]:
    """Rows of elements that the metric has, bits as bytes, halves as uint16; and which element."""
    dtype = getattr(value, "dtype", None)
    if metric in _BITS:
        if dtype == U64:
            return array(value, name, U64).view(U8), lib.GN_ELEMENT_B1
        return array(value, name, U8), lib.GN_ELEMENT_B1
    if dtype is F32 or dtype == F32:
        return array(value, name, F32), lib.GN_ELEMENT_F32
    kind = str(dtype).rpartition(".")[2]
    if kind in ("float16", "bfloat16"):
        found, half = halves(value, name)
        return found, _HALVES[half]
    if kind == "int8":
        return array(value, name, I8), lib.GN_ELEMENT_I8
    if kind in ("float32", "None"):  # a torch tensor; a memoryview has no dtype to ask
        return _plain_buffer(value, name)
    raise ValueError(f"{name}: dtype {kind}, not float32, float16, bfloat16 or int8 for {metric}")


def _plain_buffer(value: Any, name: str) -> tuple[Array, int]:
    if getattr(value, "format", "f") == "b":
        return array(value, name, I8), lib.GN_ELEMENT_I8
    return array(value, name, F32), lib.GN_ELEMENT_F32


def _inputs(
    queries: Any, keys: Any, metric: str
) -> tuple[tuple[Any, ...], Array, Array, tuple[int, ...], int, int, int]:
    """(metric, element), both arrays, the shape that results begin with, m, n, dim."""
    code = _code(metric)
    asked, element = _rows(queries, "queries", metric)
    known, other = _rows(keys, "keys", metric)
    if known.ndim != 2:
        raise ValueError(f"keys: {known.ndim} dimensions, not 2")
    if element != other:
        raise ValueError("keys: another dtype than queries")
    n, dim = known.shape
    if asked.ndim == 1:
        lead: tuple[int, ...] = ()
        m, length = 1, asked.shape[0]
    elif asked.ndim == 2:
        m, length = asked.shape
        lead = (m,)
    else:
        raise ValueError(f"queries: {asked.ndim} dimensions, not 1 or 2")
    if length != dim:
        raise ValueError(f"queries: rows of {length}, keys have {dim}")
    return (code, element), asked, known, lead, m, n, dim


def _prepared(
    queries: Any, keys: Any, metric: str, sums: str, out: Any, threads: int | Pool
) -> tuple[Callable[..., int], tuple[Any, ...], Array, int]:
    """The C function, its arguments, the result, and the bytes of scratch (-1: the function takes none)."""
    (code, element), asked, known, lead, m, n, dim = _inputs(queries, keys, metric)
    shape = (*lead, n)
    if sums == "f32":
        result = out_array(out, "out", shape, F32, (asked, known))
        workers = 1 if threads == 1 else count(threads)
        size = lib.gn_distances_scratch(code, element, m, n, dim, workers)
        arguments = (code, element, pointer(asked), m, pointer(known), n, dim, pointer(result))
        return lib.gn_distances, arguments, result, _sized(size)
    if sums != "f64":
        raise ValueError(f"sums: {sums!r} is not f32 or f64")
    if element != lib.GN_ELEMENT_F32:
        raise ValueError("sums: f64 is for float32 alone")
    result = out_array(out, "out", shape, F64, (asked, known))
    return (
        lib.gn_distances_f64,
        (code, pointer(asked), m, pointer(known), n, dim, pointer(result)),
        result,
        -1,
    )


def _sized(size: int) -> int:
    """Raises ValueError: C found rows longer than it counts exactly."""
    if size >= 1 << 62:
        raise ValueError("keys: rows too long (int8: 65,536 elements; bits: 2 MiB)")
    return size


def _prepared_nearest(
    queries: Any,
    keys: Any,
    k: int,
    metric: str,
    out: tuple[Any, Any] | None,
    threads: int | Pool,
) -> tuple[tuple[Any, ...], tuple[Array, Array], int]:
    if not isinstance(k, INTEGERS) or k < 0:
        raise ValueError(f"k: {k!r} is not 0 or more")
    (code, element), asked, known, lead, m, n, dim = _inputs(queries, keys, metric)
    k = min(k, n)
    scores_out, indices_out = out if out is not None else (None, None)
    scores = out_array(scores_out, "out[0]", (*lead, k), F32, (asked, known))
    indices = out_array(indices_out, "out[1]", (*lead, k), I64, (asked, known, scores))
    workers = 1 if threads == 1 else count(threads)
    size = _sized(lib.gn_nearest_scratch(code, element, m, n, dim, k, workers))
    arguments = (
        *(code, element, pointer(asked), m, pointer(known), n, dim, k),
        *(pointer(scores), pointer(indices)),
    )
    return arguments, (scores, indices), size
