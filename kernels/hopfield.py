"""Modern Hopfield memories: patterns [n, d] that a query is drawn to, flat or in groups under an upper memory.

    state' = X^T softmax(beta X state)

Ramsauer et al., "Hopfield Networks is All You Need" (2021), equations 2 and 3; one pass over X a step. Everything is
float32. Queries are [d] or [m, d]; results have their shape. `beta` None is 1 / sqrt(d). A step that moves a state by
no more than `tolerance` (Euclidean length) is its last. NaN in a query, or a score past the range, makes that query's
result NaN. No patterns: zeros. Wrong arguments are ValueErrors that name them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ganglion.kernels._arrays import (
    F32,
    SIZE_MAX,
    U32,
    U64,
    Array,
    aligned,
    array,
    out_array,
    pointer,
    scratch,
    shaped,
)
from ganglion.kernels._call import Bound, Pool, call, whole
from ganglion.kernels._kernels import ffi, lib

__all__ = [
    "GroupRecall",
    "HdcRecall",
    "Recall",
    "bind_retrieve",
    "energy",
    "hdc_attention",
    "hdc_recall",
    "hdc_vote",
    "prototypes",
    "recall",
    "recall_groups",
    "retrieve",
    "retrieve_groups",
]

_NULL = ffi.NULL
_FLOATS = ffi.typeof("float[]")
_from_buffer = ffi.from_buffer
_ndarray, _empty = np.ndarray, np.empty
_hopfield = lib.gn_hopfield
_SMALL, _SMALL_ROWS = lib.GN_HOPFIELD_SMALL, lib.GN_HOPFIELD_SMALL_ROWS
_MIXES = {"joint": lib.GN_HOPFIELD_JOINT, "gated": lib.GN_HOPFIELD_GATED}


class Recall(NamedTuple):
    """What a query found: the last state, and about its last step the row with the largest weight and that weight."""

    states: Array  # float32, as the queries
    best: Array  # uint32 [m]; 2**32 - 1 where there are no patterns
    weights: Array  # float32 [m]
    steps: Array  # uint32 [m]: how many were taken


class GroupRecall(NamedTuple):
    """What a query found among groups: the last state, the groups read in its last step and each one's share of it."""

    states: Array  # float32, as the queries
    chosen: Array  # uint32 [m, k], best prototype first; 2**32 - 1 where fewer than k groups have patterns
    shares: Array  # float32 [m, k], a row sums to 1
    steps: Array  # uint32 [m]


def _rows(value: Any, name: str, d: int) -> tuple[Array, int]:
    """Queries of width d, and how many."""
    found = array(value, name, F32)
    shape = found.shape
    if shape == (d,):
        return found, 1
    if len(shape) != 2 or shape[1] != d:
        raise ValueError(f"{name}: shape {shape}, not ({d},) or (m, {d})")
    return found, shape[0]


@lru_cache(maxsize=256)
def _usual(d: int) -> float:
    return 1.0 / math.sqrt(d) if d else 1.0


def _positive(value: float, name: str) -> float:
    if not 0.0 <= value <= 3.4e38:
        raise ValueError(f"{name}: {value!r} is not a finite number from 0 up")
    return value


def _limits(steps: int, tolerance: float) -> None:
    if not 1 <= whole(steps, "steps") < 2**32:
        raise ValueError(f"steps: {steps!r} is not a number from 1 up")
    if not tolerance >= 0.0:
        raise ValueError(f"tolerance: {tolerance!r} is not a number from 0 up")


@lru_cache(maxsize=256)
def _room(n: int, d: int, m: int) -> int:
    size: int = lib.gn_hopfield_scratch(n, d, m)
    if size == SIZE_MAX:
        raise ValueError("patterns: too large")
    return size


