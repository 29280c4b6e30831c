"""Hypervectors: long random bit vectors that are bound, bundled, permuted and compared.

A hypervector of `bits` bits is a row of ceil(bits / 64) uint64 words; bit i is bit i % 64 of word i // 64. `bits=`
defaults to all the bits of the words. Bits behind the last are cleared in results and ignored in inputs, so that a
vector and its complement have similarity -1 exactly. All functions are exact: the same bits on every level and with any
number of threads. Source: Kanerva, "Hyperdimensional Computing", Cognitive Computation 1 (2009).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ganglion.kernels._arrays import F32, U32, U64, Array, array, out_array, pointer
from ganglion.kernels._call import Bound, Pool, call, check, whole
from ganglion.kernels._kernels import lib

__all__ = [
    "ItemMemory",
    "bind",
    "bind_bind",
    "bind_bundle",
    "bind_search",
    "bind_similarity",
    "bundle",
    "complement",
    "hamming",
    "permute",
    "random",
    "search",
    "similarity",
    "words",
]

TIES = {
    "neighbour": int(lib.GN_HV_TIES_NEIGHBOUR),
    "zero": int(lib.GN_HV_TIES_ZERO),
    "one": int(lib.GN_HV_TIES_ONE),
}
BITS_MAX = 1 << 31
_SEED_MASK = (1 << 64) - 1


def words(bits: int) -> int:
    """How many uint64 words hold that many bits."""
    return int(lib.gn_hv_words(bits))


def random(n: int, bits: int, *, seed: int) -> Array:
    """uint64[n, words(bits)]: random vectors, the same for the same seed on every machine.

    Raises ValueError: n below 0, bits outside 1..2^31.
    """
    if whole(n, "n") < 0:
        raise ValueError(f"n: {n} is below 0")
    bits = whole(bits, "bits")
    _bits_of(bits, words(min(max(bits, 0), BITS_MAX + 64)))
    out = np.empty((n, words(bits)), U64)
    check(lib.gn_hv_random(whole(seed, "seed") & _SEED_MASK, n, bits, pointer(out)), "random")
    return out


def bind(a: Any, b: Any, *, bits: int | None = None, out: Any = None) -> Array:
    """a XOR b, row by row: uint64[..., words]. b has a's shape, or is one vector for all rows of a.

    Binding twice with the same vector gives back the first. `out` may be a, or b when it has a's shape.
    Raises ValueError: dtypes, shapes, bits, an `out` that overlaps otherwise.
    """
    arguments, found = _bind_arguments(a, b, bits, out)
    check(lib.gn_hv_bind(*arguments), "bind")
    return found


def bind_bind(a: Any, b: Any, *, bits: int | None = None, out: Any = None) -> Bound[Array]:
    """`bind` with its arrays checked once."""
    arguments, found = _bind_arguments(a, b, bits, out)
    return Bound("bind", None, lib.gn_hv_bind, arguments, found)


def _bind_arguments(a: Any, b: Any, bits: int | None, out: Any) -> tuple[tuple[Any, ...], Array]:
    a, b = array(a, "a", U64), array(b, "b", U64)
    count, size = _rows(a, "a", bits)
    if b.shape != a.shape and b.shape != a.shape[-1:]:
        raise ValueError(f"b: shape {b.shape}, not {a.shape} or {a.shape[-1:]}")
    found = out_array(out, "out", a.shape, U64)
    many = count if b.shape == a.shape else 1
    return (pointer(a), count, pointer(b), many, size, pointer(found)), found


def complement(a: Any, *, bits: int | None = None, out: Any = None) -> Array:
    """NOT a: uint64[..., words]; its similarity to a is -1. `out` may be a. Raises ValueError as `bind`."""
    a = array(a, "a", U64)
    count, size = _rows(a, "a", bits)
    found = out_array(out, "out", a.shape, U64)
    check(lib.gn_hv_complement(pointer(a), count, size, pointer(found)), "complement")
    return found


def permute(a: Any, shift: int, *, bits: int | None = None, out: Any = None) -> Array:
    """Bit j of each row becomes bit (j + shift) mod bits: uint64[..., words]. -shift undoes it.

    Raises ValueError: dtype, shape, bits, an `out` that overlaps a.
    """
    a = array(a, "a", U64)
    count, size = _rows(a, "a", bits)
    found = out_array(out, "out", a.shape, U64, (a,))
    by = shift % size
    check(lib.gn_hv_permute(pointer(a), count, size, by, pointer(found)), "permute")
    return found


def bundle(
    vectors: Any,
    *,
    bits: int | None = None,
    ties: str = "neighbour",
    out: Any = None,
    threads: int | Pool = 1,
) -> Array:
    """The majority of up to 65,536 vectors uint64[n, words], bit by bit: uint64[words].

    Where as many vectors say 1 as 0, `ties` decides: "zero", "one", or "neighbour", the XOR of all vectors' bits at
    i - 1 (cyclic), which does not depend on the vectors' order, favours neither value, and is no pattern that bundles
    of other vectors share. Raises ValueError: dtype, shape, more than 65,536, bits, ties, an `out` that overlaps.
    """
    arguments, found = _bundle_arguments(vectors, bits, ties, out)
    call("bundle", threads, lib.gn_hv_bundle, *arguments)
    return found


def bind_bundle(
    vectors: Any,
    *,
    bits: int | None = None,
    ties: str = "neighbour",
    out: Any = None,
    threads: int | Pool = 1,
) -> Bound[Array]:
    """`bundle` with its arrays checked once."""
    arguments, found = _bundle_arguments(vectors, bits, ties, out)
    return Bound("bundle", threads, lib.gn_hv_bundle, arguments, found)


def _bundle_arguments(
    vectors: Any, bits: int | None, ties: str, out: Any
) -> tuple[tuple[Any, ...], Array]:
    vectors = array(vectors, "vectors", U64, 2)
    count, size = _rows(vectors, "vectors", bits)
    if ties not in TIES:
        raise ValueError(f"ties: {ties!r} is not one of {', '.join(TIES)}")
    if count > 1 << 16:
        raise ValueError(f"vectors: {count} of them, more than 65536")
    found = out_array(out, "out", vectors.shape[1:], U64, (vectors,))
    return (pointer(vectors), count, size, TIES[ties], pointer(found)), found


def hamming(
    queries: Any, keys: Any, *, bits: int | None = None, out: Any = None, threads: int | Pool = 1
) -> Array:
    """In how many bits queries uint64[m, words] (or [words]) and keys [n, words] differ: uint32[m, n] (or [n]).

    Raises ValueError: dtypes, shapes, bits, an `out` that overlaps.
    """
    arguments, found = _compare_arguments(queries, keys, bits, out, U32)
    call("hamming", threads, lib.gn_hv_hamming, *arguments)
    return found


def similarity(
    queries: Any, keys: Any, *, bits: int | None = None, out: Any = None, threads: int | Pool = 1
) -> Array:
    """1 - 2 hamming / bits of queries uint64[m, words] (or [words]) with keys [n, words]: float32[m, n] (or [n]).

    In -1..1: 1 for equal vectors, -1 for a vector and its complement. Raises ValueError as `hamming`.
    """
    arguments, found = _compare_arguments(queries, keys, bits, out, F32)
    call("similarity", threads, lib.gn_hv_similarity, *arguments)
    return found


def bind_similarity(
    queries: Any, keys: Any, *, bits: int | None = None, out: Any = None, threads: int | Pool = 1
) -> Bound[Array]:
    """`similarity` with its arrays checked once."""
    arguments, found = _compare_arguments(queries, keys, bits, out, F32)
    return Bound("similarity", threads, lib.gn_hv_similarity, arguments, found)


def _compare_arguments(
    queries: Any, keys: Any, bits: int | None, out: Any, dtype: np.dtype[Any]
) -> tuple[tuple[Any, ...], Array]:
    queries, keys = array(queries, "queries", U64), array(keys, "keys", U64)
    m, size = _rows(queries, "queries", bits)
    if keys.shape[-1:] != queries.shape[-1:]:
        raise ValueError(f"keys: shape {keys.shape}, not (..., {queries.shape[-1]})")
    n, _ = _rows(keys, "keys", size)
    found = out_array(out, "out", queries.shape[:-1] + keys.shape[:-1], dtype, (queries, keys))
    return (pointer(queries), m, pointer(keys), n, size, pointer(found)), found


def search(
    queries: Any, keys: Any, k: int, *, bits: int | None = None, threads: int | Pool = 1
) -> tuple[Array, Array]:
    """The k of keys uint64[n, words] most similar to each of queries [m, words] (or [words]), best first.

    Gives (similarity float32[m, k], index uint32[m, k]), without m for one query; ties go to the lowest index.
    Raises ValueError: dtypes, shapes, bits, k outside 0..n.
    """
    arguments, found = _search_arguments(queries, keys, k, bits)
    call("search", threads, lib.gn_hv_search, *arguments)
    return found


def bind_search(
    queries: Any, keys: Any, k: int, *, bits: int | None = None, threads: int | Pool = 1
) -> Bound[tuple[Array, Array]]:
    """`search` with its arrays checked once."""
    arguments, found = _search_arguments(queries, keys, k, bits)
    return Bound("search", threads, lib.gn_hv_search, arguments, found)


def _search_arguments(
    queries: Any, keys: Any, k: int, bits: int | None
) -> tuple[tuple[Any, ...], tuple[Array, Array]]:
    queries, keys = array(queries, "queries", U64), array(keys, "keys", U64, 2)
    m, size = _rows(queries, "queries", bits)
    if keys.shape[-1:] != queries.shape[-1:]:
        raise ValueError(f"keys: shape {keys.shape}, not (..., {queries.shape[-1]})")
    n, _ = _rows(keys, "keys", size)
    if not 0 <= k <= n:
        raise ValueError(f"k: {k} is not in 0..{n}")
    index = np.empty((*queries.shape[:-1], k), U32)
    near = np.empty(index.shape, F32)
    return (pointer(queries), m, pointer(keys), n, size, k, pointer(index), pointer(near)), (
        near,
        index,
    )


class ItemMemory:
    """Named hypervectors, and the names of those nearest to a noisy one.

    A name that is put again gets the new vector. Not for two threads at once while it is changed.
    """

    def __init__(self, bits: int) -> None:
        """Raises ValueError: bits outside 1..2^31."""
        self.bits = _bits_of(bits, words(min(max(bits, 0), BITS_MAX + 64)))
        self._names: list[Hashable] = []
        self._place: dict[Hashable, int] = {}
        self._rows = np.zeros((16, words(bits)), U64)

    def __len__(self) -> int:
        return len(self._names)

    def put(self, name: Hashable, vector: Any) -> None:
        """Remember a vector uint64[words]. Raises ValueError: dtype, shape."""
        found = array(vector, "vector", U64, 1)
        if found.shape != self._rows.shape[1:]:
            raise ValueError(f"vector: shape {found.shape}, not {self._rows.shape[1:]}")
        place = self._place.get(name, len(self._names))
        if place == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[place] = found
        if place == len(self._names):
            self._names.append(name)
            self._place[name] = place

    def get(self, name: Hashable) -> Array:
        """A copy of the vector of that name. Raises KeyError."""
        return np.array(self._rows[self._place[name]])

    def nearest(self, vector: Any, k: int = 1) -> list[tuple[Hashable, float]]:
        """The k names (or all, if they are fewer) most similar to a vector uint64[words], best first, with similarity.

        Ties go to the name put first. Raises ValueError: dtype, shape, k below 0.
        """
        found = array(vector, "vector", U64, 1)
        if k < 0:
            raise ValueError(f"k: {k} is below 0")
        if found.shape != self._rows.shape[1:]:
            raise ValueError(f"vector: shape {found.shape}, not {self._rows.shape[1:]}")
        count = len(self._names)
        near, index = search(found, self._rows[:count], min(k, count), bits=self.bits)
        return [
            (self._names[i], float(s)) for i, s in zip(index.tolist(), near.tolist(), strict=True)
        ]


def _rows(value: Array, name: str, bits: int | None) -> tuple[int, int]:
    """How many vectors an array holds, and of how many bits."""
    if not value.ndim:
        raise ValueError(f"{name}: 0 dimensions, not at least 1")
    size = value.shape[-1]
    if bits is None:
        bits = size * 64
    _bits_of(bits, size)
    return value.size // size, bits


def _bits_of(bits: int, size: int) -> int:
    if not 0 < whole(bits, "bits") <= BITS_MAX or words(bits) != size:
        raise ValueError(f"bits: {bits} do not make {size} words (1..2^31 bits, 64 a word)")
    return bits
