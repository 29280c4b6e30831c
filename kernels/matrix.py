"""Products of float32 matrices: C = A B^T and C = A B.

Source: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): packed panels, a block of
registers. Sums are float32: |error| <= (k + 2) 2^-24 sum |a_p b_p| for an element of k products.
"""

from __future__ import annotations

from typing import Any

from ganglion.kernels._arrays import F32, Array, array, kept_room, out_array, pointer, scratch
from ganglion.kernels._call import Bound, Pool, call, count
from ganglion.kernels._kernels import lib

__all__ = ["bind_matmul_nn", "bind_matmul_nt", "matmul_nn", "matmul_nt"]


def matmul_nt(a: Any, b: Any, *, out: Any = None, threads: int | Pool = 1) -> Array:
    """a[m, k] times the transpose of b[n, k], float32: [m, n], the dot product of each row of a with each row of b.

    Raises ValueError: a or b is not a dense float32 matrix, their k differs, out does not fit or overlaps an input,
    threads is out of range.
    """
    arguments, result, size = _checked(a, b, out, True, threads)
    call("matmul_nt", threads, lib.gn_matmul_nt, *arguments, scratch(size))
    return result


def matmul_nn(a: Any, b: Any, *, out: Any = None, threads: int | Pool = 1) -> Array:
    """a[m, k] times b[k, n], float32: [m, n].

    Raises ValueError as `matmul_nt` does.
    """
    arguments, result, size = _checked(a, b, out, False, threads)
    call("matmul_nn", threads, lib.gn_matmul_nn, *arguments, scratch(size))
    return result


def bind_matmul_nt(a: Any, b: Any, *, out: Any = None, threads: int | Pool = 1) -> Bound[Array]:
    """`matmul_nt` of these arrays, to call many times."""
    arguments, result, size = _checked(a, b, out, True, threads)
    room = kept_room(size)
    return Bound("matmul_nt", threads, lib.gn_matmul_nt, (*arguments, room), result)


def bind_matmul_nn(a: Any, b: Any, *, out: Any = None, threads: int | Pool = 1) -> Bound[Array]:
    """`matmul_nn` of these arrays, to call many times."""
    arguments, result, size = _checked(a, b, out, False, threads)
    room = kept_room(size)
    return Bound("matmul_nn", threads, lib.gn_matmul_nn, (*arguments, room), result)


def _checked(
    a: Any, b: Any, out: Any, transposed: bool, threads: int | Pool
) -> tuple[tuple[Any, ...], Array, int]:
    """The arguments of the C function up to c, the result, and the bytes of scratch."""
    left, right = array(a, "a", F32, 2), array(b, "b", F32, 2)
    m, k = left.shape
    n, depth = right.shape if transposed else right.shape[::-1]
    if depth != k:
        raise ValueError(f"b: {depth} products an element, a has {k}")
    result = out_array(out, "out", (m, n), F32, (left, right))
    size = lib.gn_matmul_scratch(m, n, k, 1 if threads == 1 else count(threads))
    return (pointer(left), m, pointer(right), n, k, pointer(result)), result, size