def retrieve(
    patterns: Any,
    queries: Any,
    *,
    beta: float | None = None,
    steps: int = 1,
    tolerance: float = 0.0,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """The states that the queries come to in at most `steps` steps."""
    if (
        type(patterns) is _ndarray
        and type(queries) is _ndarray
        and patterns.dtype is F32
        and queries.dtype is F32
        and out is None
        and steps == 1 == threads
        and tolerance == 0.0
    ):  # one query of a small memory, as people ask it: nothing is looked at twice
        shape = patterns.shape
        if len(shape) == 2 and queries.shape == shape[1:] and shape[0] <= _SMALL_ROWS:
            n, d = shape
            if n * d <= _SMALL and (beta is None or 0.0 <= beta <= 3.4e38):
                result = _empty(d, F32)
                try:
                    if not _hopfield(
                        _from_buffer(_FLOATS, patterns), n, d, _from_buffer(_FLOATS, queries), 1,
                        _usual(d) if beta is None else beta, 1, 0.0,
                        _from_buffer(_FLOATS, result), _NULL, _NULL, _NULL, _NULL, _NULL,
                    ):  # fmt: skip
                        return result
                except (BufferError, ValueError):  # not dense: below it is named
                    pass
    stored = array(patterns, "patterns", F32, 2)
    n, d = stored.shape
    asked, m = _rows(queries, "queries", d)
    beta = _usual(d) if beta is None else _positive(beta, "beta")
    _limits(steps, tolerance)
    result = out_array(out, "out", asked.shape, F32, (stored, asked))
    call(
        "retrieve", threads, _hopfield,
        pointer(stored), n, d, pointer(asked), m, beta, steps, tolerance,
        pointer(result), _NULL, _NULL, _NULL, scratch(_room(n, d, m)),
    )  # fmt: skip
    return result


def bind_retrieve(
    patterns: Any,
    queries: Any,
    *,
    beta: float | None = None,
    steps: int = 1,
    tolerance: float = 0.0,
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`retrieve` of arrays that stay where they are."""
    stored = array(patterns, "patterns", F32, 2)
    n, d = stored.shape
    asked, m = _rows(queries, "queries", d)
    beta = _usual(d) if beta is None else _positive(beta, "beta")
    _limits(steps, tolerance)
    result = out_array(out, "out", asked.shape, F32, (stored, asked))
    room = aligned(_room(n, d, m), np.dtype(np.uint8))
    return Bound(
        "retrieve", threads, lib.gn_hopfield,
        (
            pointer(stored), n, d, pointer(asked), m, beta, steps, tolerance,
            pointer(result), _NULL, _NULL, _NULL, ffi.from_buffer(room),
        ),
        result,
    )  # fmt: skip


def recall(
    patterns: Any,
    queries: Any,
    *,
    beta: float | None = None,
    steps: int = 10,
    tolerance: float = 1e-4,
    out: Any = None,
    threads: int | Pool = 1,
) -> Recall:
    """The states that the queries settle in, and which pattern each has come to."""
    stored = array(patterns, "patterns", F32, 2)
    n, d = stored.shape
    asked, m = _rows(queries, "queries", d)
    beta = _usual(d) if beta is None else _positive(beta, "beta")
    _limits(steps, tolerance)
    states = out_array(out, "out", asked.shape, F32, (stored, asked))
    found = Recall(states, np.empty(m, U32), np.empty(m, F32), np.empty(m, U32))
    room = scratch(_room(n, d, m))
    call(
        "recall", threads, lib.gn_hopfield,
        pointer(stored), n, d, pointer(asked), m, beta, steps, tolerance, pointer(states),
        pointer(found.steps), pointer(found.best), pointer(found.weights), room,
    )  # fmt: skip
    return found


def energy(
    patterns: Any,
    states: Any,
    *,
    beta: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """The energy [m] of states: no step makes it larger. `beta` is above 0."""
    stored = array(patterns, "patterns", F32, 2)
    n, d = stored.shape
    asked, m = _rows(states, "states", d)
    beta = _usual(d) if beta is None else _positive(beta, "beta")
    if not beta:
        raise ValueError("beta: 0 has no energy")
    result = out_array(out, "out", (m,), F32, (stored, asked))
    room = scratch(_room(n, d, m))
    call(
        "energy", threads, lib.gn_hopfield_energy,
        pointer(stored), n, d, pointer(asked), m, beta, pointer(result), room,
    )  # fmt: skip
    return result


def _offsets(value: Any, n: int) -> tuple[Array, int]:
    """Where groups begin in n rows: uint32 [groups + 1], from 0 up to n."""
    found = array(value, "offsets", U32, 1)
    if not found.size:
        raise ValueError("offsets: empty; group g is the rows from offsets[g] up to offsets[g + 1]")
    if found[0] != 0 or found[-1] != n or np.any(found[1:] < found[:-1]):
        raise ValueError(f"offsets: not a rising sequence from 0 to {n}, the number of patterns")
    return found, found.size - 1


def prototypes(patterns: Any, offsets: Any, *, out: Any = None, threads: int | Pool = 1) -> Array:
    """The mean pattern [groups, d] of each group, zeros for an empty one.

    `offsets` (uint32 [groups + 1]): group g is the rows from offsets[g] up to offsets[g + 1].
    """
    stored = array(patterns, "patterns", F32, 2)
    n, d = stored.shape
    bounds, groups = _offsets(offsets, n)
    result = out_array(out, "out", (groups, d), F32, (stored,))
    call(
        "prototypes", threads, lib.gn_hopfield_prototypes,
        pointer(stored), n, d, pointer(bounds), groups, pointer(result),
    )  # fmt: skip
    return result


def recall_groups(
    patterns: Any,
    offsets: Any,
    upper: Any,
    queries: Any,
    *,
    k: int = 1,
    beta: float | None = None,
    beta_top: float | None = None,
    mix: str = "joint",
    steps: int = 1,
    tolerance: float = 0.0,
    out: Any = None,
    threads: int | Pool = 1,
) -> GroupRecall:
    """The hierarchical memory: each step asks the upper memory, then reads only the k groups it names.

    `upper` [groups, d] holds one prototype a group (`prototypes` makes them). mix "joint" is one softmax over all
    patterns of the groups read: with k = groups it is `retrieve` itself. "gated" is each group's own retrieval,
    weighed by softmax(beta_top upper state) over the groups read; `beta_top` None is beta.
    """
    stored = array(patterns, "patterns", F32, 2)
    n, d = stored.shape
    bounds, groups = _offsets(offsets, n)
    top = shaped(array(upper, "upper", F32, 2), "upper", (groups, d))
    asked, m = _rows(queries, "queries", d)
    beta = _usual(d) if beta is None else _positive(beta, "beta")
    beta_top = beta if beta_top is None else _positive(beta_top, "beta_top")
    _limits(steps, tolerance)
    if not 1 <= k <= groups:
        raise ValueError(f"k: {k!r} is not in 1..{groups}, the number of groups")
    if mix not in _MIXES:
        raise ValueError(f"mix: {mix!r} is not joint or gated")
    states = out_array(out, "out", asked.shape, F32, (stored, asked, top))
    found = GroupRecall(states, np.empty((m, k), U32), np.empty((m, k), F32), np.empty(m, U32))
    size = lib.gn_hopfield_groups_scratch(groups, d, m, k)
    if size == SIZE_MAX:
        raise ValueError("queries: too large")
    room = scratch(size)
    call(
        "recall_groups", threads, lib.gn_hopfield_groups,
        pointer(stored), n, d, pointer(bounds), groups, pointer(top), pointer(asked), m, k,
        beta, beta_top, _MIXES[mix], steps, tolerance, pointer(states),
        pointer(found.steps), pointer(found.chosen), pointer(found.shares), room,
    )  # fmt: skip
    return found


def retrieve_groups(patterns: Any, offsets: Any, upper: Any, queries: Any, **options: Any) -> Array:
    """The states of `recall_groups`, which has the options."""
    return recall_groups(patterns, offsets, upper, queries, **options).states


class HdcRecall(NamedTuple):
    """What hypervector queries found: sums of values; about each, the key that weighs most and its weight."""

    out: Array  # float32 [..., width]
    best: Array  # uint32 [m]; 2**32 - 1 where there are no keys
    weights: Array  # float32 [m]


def _packed(value: Any, name: str, words: int | None, dims: tuple[int, ...]) -> tuple[Array, int]:
    """Hypervectors uint64 [words] or [rows, words], and how many."""
    found = array(value, name, U64)
    if found.ndim not in dims or (words is not None and found.shape[-1] != words):
        raise ValueError(f"{name}: shape {found.shape}, not {words or 'some'} words a row")
    return found, found.shape[0] if found.ndim == 2 else 1


def _hdc_checked(
    queries: Any, keys: Any, bits: int | None, beta: float | None
) -> tuple[Array, int, Array, int, int, float]:
    stored, n = _packed(keys, "keys", None, (2,))
    words = stored.shape[1]
    asked, m = _packed(queries, "queries", words, (1, 2))
    bits = 64 * words if bits is None else bits
    if not 0 < bits <= 1 << 31 or (bits + 63) // 64 != words:
        raise ValueError(f"bits: {bits!r} do not make {words} words (1..2^31 bits, 64 a word)")
    beta = math.sqrt(bits) if beta is None else _positive(beta, "beta")
    return asked, m, stored, n, bits, beta


def hdc_recall(
    queries: Any,
    keys: Any,
    values: Any,
    *,
    bits: int | None = None,
    beta: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> HdcRecall:
    """Attention over packed hypervectors: softmax(beta similarity(query, key)) values, and which key weighs most.

    queries uint64 [words] or [m, words], keys uint64 [n, words] as `hypervectors` packs them, values float32
    [n, width]. `bits` None: all bits of the words. The similarity is 1 - 2 hamming / bits; `beta` None is sqrt(bits),
    with which the scores of unrelated keys have variance 1. No keys: zeros.
    """
    asked, m, stored, n, bits, beta = _hdc_checked(queries, keys, bits, beta)
    given = array(values, "values", F32, 2)
    if given.shape[0] != n:
        raise ValueError(f"values: {given.shape[0]} rows for {n} keys")
    width = given.shape[1]
    result = out_array(out, "out", (*asked.shape[:-1], width), F32, (asked, stored, given))
    found = HdcRecall(result, np.empty(m, U32), np.empty(m, F32))
    call(
        "hdc_attention", threads, lib.gn_hdc_attention, pointer(asked), m, pointer(stored), n, bits,
        pointer(given), width, beta, pointer(result), pointer(found.best), pointer(found.weights),
    )  # fmt: skip
    return found


def hdc_attention(
    queries: Any,
    keys: Any,
    values: Any,
    *,
    bits: int | None = None,
    beta: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """The sums [..., width] of `hdc_recall`."""
    found = hdc_recall(queries, keys, values, bits=bits, beta=beta, out=out, threads=threads)
    return found.out


def hdc_vote(
    queries: Any,
    keys: Any,
    values: Any,
    *,
    bits: int | None = None,
    beta: float | None = None,
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """`hdc_attention` of packed values uint64 [n, words]: a packed vector for each query, uint64 as the queries.

    A bit is 1 when the values that have it 1 hold more than half of all weight; a tie is 0.
    """
    asked, m, stored, n, bits, beta = _hdc_checked(queries, keys, bits, beta)
    given, rows = _packed(values, "values", stored.shape[1], (2,))
    if rows != n:
        raise ValueError(f"values: {rows} rows for {n} keys")
    result = out_array(out, "out", asked.shape, U64, (asked, stored, given))
    size = lib.gn_hdc_vote_scratch(m, n)
    if size == SIZE_MAX:
        raise ValueError("queries: too many")
    call(
        "hdc_vote", threads, lib.gn_hdc_vote, pointer(asked), m, pointer(stored), pointer(given), n,
        bits, beta, pointer(result), scratch(size),
    )  # fmt: skip
    return result
